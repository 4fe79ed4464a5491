// Direct preference optimization: what the reference says of all pairs, once; then steps over both answers of each pair, packed one after the other,
// without padding and without attention across. The run itself, from what is refused to the last checkpoint, is packages/train's (row-run.ts); it has
// to ask the reference nothing again when it goes on.
//
// Run: posttrain dpo --model_name_or_path DIR --data pairs.jsonl --output_dir RUN
import type { TokenizedPair } from "@posttrain/data";
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
import { type DpoConfig, dpoConfig, lossOptionsOf } from "./config.js";
import { watchChosen } from "./falling.js";
import {
  averagedMetrics,
  type DpoEvalMetrics,
  type DpoMetrics,
  evalMetrics,
  pairMetrics,
} from "./metrics.js";
import { pairBatch } from "./pair-batch.js";
import { plannedDpo } from "./plan.js";
import { type AskedReference, askReference } from "./reference.js";
import { type DpoData, prepareDpoData } from "./rows.js";
import { dpoStep, evaluateDpo } from "./step.js";

export type DpoStart = RowStart<DpoData>;
export type DpoReport = RowReport<DpoData, DpoMetrics, DpoEvalMetrics>;
export type DpoResult = RowResult<DpoData, DpoMetrics>;

/**
 * Runs the stage, or goes on with it. `signal`: finish the step at hand, save and return. UserError for what is wrong with model, reference,
 * data, output folder or checkpoint; nothing is written before all of it is read.
 */
export function runDpo(
  config: DpoConfig,
  device: Device,
  report: DpoReport = {},
  signal?: AbortSignal,
): Promise<DpoResult> {
  const reference = askReference(config, device, report.onPreparing);
  return runOnRows(stageOf(reference), config, device, report, (run) =>
    train(config, run, reference, report, signal),
  );
}

const stageOf = ({ ask }: AskedReference): RowStage<DpoConfig, TokenizedPair, DpoData> => ({
  name: "dpo",
  shape: dpoConfig.shape,
  averaged: averagedMetrics,
  prepare: prepareDpoData,
  plan: plannedDpo,
  setup: (_, data, runDir) => ({
    beforeModel: ask && ((start) => ask(data, runDir, start)),
    stopIds: data.turnEnds.ends.map(({ id }) => id),
  }),
  tokensOf: ({ promptIds, chosenIds, rejectedIds }) =>
    2 * promptIds.length + chosenIds.length + rejectedIds.length,
});

/** To the end, whichever comes first: the last step, a signal, early stopping. */
async function train(
  config: DpoConfig,
  run: RowRun<TokenizedPair, DpoData>,
  asked: AskedReference,
  report: DpoReport,
  signal: AbortSignal | undefined,
) {
  const { model, optimizer } = run.training;
  const { reference, close } = await asked.open();
  const loss = { ...lossOptionsOf(config), reference };
  const watch = watchChosen(config);
  const evaluate = async (): Promise<void> => {
    const started = performance.now();
    const { evalRows } = run.data;
    const numbers = await evaluateDpo(model, evalRows, config.per_device_train_batch_size, loss);
    const line = await run.recordEvaluation(started, evalMetrics(numbers));
    report.onEvaluation?.(line);
  };

  try {
    if (run.evaluatesFirst) {
      await evaluate();
      report.onSavable?.();
    }
    for (;;) {
      const next = run.next();
      const { step, batches } = next;
      const options = { ...loss, ...next.options };
      const done = await dpoStep(model, optimizer, batches.map(pairBatch), options).catch((error) =>
        run.setApart(error, next, shown),
      );
      const last = await run.record(next, done, pairMetrics(done));
      report.onStep?.(last, run.totalSteps);
      const notice = watch(step, done.rewards.chosen);
      if (notice !== undefined) report.onNotice?.(notice);
      if (run.evaluates(step)) await evaluate();
      const { end, checkpoint } = await run.finish(signal);
      if (checkpoint !== "") report.onCheckpoint?.(checkpoint);
      if (end !== undefined) return { checkpoint, steps: step, end, last };
    }
  } finally {
    close?.();
  }
}

/** As `posttrain validate` shows them. */
const shown: ShownRows<TokenizedPair> = {
  plain: ({ line, promptIds, chosenIds, rejectedIds }) => ({
    line,
    prompt_ids: [...promptIds],
    chosen_ids: [...chosenIds],
    rejected_ids: [...rejectedIds],
  }),
  look: (file, checkpoint, pairs) =>
    `npx posttrain validate --stage dpo --model_name_or_path ${checkpoint} --data ${file} --samples ${pairs}`,
};
