// What training takes of a device's memory, before anything is spent: the stage's own steps on a dry device, which counts what they
// ask for and computes nothing. So the prediction is what the code does, the arena's rounding and its gaps included.
import { openDevice, type Scope, Tape } from "@posttrain/kernels";
import {
  type ComputeDtype,
  emptyModel,
  type Model,
  type ModelOptions,
  type Qwen2Config,
} from "@posttrain/model";
import type { StepOptions } from "./finish-step.js";
import { createOptimizer, type Optimizer, type UpdateRule } from "./optimizer.js";
import { undivided } from "./shards.js";

/** What a stage does with its rows, for who takes it dry. */
export interface StageSteps<Row> {
  /** Sequences of a row, each with its tokens and those of them that are predicted. */
  readonly sequencesOf: (row: Row) => readonly SequenceSize[];
  /** The forward passes of one micro-batch, recorded on the scope's tape. */
  readonly forward: (
    scope: Scope,
    model: Model,
    rows: readonly Row[],
    options: Pick<StepOptions, "activationCheckpointing">,
  ) => void;
  /** A whole optimizer step over the rows of its micro-batches. `beside`: the run's models of that name, in their order. */
  readonly step: (
    model: Model,
    optimizer: Optimizer,
    microBatches: readonly (readonly Row[])[],
    options: StepOptions,
    beside: readonly Model[],
  ) => Promise<unknown>;
  /** One batch of held-out rows, where they are scored as they are. */
  readonly evaluate?: (model: Model, rows: readonly Row[], beside: readonly Model[]) => Promise<unknown>;
}

/** A model that stays beside the one that is trained. */
export interface ModelBeside {
  readonly name: string;
  readonly model: Qwen2Config;
  readonly dtype: ComputeDtype;
}

export interface SequenceSize {
  readonly tokens: number;
  readonly predictions: number;
}

export interface TrainingShape extends Pick<ModelOptions, "trainable"> {
  readonly model: Qwen2Config;
  readonly activationCheckpointing: boolean;
  /** Default: f32. */
  readonly dtype?: ComputeDtype;
  readonly rule: UpdateRule;
  readonly beside?: readonly ModelBeside[] | undefined;
  /** Parts of a step whose gradients are summed apart. Default: 1. */
  readonly shards?: number;
  /** Compute threads: each has working memory of its own. */
  readonly threads?: number | undefined;
  readonly backend?: string | undefined;
  readonly path?: string | undefined;
}

/** Bytes. */
export interface TrainingMemory {
  /** In bf16 with their fp32 masters. */
  readonly weights: number;
  readonly gradients: number;
  /** AdamW's. */
  readonly moments: number;
  /** What the optimizer's rule keeps beside them: online merging's task vector, drift, and moves since the last merge. */
  readonly merging: number;
  /** Models that stay beside it. */
  readonly beside: number;
  /** What the forward pass of the largest micro-batch leaves for its backward pass. */
  readonly held: number;
  /** What is added to it at most: one layer's tensors and gradients, the head's, gradients of looked-up rows. */
  readonly working: number;
  /** At most beside all of the above but `held` and `working`, between steps: while held-out rows are scored, or responses sampled. */
  readonly evaluation: number;
  /** Working memory of the hungriest op. */
  readonly scratch: number;
  /** The most that the arena takes from the system for all of these but scratch. */
  readonly arena: number;
}

/** Of an optimizer step and of what there is between steps: give it the largest of the run. */
export async function trainingMemory<Row>(
  {
    model: config,
    activationCheckpointing,
    rule,
    beside = [],
    shards = 1,
    threads,
    path,
    backend,
    ...options
  }: TrainingShape,
  stage: StageSteps<Row>,
  step: readonly (readonly Row[])[],
  between?: (model: Model, beside: readonly Model[]) => Promise<unknown>,
): Promise<TrainingMemory> {
  const device = openDevice({ dry: true, threads, path, backend });
  const inUse = (): number => device.status().bytesInUse;
  /** The most that `body` takes beyond what there is. */
  const peakOf = async (body: () => Promise<void>): Promise<number> => {
    const before = inUse();
    device.resetPeak();
    await body();
    return device.status().peakBytes - before;
  };
  try {
    const model = emptyModel(device, config, { ...options, masters: true });
    const weights = inUse();
    const optimizer = createOptimizer(model, rule, { ...undivided, shards });
    const gradients = 4 * model.trained.length;
    const kept = inUse() - weights - gradients;
    const arenas = [...optimizer.state.keys(), ...optimizer.fixed.keys()];
    const moments = (kept * arenas.filter((name) => name === "m" || name === "v").length) / arenas.length;
    const trained = inUse();
    const others = beside.map((other) => emptyModel(device, other.model, { dtype: other.dtype }));
    const besides = inUse() - trained;
    const evaluation = await peakOf(async () => {
      await between?.(model, others);
    });
    const largest = [...step].sort((a, b) => tokensOf(stage, b) - tokensOf(stage, a))[0];
    const held =
      largest === undefined
        ? 0
        : await device.run((scope) => {
            const before = inUse();
            stage.forward(scope, model, largest, { activationCheckpointing });
            return inUse() - before;
          }, new Tape());
    const training = await peakOf(async () => {
      if (largest === undefined) return;
      const options = { learningRate: 0, maxGradNorm: 1, activationCheckpointing };
      await stage.step(model, optimizer, step, options, others);
    });
    const { reservedBytes: arena, scratchPeakBytes: scratch } = device.status();
    const working = training - held;
    return {
      weights,
      gradients,
      moments,
      merging: kept - moments,
      beside: besides,
      held,
      working,
      evaluation,
      scratch,
      arena,
    };
  } finally {
    await device.close();
  }
}

/** Tokens of rows. */
export function tokensOf<Row>(stage: Pick<StageSteps<Row>, "sequencesOf">, rows: readonly Row[]): number {
  return rows.flatMap(stage.sequencesOf).reduce((sum, { tokens }) => sum + tokens, 0);
}
