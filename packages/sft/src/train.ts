// Supervised fine-tuning: conversations and texts, of which the tokens that `loss_on` names are learnt. A step's rows are packed one after the other,
// without padding and without attention across. The run itself, from what is refused to the last checkpoint, is packages/train's (row-run.ts).
//
// Run: posttrain sft --model_name_or_path DIR --data rows.jsonl --output_dir RUN
import type { TokenizedRow } from "@posttrain/data";
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
import { type SftConfig, sftConfig } from "./config.js";
import { averagedMetrics, type SftEvalMetrics, type SftMetrics } from "./metrics.js";
import { microBatch } from "./micro-batch.js";
import { plannedSft } from "./plan.js";
import { prepareSftData, type SftData } from "./rows.js";
import { evaluateSft, sftStep } from "./step.js";

export type SftStart = RowStart<SftData>;
export type SftReport = RowReport<SftData, SftMetrics, SftEvalMetrics>;
export type SftResult = RowResult<SftData, SftMetrics>;

/**
 * Runs the stage, or goes on with it. `signal`: finish the step at hand, save and return. UserError for what is wrong with model, data, output
 * folder or checkpoint; nothing is written before all of it is read.
 */
export function runSft(
  config: SftConfig,
  device: Device,
  report: SftReport = {},
  signal?: AbortSignal,
): Promise<SftResult> {
  return runOnRows(stage, config, device, report, (run) => train(config, run, report, signal));
}

const stage: RowStage<SftConfig, TokenizedRow, SftData> = {
  name: "sft",
  shape: sftConfig.shape,
  averaged: averagedMetrics,
  prepare: prepareSftData,
  plan: plannedSft,
  setup: (_, { turnEnds }) => ({ stopIds: turnEnds.ends.map(({ id }) => id) }),
  tokensOf: ({ inputIds }) => inputIds.length,
};

/** To the end, whichever comes first: the last step, a signal, early stopping. */
async function train(
  config: SftConfig,
  run: RowRun<TokenizedRow, SftData>,
  report: SftReport,
  signal: AbortSignal | undefined,
) {
  const { model, optimizer } = run.training;
  const evaluate = async (): Promise<void> => {
    const started = performance.now();
    const { evalRows } = run.data;
    const { loss, entropy, accuracy } = await evaluateSft(
      model,
      evalRows,
      config.per_device_train_batch_size,
    );
    const means = { eval_loss: loss, eval_entropy: entropy, eval_mean_token_accuracy: accuracy };
    const line = await run.recordEvaluation(started, means);
    report.onEvaluation?.(line);
  };

  if (run.evaluatesFirst) {
    await evaluate();
    report.onSavable?.();
  }
  for (;;) {
    const next = run.next();
    const { step, batches, options } = next;
    const done = await sftStep(model, optimizer, batches.map(microBatch), options).catch((error) =>
      run.setApart(error, next, shown(config)),
    );
    const { entropy, accuracy } = done;
    const last = await run.record(next, done, { entropy, mean_token_accuracy: accuracy });
    report.onStep?.(last, run.totalSteps);
    if (run.evaluates(step)) await evaluate();
    const { end, checkpoint } = await run.finish(signal);
    if (checkpoint !== "") report.onCheckpoint?.(checkpoint);
    if (end !== undefined) return { checkpoint, steps: step, end, last };
  }
}

/** As `posttrain score` reads them. */
const shown = ({ bf16 }: SftConfig): ShownRows<TokenizedRow> => ({
  plain: ({ line, inputIds, labels }) => ({ line, input_ids: [...inputIds], labels: [...labels] }),
  look: (file, checkpoint) =>
    `npx posttrain score --model_name_or_path ${checkpoint} --data ${file}${bf16 ? " --dtype bfloat16" : ""}`,
});
