// What a run will take, before anything is spent: memory, by taking its largest step dry (memory.ts), and floating-point work. A run
// that does not fit is refused, with what to lower and to what.
import { byteText, permutation, UserError } from "@posttrain/data";
import { defaultMemoryLimit, machineMemory } from "@posttrain/kernels";
import { forwardWork, type Model, type ModelOptions, type Qwen2Config } from "@posttrain/model";
import {
  type ModelBeside,
  type StageSteps,
  type TrainingMemory,
  tokensOf,
  trainingMemory,
} from "./memory.js";
import type { UpdateRule } from "./optimizer.js";
import { dtypeOf, type TrainingConfig } from "./options.js";
import { planSteps, type StepPlan, stepRows, totalStepsOf, type Unit } from "./steps.js";

/** Options that decide what a run takes. */
export type PlannedOptions = Pick<
  TrainingConfig,
  | "per_device_train_batch_size"
  | "gradient_accumulation_steps"
  | "gradient_checkpointing"
  | "gradient_shards"
  | "bf16"
  | "max_steps"
  | "num_train_epochs"
  | "seed"
>;

export interface TrainingPlan {
  readonly memory: TrainingMemory;
  /** Resident bytes of this process when the plan was made, rows included, and what grows while it trains. */
  readonly process: number;
  /** The most that the process will take: arena, scratch, process. */
  readonly resident: number;
  /** Of that, what is in the machine's memory: all but what is in a GPU's. */
  readonly onHost: number;
  /** What there is: of the machine or its container, and for tensors. */
  readonly available: number;
  readonly tensorLimit: number;
  readonly totalSteps: number;
  /** Of an optimizer step in the mean, and of the whole run. */
  readonly tokens: { readonly step: number; readonly run: number; readonly largestMicroBatch: number };
  /** Floating-point operations: of the products that the results need, and what checkpointing does a second time. */
  readonly work: {
    readonly step: number;
    readonly run: number;
    readonly again: number;
    /** Of what the run does besides steps: sampling, other models. */
    readonly other: number;
  };
}

/** A run before it begins: what it draws from, and what it does with that. */
export interface PlannedRun<Row> {
  readonly model: Qwen2Config;
  readonly stage: StageSteps<Row>;
  readonly rule: UpdateRule;
  /** Which parameters are trained. Default: all. */
  readonly trainable?: ModelOptions["trainable"];
  readonly units: readonly Unit<Row>[];
  readonly evalRows: readonly Row[];
  /** Which units meet in a micro-batch: those of the shuffled order (the default), or any. */
  readonly meets?: "shuffled" | "any";
  /** Where it is no number of passes over the units. */
  readonly totalSteps?: number;
  readonly beside?: readonly ModelBeside[];
  /** What else the run does between steps, in place of scoring held-out rows. */
  readonly between?: {
    readonly name: string;
    /** When, and what takes the memory. */
    readonly what: string;
    /** A sentence, for where it is this that does not fit. */
    readonly remedy: string;
    readonly run: (model: Model, beside: readonly Model[]) => Promise<unknown>;
  };
  /** Floating-point operations besides those of steps, in so many passes. */
  readonly otherWork?: (epochs: number) => number;
  /** What makes rows of a micro-batch shorter, so that it has about so many tokens. Default: max_length. */
  readonly shorten?: (tokens: number) => string;
}

/** Where the code runs. */
export interface PlannedMachine {
  readonly backend?: string | undefined;
  readonly threads?: number | undefined;
  readonly path?: string | undefined;
  /** Of the device, where it is open already. */
  readonly memoryLimit?: number | undefined;
  readonly ownMemory?: boolean | undefined;
  /** Bytes of this process that it holds already, of models that the plan counts. */
  readonly inUse?: number | undefined;
}

/**
 * Of the process while it trains, beyond what it has when the rows are read: V8's heap of a step's objects, pieces of 4 MiB while weights are
 * read and saved, code. Measured 2026-11-25 on Node 20: docs/memory.md.
 */
const processGrowth = 24 * 2 ** 20;

