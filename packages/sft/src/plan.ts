// What a run will take, before anything is spent: memory, by taking its largest step dry (memory.ts), and floating-point work. A run
// that does not fit is refused, with what to lower and to what.
import { byteText, permutation, type TokenizedRow, UserError } from "@posttrain/data";
import { defaultMemoryLimit, machineMemory } from "@posttrain/kernels";
import { forwardWork, type Qwen2Config } from "@posttrain/model";
import {
  type MicroBatch,
  microBatch,
  planSteps,
  type StepPlan,
  stepBatches,
  totalStepsOf,
  type Unit,
} from "./batches.js";
import { dtypeOf, type SftConfig } from "./config.js";
import { type TrainingMemory, trainingMemory } from "./memory.js";
import type { SftData } from "./rows.js";

/** Options that decide what a run takes. */
export type PlannedOptions = Pick<
  SftConfig,
  | "per_device_train_batch_size"
  | "gradient_accumulation_steps"
  | "gradient_checkpointing"
  | "bf16"
  | "max_length"
  | "packing"
  | "max_steps"
  | "num_train_epochs"
  | "seed"
>;

export interface SftPlan {
  readonly memory: TrainingMemory;
  /** Resident bytes of this process when the plan was made, rows included, and what grows while it trains. */
  readonly process: number;
  /** The most that the process will take: arena, scratch, process. */
  readonly resident: number;
  /** What there is: of the machine or its container, and for tensors. */
  readonly available: number;
  readonly tensorLimit: number;
  readonly totalSteps: number;
  /** Of an optimizer step in the mean, and of the whole run. */
  readonly tokens: { readonly step: number; readonly run: number; readonly largestMicroBatch: number };
  /** Floating-point operations: of the products that the results need, and what checkpointing does a second time. */
  readonly work: { readonly step: number; readonly run: number; readonly again: number };
}

/** Where the code runs. */
export interface PlannedMachine {
  readonly threads?: number | undefined;
  readonly path?: string | undefined;
  /** Of the device, where it is open already. */
  readonly memoryLimit?: number | undefined;
}

/**
 * Of the process while it trains, beyond what it has when the rows are read: V8's heap of a step's objects, pieces of 4 MiB while weights are
 * read and saved, code. Measured 2026-11-25 on Node 20: docs/memory.md.
 */
const processGrowth = 24 * 2 ** 20;

export async function planSft(
  config: PlannedOptions,
  model: Qwen2Config,
  data: Pick<SftData, "units" | "trainRows" | "evalRows">,
  machine: PlannedMachine = {},
): Promise<SftPlan> {
  const micro = config.per_device_train_batch_size;
  const plan = planSteps(data.units.length, micro, config.gradient_accumulation_steps);
  const totalSteps = totalStepsOf(config, plan);
  const largest = largestStep(data.units, plan, config.seed, totalSteps);
  const memory = await trainingMemory(
    { model, activationCheckpointing: config.gradient_checkpointing, dtype: dtypeOf(config), ...machine },
    largest.batches,
    largestBatch(data.evalRows, micro),
  );
  const epochs = totalSteps / plan.stepsPerEpoch;
  let tokens = 0;
  let layers = 0;
  let head = 0;
  for (const { inputIds, labels } of data.trainRows) {
    tokens += inputIds.length;
    const work = forwardWork(
      model,
      [inputIds.length],
      labels.subarray(1).filter((label) => label >= 0).length,
    );
    layers += work.layers;
    head += work.head;
  }
  const again = config.gradient_checkpointing ? layers : 0;
  const own = processBytes();
  return {
    memory,
    process: own,
    resident: memory.arena + memory.scratch + own,
    available: machineMemory(),
    tensorLimit: machine.memoryLimit ?? defaultMemoryLimit(),
    totalSteps,
    tokens: { step: tokens / plan.stepsPerEpoch, run: tokens * epochs, largestMicroBatch: largest.tokens },
    work: {
      step: (3 * (layers + head)) / plan.stepsPerEpoch,
      run: 3 * (layers + head) * epochs,
      again: again * epochs,
    },
  };
}

/** Epochs whose order is looked at for the largest micro-batch: their orders differ, and so do the largest of each. */
const mostUnitsLookedAt = 2_000_000;

