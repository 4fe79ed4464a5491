// A reward model's training, read top to bottom: look at everything that can be refused; then for each step: forward, scores, loss, backward
// for every micro-batch; clip; AdamW; log; evaluate; save. The responses of a micro-batch are packed one after the other, without padding and
// without attention across. A run that is stopped or killed goes on from its newest checkpoint with the same bits.
//
// Run: posttrain reward --model_name_or_path DIR --data pairs.jsonl --output_dir RUN
import { join } from "node:path";
import type { OnProgress } from "@posttrain/data";
import type { Device } from "@posttrain/kernels";
import { type Model, readCompanions } from "@posttrain/model";
import type { Run } from "@posttrain/run";
import {
  Diverged,
  type End,
  type ListedRow,
  openTraining,
  openTrainingRun,
  planSteps,
  planTraining,
  quarantine,
  rateOf,
  refuseWhatCannotFit,
  ruleOf,
  type StepPlan,
  stepRows,
  type Training,
  type TrainingPlan,
  totalStepsOf,
  writeRowLists,
} from "@posttrain/train";
import { type RewardConfig, rewardConfig } from "./config.js";
import { averagedMetrics, evalMetrics, type RewardEvalMetrics, type RewardMetrics } from "./metrics.js";
import { plannedReward } from "./plan.js";
import { prepareRewardData, type RewardData } from "./rows.js";
import { sumHeads, trainableOf } from "./score.js";
import { evaluateReward, type RewardRow, rewardStep } from "./step.js";

/** What was found in a folder that is gone on with: damaged checkpoints, and lines that its logs lack. */
type Findings = Pick<Run, "damaged" | "missing">;

export interface RewardStart extends Findings {
  readonly model: Model;
  readonly data: RewardData;
  readonly plan: StepPlan;
  readonly totalSteps: number;
  /** What it will take at most. */
  readonly prediction: TrainingPlan;
  readonly from: { readonly dir: string; readonly step: number } | undefined;
  /** Of the optimizer. */
  readonly notes: readonly string[];
}

export interface RewardReport {
  readonly onReading?: OnProgress;
  /** From here on a run that is asked to stop has something to save: all is read, and a new run's first evaluation done. */
  readonly onSavable?: () => void;
  readonly onStart?: (run: RewardStart) => void;
  readonly onStep?: (metrics: RewardMetrics, totalSteps: number) => void;
  readonly onEvaluation?: (metrics: RewardEvalMetrics) => void;
  readonly onCheckpoint?: (dir: string) => void;
}

export interface RewardResult extends Findings {
  /** The newest checkpoint: of the last step done. */
  readonly checkpoint: string;
  readonly steps: number;
  readonly counts: RewardData["counts"];
  /** How it ended: all steps done; asked to stop; no better loss for too long; or nothing was left to do. */
  readonly end: End | "nothing_to_do";
  readonly last: RewardMetrics | undefined;
}

/**
 * Runs the stage, or goes on with it. `signal`: finish the step at hand, save and return. UserError for what is wrong with model, data, output
 * folder or checkpoint; nothing is written before all of it is read.
 */
export async function runReward(
  config: RewardConfig,
  device: Device,
  report: RewardReport = {},
  signal?: AbortSignal,
): Promise<RewardResult> {
  const run = await openTrainingRun(config, device);
  try {
    const companions = await readCompanions(config.model_name_or_path);
    const data = await prepareRewardData(config, "error", report.onReading);
    const { counts, units, digests } = data;
    const { per_device_train_batch_size: rows, gradient_accumulation_steps: batches } = config;
    const plan = planSteps(units.length, rows, batches);
    const totalSteps = totalStepsOf(config, plan);
    const planned = plannedReward(config, data);
    const prediction = await planTraining(config, planned, device.options);
    await refuseWhatCannotFit(prediction, config, planned, device);
    const evaluatesFirst = run.checkpoint === undefined && data.evalRows.length > 0;
    const training = await openTraining(run, device, {
      stage: "reward",
      shape: rewardConfig.shape,
      config,
      totalSteps,
      rule: ruleOf(config),
      digests,
      parents: [{ kind: "data", path: config.data, sha256: digests.data }],
      averaged: averagedMetrics,
      companions,
      files: data.padding.files,
      kind: "either",
      as: { config: data.model, seed: config.seed },
      trainable: trainableOf(data.model),
      onBegin: evaluatesFirst ? undefined : report.onSavable,
      stopIds: [],
    });
    const { checkpoint, damaged, missing } = run;
    const findings: Findings = { damaged, missing };
    if (!("model" in training))
      return { ...training, counts, end: "nothing_to_do", last: undefined, ...findings };
    try {
      await sumHeads(training.model);
      if (training.leads) {
        await writeRowLists(run.dir, {
          train: data.trainRows.map(listed),
          eval: data.evalRows.map(listed),
          ...data,
        });
      }
      const from = checkpoint && { dir: checkpoint.dir, step: checkpoint.manifest.step };
      const { model, notes } = training;
      report.onStart?.({ model, data, plan, totalSteps, prediction, from, notes, ...findings });
      const result = await train(config, training, { data, plan, totalSteps }, report, signal);
      return { ...result, ...findings };
    } finally {
      await training.close();
    }
  } finally {
    await run.close();
  }
}