export async function planTraining<Row>(
  config: PlannedOptions,
  run: PlannedRun<Row>,
  machine: PlannedMachine = {},
): Promise<TrainingPlan> {
  const { model, stage, rule, units, trainable, beside, otherWork } = run;
  const micro = config.per_device_train_batch_size;
  const plan = planSteps(units.length, micro, config.gradient_accumulation_steps);
  const totalSteps = run.totalSteps ?? totalStepsOf(config, plan);
  const largest =
    run.meets === "any" ? largestOfAny(run, plan) : largestStep(run, plan, config.seed, totalSteps);
  const memory = await trainingMemory(
    {
      model,
      activationCheckpointing: config.gradient_checkpointing,
      shards: config.gradient_shards,
      dtype: dtypeOf(config),
      rule,
      beside,
      ...(trainable && { trainable }),
      ...machine,
    },
    stage,
    largest.microBatches,
    betweenSteps(run, micro),
  );
  const epochs = totalSteps / plan.stepsPerEpoch;
  let tokens = 0;
  let layers = 0;
  let head = 0;
  for (const sequence of units.flat().flatMap(stage.sequencesOf)) {
    tokens += sequence.tokens;
    const work = forwardWork(model, [sequence.tokens], sequence.predictions);
    layers += work.layers;
    head += work.head;
  }
  const again = config.gradient_checkpointing ? layers : 0;
  const own = processBytes() - (machine.inUse ?? 0);
  return {
    memory,
    process: own,
    resident: memory.arena + memory.scratch + own,
    onHost: machine.ownMemory ? own : memory.arena + memory.scratch + own,
    available: machineMemory(),
    tensorLimit: machine.memoryLimit ?? defaultMemoryLimit(),
    totalSteps,
    tokens: { step: tokens / plan.stepsPerEpoch, run: tokens * epochs, largestMicroBatch: largest.tokens },
    work: {
      step: (3 * (layers + head)) / plan.stepsPerEpoch,
      run: 3 * (layers + head) * epochs,
      again: again * epochs,
      other: otherWork?.(epochs) ?? 0,
    },
  };
}

/** Epochs whose order is looked at for the largest micro-batch: their orders differ, and so do the largest of each. */
const mostUnitsLookedAt = 2_000_000;

/** The step of the run with the micro-batch of most tokens. */
function largestStep<Row>(
  { units, stage }: Pick<PlannedRun<Row>, "units" | "stage">,
  plan: StepPlan,
  seed: number,
  totalSteps: number,
): { readonly microBatches: readonly (readonly Row[])[]; readonly tokens: number } {
  const sizes = units.map((unit) => tokensOf(stage, unit));
  const perStep = plan.unitsPerMicroBatch * plan.microBatchesPerStep;
  const epochs = Math.min(
    Math.ceil(totalSteps / plan.stepsPerEpoch),
    Math.max(1, Math.floor(mostUnitsLookedAt / units.length)),
  );
  let tokens = 0;
  let found = 1;
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = permutation(seed, "shuffling", epoch, units.length);
    const left = (totalSteps - epoch * plan.stepsPerEpoch) * perStep;
    for (let at = 0; at < Math.min(units.length, left); ) {
      // The last micro-batch of a step ends with it.
      const end = Math.min(
        at + plan.unitsPerMicroBatch,
        units.length,
        (Math.floor(at / perStep) + 1) * perStep,
      );
      let sum = 0;
      for (let i = at; i < end; i++) sum += sizes[order[i] as number] as number;
      if (sum > tokens) {
        tokens = sum;
        found = epoch * plan.stepsPerEpoch + Math.floor(at / perStep) + 1;
      }
      at = end;
    }
  }
  return { microBatches: stepRows(units, plan, seed, found), tokens };
}

/** A step of the units with most tokens. */
function largestOfAny<Row>(
  { units, stage }: Pick<PlannedRun<Row>, "units" | "stage">,
  { unitsPerMicroBatch: micro, microBatchesPerStep }: StepPlan,
): { readonly microBatches: readonly (readonly Row[])[]; readonly tokens: number } {
  const sized = units.map((unit) => ({ unit, tokens: tokensOf(stage, unit) }));
  const chosen = sized.sort((a, b) => b.tokens - a.tokens).slice(0, micro * microBatchesPerStep);
  const microBatches: (readonly Row[])[] = [];
  for (let at = 0; at < chosen.length; at += micro) {
    microBatches.push(chosen.slice(at, at + micro).flatMap(({ unit }) => unit));
  }
  const tokens = chosen.slice(0, micro).reduce((sum, one) => sum + one.tokens, 0);
  return { microBatches, tokens };
}

/** What a run does between steps at its largest; undefined where there is nothing. */
function betweenSteps<Row>(
  { stage, evalRows, between }: Pick<PlannedRun<Row>, "stage" | "evalRows" | "between">,
  micro: number,
): ((model: Model, beside: readonly Model[]) => Promise<unknown>) | undefined {
  if (between !== undefined) return between.run;
  const rows = largestBatch(stage, evalRows, micro);
  return rows.length > 0 ? async (model, beside) => stage.evaluate?.(model, rows, beside) : undefined;
}

/** The batch of held-out rows with most tokens. */
function largestBatch<Row>(stage: StageSteps<Row>, rows: readonly Row[], size: number): readonly Row[] {
  let largest: readonly Row[] = [];
  let most = 0;
  for (let at = 0; at < rows.length; at += size) {
    const batch = rows.slice(at, at + size);
    const tokens = tokensOf(stage, batch);
    if (tokens <= most) continue;
    most = tokens;
    largest = batch;
  }
  return largest;
}

