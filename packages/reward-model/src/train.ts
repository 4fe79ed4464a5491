// A reward model's training: scores of all responses of a step, packed one after the other, without padding and without attention across. The run
// itself, from what is refused to the last checkpoint, is packages/train's (row-run.ts).
//
// Run: posttrain reward --model_name_or_path DIR --data pairs.jsonl --output_dir RUN
import type { Device } from "@posttrain/kernels";
import {
  type RowReport,
  type RowResult,
  type RowRun,
  type RowStage,
  type RowStart,
  runOnRows,
  type ShownRows,
} from "@posttrain/train";
import { type RewardConfig, rewardConfig } from "./config.js";
import {
  averagedMetrics,
  evalMetrics,
  type RewardEvalMetrics,
  type RewardMetrics,
  stepMetrics,
} from "./metrics.js";
import { plannedReward } from "./plan.js";
import { prepareRewardData, type RewardData } from "./rows.js";
import { sumHeads, trainableOf } from "./score.js";
import { evaluateReward, type RewardRow, rewardStep } from "./step.js";

export type RewardStart = RowStart<RewardData>;
export type RewardReport = RowReport<RewardData, RewardMetrics, RewardEvalMetrics>;
export type RewardResult = RowResult<RewardData, RewardMetrics>;

/**
 * Runs the stage, or goes on with it. `signal`: finish the step at hand, save and return. UserError for what is wrong with model, data, output
 * folder or checkpoint; nothing is written before all of it is read.
 */
export function runReward(
  config: RewardConfig,
  device: Device,
  report: RewardReport = {},
  signal?: AbortSignal,
): Promise<RewardResult> {
  return runOnRows(stage, config, device, report, (run) => train(config, run, report, signal));
}

const stage: RowStage<RewardConfig, RewardRow, RewardData> = {
  name: "reward",
  shape: rewardConfig.shape,
  averaged: averagedMetrics,
  prepare: prepareRewardData,
  plan: plannedReward,
  setup: ({ seed }, { model, padding }) => ({
    files: padding.files,
    kind: "either",
    as: { config: model, seed },
    trainable: trainableOf(model),
    stopIds: [],
  }),
  tokensOf: ({ sequences }) => sequences.reduce((sum, { length }) => sum + length, 0),
};

/** To the end, whichever comes first: the last step, a signal, early stopping. */
async function train(
  config: RewardConfig,
  run: RowRun<RewardRow, RewardData>,
  report: RewardReport,
  signal: AbortSignal | undefined,
) {
  const { model, optimizer } = run.training;
  const loss = { centerRewardsCoefficient: config.center_rewards_coefficient };
  const evaluate = async (): Promise<void> => {
    const started = performance.now();
    const { evalRows } = run.data;
    const numbers = await evaluateReward(model, evalRows, config.per_device_train_batch_size, loss);
    const line = await run.recordEvaluation(started, evalMetrics(numbers));
    report.onEvaluation?.(line);
  };

  await sumHeads(model);
  if (run.evaluatesFirst) {
    await evaluate();
    report.onSavable?.();
  }
  for (;;) {
    const next = run.next();
    const { step, batches } = next;
    const options = { ...loss, ...next.options };
    const done = await rewardStep(model, optimizer, batches, options).catch((error) =>
      run.setApart(error, next, shown(config)),
    );
    const last = await run.record(next, done, stepMetrics(done));
    report.onStep?.(last, run.totalSteps);
    if (run.evaluates(step)) await evaluate();
    const { end, checkpoint } = await run.finish(signal);
    if (checkpoint !== "") report.onCheckpoint?.(checkpoint);
    if (end !== undefined) return { checkpoint, steps: step, end, last };
  }
}

/** As `posttrain reward score` reads them. */
const shown = ({ bf16 }: RewardConfig): ShownRows<RewardRow> => ({
  plain: ({ line, sequences, labels, margin }) => ({
    line,
    responses_ids: sequences.map((ids) => [...ids]),
    labels,
    margin,
  }),
  look: (file, checkpoint) =>
    `npx posttrain reward score --model_name_or_path ${checkpoint} --data ${file}${bf16 ? " --dtype bfloat16" : ""}`,
});