/** To the end, whichever comes first: the last step, a signal, early stopping. */
async function train(
  config: RewardConfig,
  training: Training,
  { data, plan, totalSteps }: Pick<RewardStart, "data" | "plan" | "totalSteps">,
  report: RewardReport,
  signal: AbortSignal | undefined,
): Promise<Omit<RewardResult, keyof Findings>> {
  const { model, optimizer } = training;
  const { evalRows, counts } = data;
  const loss = { centerRewardsCoefficient: config.center_rewards_coefficient };
  const evaluate = async (): Promise<void> => {
    const started = performance.now();
    const { global_step: step, epoch } = training.state();
    const numbers = await evaluateReward(model, evalRows, config.per_device_train_batch_size, loss);
    const line = evalMetrics({ step, epoch, seconds: (performance.now() - started) / 1000 }, numbers);
    await training.recordEvaluation({ ...line }, numbers.loss);
    report.onEvaluation?.(line);
  };
  const save = async (): Promise<string> => {
    const checkpoint = await training.save();
    report.onCheckpoint?.(checkpoint);
    return checkpoint;
  };

  if (training.state().global_step === 0 && evalRows.length > 0) {
    await evaluate();
    report.onSavable?.();
  }
  for (;;) {
    const step = training.state().global_step + 1;
    const started = performance.now();
    const rows = stepRows(data.units, plan, config.seed, step);
    const learningRate = rateOf(config, totalSteps, step);
    const options = {
      ...loss,
      learningRate,
      maxGradNorm: config.max_grad_norm,
      activationCheckpointing: config.gradient_checkpointing,
    };
    const done = await rewardStep(model, optimizer, rows, options).catch(async (error) => {
      if (!(error instanceof Diverged)) throw error;
      const checkpoint = await save();
      throw training.leads ? await setApart(error, config, step, rows.flat(), checkpoint) : error;
    });
    const seconds = (performance.now() - started) / 1000;
    const last: RewardMetrics = {
      step,
      epoch: step / plan.stepsPerEpoch,
      loss: done.loss,
      grad_norm: done.gradNorm,
      learning_rate: learningRate,
      accuracy: done.accuracy,
      margin: done.margin,
      min_reward: done.minReward,
      mean_reward: done.meanReward,
      max_reward: done.maxReward,
      num_tokens: training.state().num_input_tokens_seen + done.tokens,
      step_time: seconds,
      tokens_per_second: done.tokens / seconds,
    };
    await training.record(
      { ...last },
      rows.flat().length,
      rows.flat().map(({ line }) => line),
    );
    report.onStep?.(last, totalSteps);

    const evaluates = step === totalSteps || step % (config.eval_steps ?? Number.POSITIVE_INFINITY) === 0;
    if (evaluates && evalRows.length > 0) await evaluate();
    const end = await training.ending(signal);
    const checkpoint = end !== undefined || step % config.save_steps === 0 ? await save() : "";
    if (end !== undefined) return { checkpoint, steps: step, counts, end, last };
  }
}

function listed({ id, line, parents, sequences }: RewardRow): ListedRow {
  return { id, line, parents, tokens: sequences.reduce((sum, { length }) => sum + length, 0) };
}

/** Writes the rows of a step that diverged beside the run, as `posttrain reward score` reads them. */
function setApart(
  error: Diverged,
  { output_dir, bf16 }: RewardConfig,
  step: number,
  rows: readonly RewardRow[],
  checkpoint: string,
): Promise<Error> {
  const file = join(output_dir, `diverged-step-${step}.jsonl`);
  const look = `npx posttrain reward score --model_name_or_path ${checkpoint} --data ${file}${bf16 ? " --dtype bfloat16" : ""}`;
  const plain = rows.map(({ line, sequences, labels, margin }) => ({
    line,
    responses_ids: sequences.map((ids) => [...ids]),
    labels,
    margin,
  }));
  return quarantine(error, file, plain, checkpoint, look);
}
