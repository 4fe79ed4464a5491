// What fine-tuning does with its rows, as packages/train takes it dry: for `posttrain plan`, and for the refusal of what cannot fit.
import { IGNORED_LABEL, type TokenizedRow } from "@posttrain/data";
import { forward, predict, type Qwen2Config } from "@posttrain/model";
import { adamwOf, microBatchBytes, type PlannedRun, type StageSteps } from "@posttrain/train";
import type { SftConfig } from "./config.js";
import { microBatch } from "./micro-batch.js";
import type { SftData } from "./rows.js";
import { evaluateSft, sftStep } from "./step.js";

export const sftSteps: StageSteps<TokenizedRow> = {
  sequencesOf: ({ inputIds, labels }) => [
    {
      tokens: inputIds.length,
      predictions: labels.subarray(1).filter((label) => label !== IGNORED_LABEL).length,
    },
  ],
  forward: (scope, model, rows, options) => {
    const { batch, predictions } = microBatch(rows);
    predict(scope, model, forward(scope, model, batch, options), predictions);
  },
  step: (model, optimizer, microBatches, options) =>
    sftStep(model, optimizer, microBatches.map(microBatch), options),
  evaluate: (model, rows) => evaluateSft(model, rows, rows.length),
};

/** A run of fine-tuning as planTraining() takes it. */
export function plannedSft(
  config: Pick<SftConfig, "adam_beta1" | "adam_beta2" | "adam_epsilon" | "weight_decay">,
  { model, units, evalRows }: Pick<SftData, "model" | "units" | "evalRows">,
): PlannedRun<TokenizedRow> {
  return { model, stage: sftSteps, rule: adamwOf(config), units, evalRows };
}

/** The most bytes that a process takes which trains on micro-batches of `rows` rows of `length` tokens: for who has no rows yet. */
export function residentBytes(
  model: Qwen2Config,
  rows: number,
  length: number,
  activationCheckpointing: boolean,
): ReturnType<typeof microBatchBytes> {
  const inputIds = Int32Array.from({ length: Math.max(2, length) }, (_, i) => i % model.vocabSize);
  const row: TokenizedRow = { id: "", line: 0, parents: [], inputIds, labels: inputIds };
  const rule = adamwOf({ adam_beta1: 0.9, adam_beta2: 0.999, adam_epsilon: 1e-8, weight_decay: 0 });
  const batch = Array.from({ length: rows }, () => row);
  return microBatchBytes({ model, stage: sftSteps, rule }, batch, activationCheckpointing);
}
