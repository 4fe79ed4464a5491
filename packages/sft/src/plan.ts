// What fine-tuning does with its rows, as packages/train takes it dry: for `posttrain plan`, and for the refusal of what cannot fit.
import { IGNORED_LABEL, type TokenizedRow } from "@posttrain/data";
import { forward, predict, type Qwen2Config } from "@posttrain/model";
import {
  adamwRule,
  microBatchBytes,
  type PlannedRun,
  type RuleConfig,
  ruleOf,
  type StageSteps,
} from "@posttrain/train";
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
  config: RuleConfig,
  { model, units, evalRows }: Pick<SftData, "model" | "units" | "evalRows">,
): PlannedRun<TokenizedRow> {
  return { model, stage: sftSteps, rule: ruleOf(config), units, evalRows };
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
  const rule = adamwRule({ beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 });
  const batch = Array.from({ length: rows }, () => row);
  return microBatchBytes({ model, stage: sftSteps, rule }, batch, activationCheckpointing);
}
