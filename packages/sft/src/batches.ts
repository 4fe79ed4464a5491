// Which rows an optimizer step trains on: a fresh permutation for each epoch, cut into micro-batches; and what a micro-batch looks
// like to the model. A function of (rows, seed, step) alone.
import type { TokenizedRow } from "@posttrain/data";
import { IGNORED_LABEL, permutation } from "@posttrain/data";
import { type PackedBatch, type Predictions, packSequences } from "@posttrain/model";
import type { SftConfig } from "./config.js";

export interface MicroBatch {
  readonly rows: readonly TokenizedRow[];
  readonly batch: PackedBatch;
  readonly predictions: Predictions;
}

export function microBatch(rows: readonly TokenizedRow[]): MicroBatch {
  const batch = packSequences(rows.map((row) => row.inputIds));
  const predicting: number[] = [];
  const targets: number[] = [];
  for (const [s, { labels }] of rows.entries()) {
    const start = batch.starts[s] as number;
    for (let i = 1; i < labels.length; i++) {
      if (labels[i] === IGNORED_LABEL) continue;
      predicting.push(start + i - 1);
      targets.push(labels[i] as number);
    }
  }
  return {
    rows,
    batch,
    predictions: { rows: Int32Array.from(predicting), targets: Int32Array.from(targets) },
  };
}

/** What is drawn as one: a row, or the rows of a pack. */
export type Unit = readonly TokenizedRow[];

export interface StepPlan {
  readonly unitsPerMicroBatch: number;
  readonly microBatchesPerStep: number;
  readonly stepsPerEpoch: number;
}

export function planSteps(units: number, unitsPerMicroBatch: number, microBatchesPerStep: number): StepPlan {
  return {
    unitsPerMicroBatch,
    microBatchesPerStep,
    stepsPerEpoch: Math.ceil(units / (unitsPerMicroBatch * microBatchesPerStep)),
  };
}

/** Optimizer steps of a run: max_steps, else so many epochs. */
export function totalStepsOf(
  { max_steps, num_train_epochs }: Pick<SftConfig, "max_steps" | "num_train_epochs">,
  { stepsPerEpoch }: StepPlan,
): number {
  return max_steps ?? Math.ceil(num_train_epochs * stepsPerEpoch);
}

/** The micro-batches of optimizer step `step` (from 1). The last step of an epoch takes what is left of it. */
export function stepBatches(
  units: readonly Unit[],
  plan: StepPlan,
  seed: number,
  step: number,
): readonly MicroBatch[] {
  const epoch = Math.floor((step - 1) / plan.stepsPerEpoch);
  const order = permutation(seed, "shuffling", epoch, units.length);
  const perStep = plan.unitsPerMicroBatch * plan.microBatchesPerStep;
  const first = ((step - 1) % plan.stepsPerEpoch) * perStep;
  const chosen = Array.from(order.slice(first, first + perStep), (i) => units[i] as Unit);
  const batches: MicroBatch[] = [];
  for (let at = 0; at < chosen.length; at += plan.unitsPerMicroBatch) {
    batches.push(microBatch(chosen.slice(at, at + plan.unitsPerMicroBatch).flat()));
  }
  return batches;
}