/** The most bytes that a process takes which trains on the micro-batch `rows`: for who looks for their number. */
export async function microBatchBytes<Row>(
  {
    model,
    stage,
    rule,
    beside,
    between,
  }: Pick<PlannedRun<Row>, "model" | "stage" | "rule" | "beside" | "between">,
  rows: readonly Row[],
  activationCheckpointing: boolean,
): Promise<{ readonly resident: number; readonly activations: number }> {
  const shape = { model, activationCheckpointing, rule, beside };
  const memory = await trainingMemory(shape, stage, [rows], between?.run);
  const resident = memory.arena + memory.scratch + processBytes();
  return { resident, activations: memory.held + memory.working };
}

/** Of this process, and what it grows by while it trains. */
function processBytes(): number {
  return process.memoryUsage.rss() + processGrowth;
}

function fits(plan: Pick<TrainingPlan, "memory" | "onHost" | "available" | "tensorLimit">): boolean {
  return plan.onHost <= plan.available && plan.memory.arena <= plan.tensorLimit;
}

/** Why a run cannot be begun here, and what would fit; undefined where it fits. */
export async function refusalOf<Row>(
  plan: TrainingPlan,
  config: PlannedOptions,
  run: PlannedRun<Row>,
  machine: PlannedMachine = {},
): Promise<string | undefined> {
  if (fits(plan)) return undefined;
  const limit =
    plan.onHost > plan.available
      ? `${byteText(plan.available)}, which is all that this machine or its container has`
      : `${byteText(plan.tensorLimit)} for tensors (POSTTRAIN_MEMORY; without it 0.9 of what there is)`;
  const remedy = await remedyFor(config, run, machine);
  return `This run would take ${byteText(plan.resident)}, ${byteText(plan.memory.arena)} of it for tensors: more than the ${limit}. ${remedy}`;
}

/** UserError `too_little_memory` where a run cannot be begun. */
export async function refuseWhatCannotFit<Row>(...run: Parameters<typeof refusalOf<Row>>): Promise<void> {
  const refusal = await refusalOf(...run);
  if (refusal !== undefined) throw new UserError("too_little_memory", refusal);
}

async function remedyFor<Row>(
  config: PlannedOptions,
  run: PlannedRun<Row>,
  machine: PlannedMachine,
): Promise<string> {
  const { per_device_train_batch_size: rows, gradient_accumulation_steps: micros } = config;
  const checkpointing = { ...config, gradient_checkpointing: true };
  const flag = config.gradient_checkpointing ? [] : ["--gradient_checkpointing (the same bits, more time)"];
  const smaller = Array.from({ length: rows - 1 }, (_, i) => rows - 1 - i).filter((n) => rows % n === 0);
  const tries = [
    { options: checkpointing, changes: flag },
    ...smaller.map((n) => {
      const accumulation = (micros * rows) / n;
      const pieces = `--per_device_train_batch_size ${n} --gradient_accumulation_steps ${accumulation} (the same step in smaller pieces)`;
      return {
        options: {
          ...checkpointing,
          per_device_train_batch_size: n,
          gradient_accumulation_steps: accumulation,
        },
        changes: [...flag, pieces],
      };
    }),
  ];
  let last: TrainingPlan | undefined;
  for (const { options, changes } of tries) {
    if (changes.length === 0) continue;
    last = await planTraining(options, run, machine);
    if (fits(last)) return `It fits, with ${byteText(last.resident)}, by ${changes.join(" and ")}.`;
  }
  const state = await trainingMemory(
    {
      ...{ model: run.model, activationCheckpointing: true, dtype: dtypeOf(config) },
      ...{ rule: run.rule, beside: run.beside, ...machine },
    },
    run.stage,
    [],
  );
  const fixed = state.weights + state.gradients + state.moments + state.merging + state.beside;
  const alone = last ?? (await planTraining(checkpointing, run, machine));
  const { held, working, evaluation } = alone.memory;
  if (run.between !== undefined && evaluation > held + working) return run.between.remedy;
  const room = Math.min(alone.available - alone.process - alone.memory.scratch, alone.tensorLimit) - fixed;
  if (room <= 0) {
    return `Weights, gradients${state.beside > 0 ? ", other models" : ""} and moments alone take ${byteText(fixed)}: take a smaller model.`;
  }
  // What a micro-batch takes grows with its tokens, so a share of the room is the same share of them.
  const length =
    Math.floor(((room / (alone.memory.arena - fixed)) * alone.tokens.largestMicroBatch) / 64) * 64;
  return length >= 64
    ? `Even one row a micro-batch with gradient_checkpointing does not fit: ${run.shorten?.(length) ?? `lower --max_length to about ${length}`}, or take a smaller model.`
    : "Even a short row does not fit beside weights, gradients and moments: take a smaller model.";
}
