// What training takes of a device's memory, before anything is spent: the stage's own steps on a dry device, which counts what they
// ask for and computes nothing. So the prediction is what the code does, the arena's rounding and its gaps included.
import type { TokenizedRow } from "@posttrain/data";
import { openDevice, Tape } from "@posttrain/kernels";
import {
  type ComputeDtype,
  emptyModel,
  forward,
  type Model,
  predict,
  type Qwen2Config,
} from "@posttrain/model";
import { adamwRule, createOptimizer } from "@posttrain/train";
import type { MicroBatch } from "./batches.js";
import { evaluateSft, sftStep } from "./step.js";

export interface TrainingShape {
  readonly model: Qwen2Config;
  readonly activationCheckpointing: boolean;
  /** Default: f32. */
  readonly dtype?: ComputeDtype;
  /** Compute threads: each has working memory of its own. */
  readonly threads?: number | undefined;
  readonly path?: string | undefined;
}

/** Bytes. */
export interface TrainingMemory {
  /** In bf16 with their fp32 masters. */
  readonly weights: number;
  readonly gradients: number;
  readonly moments: number;
  /** What the forward pass of the largest micro-batch leaves for its backward pass. */
  readonly held: number;
  /** What is added to it at most: one layer's tensors and gradients, the head's, gradients of looked-up rows. */
  readonly working: number;
  /** At most beside weights, gradients and moments, while held-out rows are scored. */
  readonly evaluation: number;
  /** Working memory of the hungriest op. */
  readonly scratch: number;
  /** The most that the arena takes from the system for all of these but scratch. */
  readonly arena: number;
}

/** Of an optimizer step and a batch of held-out rows: give it the largest of the run. */
export async function trainingMemory(
  { model: config, activationCheckpointing, dtype = "f32", threads, path }: TrainingShape,
  step: readonly MicroBatch[],
  evaluated: readonly TokenizedRow[] = [],
): Promise<TrainingMemory> {
  const device = openDevice({ dry: true, threads, path });
  const inUse = (): number => device.status().bytesInUse;
  /** The most that `body` takes beyond what there is. */
  const peakOf = async (body: () => Promise<void>): Promise<number> => {
    const before = inUse();
    device.resetPeak();
    await body();
    return device.status().peakBytes - before;
  };
  try {
    const model = emptyModel(device, config, { dtype, masters: true });
    const weights = inUse();
    const optimizer = createOptimizer(
      model,
      adamwRule({ beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 }),
    );
    const gradients = 4 * model.trained.length;
    const moments = inUse() - weights - gradients;
    const evaluation = await peakOf(async () => {
      if (evaluated.length > 0) await evaluateSft(model, evaluated, evaluated.length);
    });
    const largest = [...step].sort((a, b) => b.batch.ids.length - a.batch.ids.length)[0];
    const held = largest === undefined ? 0 : await heldAfterForward(model, largest, activationCheckpointing);
    const training = await peakOf(async () => {
      if (largest === undefined) return;
      await sftStep(model, optimizer, step, { learningRate: 0, maxGradNorm: 1, activationCheckpointing });
    });
    const { reservedBytes: arena, scratchPeakBytes: scratch } = device.status();
    return { weights, gradients, moments, held, working: training - held, evaluation, scratch, arena };
  } finally {
    await device.close();
  }
}

async function heldAfterForward(
  model: Model,
  { batch, predictions }: MicroBatch,
  activationCheckpointing: boolean,
): Promise<number> {
  const { device } = model;
  const before = device.status().bytesInUse;
  return device.run((scope) => {
    predict(scope, model, forward(scope, model, batch, { activationCheckpointing }), predictions);
    return device.status().bytesInUse - before;
  }, new Tape());
}