/** The step of the run with the micro-batch of most tokens. */
function largestStep(
  units: readonly Unit[],
  plan: StepPlan,
  seed: number,
  totalSteps: number,
): { readonly batches: readonly MicroBatch[]; readonly tokens: number } {
  const tokensOf = units.map((unit) => unit.reduce((sum, { inputIds }) => sum + inputIds.length, 0));
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
      for (let i = at; i < end; i++) sum += tokensOf[order[i] as number] as number;
      if (sum > tokens) {
        tokens = sum;
        found = epoch * plan.stepsPerEpoch + Math.floor(at / perStep) + 1;
      }
      at = end;
    }
  }
  return { batches: stepBatches(units, plan, seed, found), tokens };
}

/** The batch of held-out rows with most tokens. */
function largestBatch(rows: readonly TokenizedRow[], size: number): readonly TokenizedRow[] {
  let largest: readonly TokenizedRow[] = [];
  let most = 0;
  for (let at = 0; at < rows.length; at += size) {
    const batch = rows.slice(at, at + size);
    const tokens = batch.reduce((sum, { inputIds }) => sum + inputIds.length, 0);
    if (tokens <= most) continue;
    most = tokens;
    largest = batch;
  }
  return largest;
}

/** The most bytes that a process takes which trains on micro-batches of `rows` rows of `length` tokens: for who has no rows yet. */
export async function residentBytes(
  model: Qwen2Config,
  rows: number,
  length: number,
  activationCheckpointing: boolean,
): Promise<{ readonly resident: number; readonly activations: number }> {
  const inputIds = Int32Array.from({ length: Math.max(2, length) }, (_, i) => i % model.vocabSize);
  const row: TokenizedRow = { id: "", line: 0, parents: [], inputIds, labels: inputIds };
  const step = [microBatch(Array.from({ length: rows }, () => row))];
  const memory = await trainingMemory({ model, activationCheckpointing }, step);
  const resident = memory.arena + memory.scratch + processBytes();
  return { resident, activations: memory.held + memory.working };
}

/** Of this process, and what it grows by while it trains. */
function processBytes(): number {
  return process.memoryUsage.rss() + processGrowth;
}

function fits(plan: Pick<SftPlan, "memory" | "resident" | "available" | "tensorLimit">): boolean {
  return plan.resident <= plan.available && plan.memory.arena <= plan.tensorLimit;
}

/** Why a run cannot be begun here, and what would fit; undefined where it fits. */
export async function refusalOf(
  plan: SftPlan,
  config: PlannedOptions,
  model: Qwen2Config,
  data: Pick<SftData, "units" | "trainRows" | "evalRows">,
  machine: PlannedMachine = {},
): Promise<string | undefined> {
  if (fits(plan)) return undefined;
  const limit =
    plan.resident > plan.available
      ? `${byteText(plan.available)}, which is all that this machine or its container has`
      : `${byteText(plan.tensorLimit)} for tensors (POSTTRAIN_MEMORY; without it 0.9 of what there is)`;
  const remedy = await remedyFor(config, model, data, machine);
  return `This run would take ${byteText(plan.resident)}, ${byteText(plan.memory.arena)} of it for tensors: more than the ${limit}. ${remedy}`;
}

/** UserError `too_little_memory` where a run cannot be begun. */
export async function refuseWhatCannotFit(...run: Parameters<typeof refusalOf>): Promise<void> {
  const refusal = await refusalOf(...run);
  if (refusal !== undefined) throw new UserError("too_little_memory", refusal);
}

async function remedyFor(
  config: PlannedOptions,
  model: Qwen2Config,
  data: Pick<SftData, "units" | "trainRows" | "evalRows">,
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
  let last: SftPlan | undefined;
  for (const { options, changes } of tries) {
    if (changes.length === 0) continue;
    last = await planSft(options, model, data, machine);
    if (fits(last)) return `It fits, with ${byteText(last.resident)}, by ${changes.join(" and ")}.`;
  }
  const state = await trainingMemory(
    { model, activationCheckpointing: true, dtype: dtypeOf(config), ...machine },
    [],
  );
  const fixed = state.weights + state.gradients + state.moments;
  const alone = last ?? (await planSft(checkpointing, model, data, machine));
  const room = Math.min(alone.available - alone.process - alone.memory.scratch, alone.tensorLimit) - fixed;
  if (room <= 0) {
    return `Weights, gradients and moments alone take ${byteText(fixed)}: take a smaller model.`;
  }
  // What a micro-batch takes grows with its tokens, so a share of the room is the same share of them.
  const length =
    Math.floor(((room / (alone.memory.arena - fixed)) * alone.tokens.largestMicroBatch) / 64) * 64;
  return length >= 64
    ? `Even one row a micro-batch with gradient_checkpointing does not fit: lower --max_length to about ${length}, or take a smaller model.`
    : "Even a short row does not fit beside weights, gradients and moments: take a smaller model.";
}
