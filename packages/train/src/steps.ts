// Which rows an optimizer step trains on: a fresh permutation for each epoch, cut into micro-batches. A function of (rows, seed, step)
// alone, so a checkpoint needs no cursor.
import { permutation } from "@posttrain/data";
import type { TrainingConfig } from "./options.js";

/** What is drawn as one: a row, or the rows of a pack. */
export type Unit<Row> = readonly Row[];

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
  { max_steps, num_train_epochs }: Pick<TrainingConfig, "max_steps" | "num_train_epochs">,
  { stepsPerEpoch }: StepPlan,
): number {
  return max_steps ?? Math.ceil(num_train_epochs * stepsPerEpoch);
}

/** The rows of each micro-batch of optimizer step `step` (from 1). The last step of an epoch takes what is left of it. */
export function stepRows<Row>(
  units: readonly Unit<Row>[],
  plan: StepPlan,
  seed: number,
  step: number,
): readonly (readonly Row[])[] {
  const epoch = Math.floor((step - 1) / plan.stepsPerEpoch);
  const order = permutation(seed, "shuffling", epoch, units.length);
  const perStep = plan.unitsPerMicroBatch * plan.microBatchesPerStep;
  const first = ((step - 1) % plan.stepsPerEpoch) * perStep;
  const chosen = Array.from(order.slice(first, first + perStep), (i) => units[i] as Unit<Row>);
  const batches: (readonly Row[])[] = [];
  for (let at = 0; at < chosen.length; at += plan.unitsPerMicroBatch) {
    batches.push(chosen.slice(at, at + plan.unitsPerMicroBatch).flat());
  }
  return batches;
}
