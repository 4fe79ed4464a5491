// A run of any trainer, from its folder to its last checkpoint: what is opened once everything that can be refused has been looked at, and
// what every step does besides its own arithmetic: lines of metrics, patience, checkpoints.
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import type { Device } from "@posttrain/kernels";
import {
  type Companions,
  checkCompanions,
  type LoadOptions,
  loadModel,
  type Model,
  modelDigest,
  readCompanions,
} from "@posttrain/model";
import {
  acceptDifferences,
  type Identity,
  type Metrics,
  type MetricsLine,
  openMetrics,
  openStepLog,
  type Parent,
  type Run,
  type StepLog,
} from "@posttrain/run";
import type { z } from "zod";
import { identityOf } from "./identity.js";
import { type Averaged, addStep, loggedLine } from "./logged-means.js";
import { createOptimizer, fillFixed, type Optimizer, reportedMetrics, type UpdateRule } from "./optimizer.js";
import { dtypeOf, type TrainingConfig } from "./options.js";
import { ranksOf } from "./ranks.js";
import { refuseOtherVocabulary } from "./same-vocabulary.js";
import { restoreOptimizer, type Saving, saveCheckpoint } from "./saving.js";
import { openBase } from "./task-vector.js";
import {
  judged,
  newTrainerState,
  outOfPatience,
  readTrainerState,
  type TrainerState,
} from "./trainer-state.js";

/** What a stage tells of its run; the companions were read before all that reads them. */
export interface TrainingSetup
  extends Pick<LoadOptions, "kind" | "as" | "trainable">,
    Pick<Saving, "companions" | "stopIds" | "own"> {
  /** Files of a checkpoint's model folder that the stage writes in place of the companions of that name. */
  readonly files?: Companions;
  /** Its name, in checkpoints. */
  readonly stage: string;
  /** Of the stage's schema: its keys say what they do to the identity. */
  readonly shape: Readonly<Record<string, z.ZodType>>;
  readonly config: TrainingConfig;
  readonly totalSteps: number;
  readonly rule: UpdateRule;
  /** SHA-256 of what the run reads beside the model, and of these what its checkpoints name as parents. */
  readonly digests: Readonly<Record<string, string>>;
  readonly parents: readonly Parent[];
  /** Metrics whose lines are means over logging_steps. */
  readonly averaged: Averaged;
  /**
   * What is to be done while the device is empty, in the run folder, which is begun: everything that can be refused has been looked at. `start`:
   * digest of the model to start from.
   */
  readonly beforeModel?: ((start: string) => Promise<void>) | undefined;
  /** All is read and loaded: steps come next. */
  readonly onBegin?: (() => void) | undefined;
}

/** What a stage measures of a step: under TRL's names. */
export type StepMetrics = { readonly step: number; readonly epoch: number; readonly num_tokens: number } & {
  readonly [name: string]: number;
};

export type End = "done" | "stopped_early" | "interrupted";

export interface Training {
  readonly model: Model;
  readonly optimizer: Optimizer;
  /** Whether this is the rank that writes into the run folder. */
  readonly leads: boolean;
  /** What whoever runs it should know before the first step: sentences. */
  readonly notes: readonly string[];
  /** What its bits are a function of. */
  readonly identity: Identity;
  /** Where the run stands: after as many steps as have been recorded. */
  readonly state: () => TrainerState;
  /** Records a step that is done: its metrics, where a line is due, its number of trained tokens, and the lines of its rows. */
  readonly record: (metrics: StepMetrics, trained: number, lines: readonly number[]) => Promise<void>;
  /** Records an evaluation, whose loss early stopping looks at. */
  readonly recordEvaluation: (line: MetricsLine, loss: number) => Promise<void>;
  /** Writes a checkpoint and returns its folder. */
  readonly save: () => Promise<string>;
  /** Whether the run ends after the step at hand, and how: for all ranks as rank 0 says. */
  readonly ending: (signal: AbortSignal | undefined) => Promise<End | undefined>;
  readonly close: () => Promise<void>;
}

/** Nothing is left to do: the newest checkpoint is the last. */
export interface Finished {
  readonly checkpoint: string;
  readonly steps: number;
}

/**
 * Loads model and optimizer where the run stands, and opens its logs. UserError for an identity that nobody accepted, another stage's
 * checkpoint, weights that are broken, a folder that cannot be written. Nothing is written before all of it is read.
 */
export async function openTraining(
  run: Run,
  device: Device,
  setup: TrainingSetup,
): Promise<Training | Finished> {
  const { stage, config, totalSteps, rule } = setup;
  const reported = Object.fromEntries((rule.reports ?? []).map((name) => [name, "steps" as const]));
  const averaged: Averaged = { ...setup.averaged, ...reported };
  const from = run.checkpoint;
  const start = await modelDigest(config.model_name_or_path);
  const base = await baseOf(setup);
  const identity = identityOf(setup.shape, config, totalSteps, {
    ...setup.digests,
    model: start,
    ...(base && { base_model: base.sha256 }),
  });
  const ranks = ranksOf(device);
  refuseOtherInputs(await ranks.exchange(identity));
  const changes =
    from === undefined
      ? []
      : acceptDifferences(from.dir, from.manifest.identity, identity, config.accept_change);
  const step = from?.manifest.step ?? 0;
  const saving: Saving = {
    identity,
    accepted: [...(from?.manifest.accepted ?? []), ...changes.map((change) => ({ step, ...change }))],
    parents: [
      { kind: "model", path: config.model_name_or_path, sha256: start },
      ...(base ? [base] : []),
      ...setup.parents,
    ],
    companions: { ...setup.companions, ...setup.files },
    keep: config.save_total_limit,
    stopIds: setup.stopIds,
    own: setup.own,
  };
  await checkCompanions(config.model_name_or_path, setup.companions);
  const left = from && (await readTrainerState(from, stage));
  if (from && left && (step >= totalSteps || outOfPatience(left, config))) {
    return { checkpoint: from.dir, steps: step };
  }
  const { resume_from_checkpoint: _, accept_change: __, ...lasting } = config;
  const begin = (): Promise<void> => run.begin({ stage, ...lasting });
  if (setup.beforeModel !== undefined) {
    await begin();
    await setup.beforeModel(start);
  }
  const { kind, as, trainable } = setup;
  const model = await loadModel(device, from?.dir ?? config.model_name_or_path, {
    dtype: dtypeOf(config),
    masters: true,
    ...(kind && { kind }),
    ...(as && { as }),
    ...(trainable && { trainable }),
  });
  try {
    const optimizer = createOptimizer(model, rule, { shards: config.gradient_shards, ranks });
    await fillFixed(model, optimizer);
    if (from !== undefined) await restoreOptimizer(model, optimizer, from);
    setup.onBegin?.();
    if (setup.beforeModel === undefined) await begin();
    const last = left?.global_step ?? -1;
    const leads = ranks.rank === 0;
    const metrics = leads ? await openMetrics(run.dir, last, totalSteps) : unwritten;
    const rowsOfSteps = leads
      ? await openStepLog(join(run.dir, "steps.jsonl"), last).catch(async (error: unknown) => {
          await metrics.close();
          throw error;
        })
      : unwritten;
    let state: TrainerState = { ...(left ?? newTrainerState(stage, totalSteps)), max_steps: totalSteps };
    return {
      model,
      optimizer,
      leads,
      notes: optimizer.filled.notes,
      identity,
      state: () => state,
      record: async (measured, trained, lines) => {
        const line = { ...measured, ...(await reportedMetrics(optimizer)) };
        const unlogged = addStep(state.unlogged, line, averaged, trained);
        const logs = line.step % config.logging_steps === 0 || line.step === totalSteps;
        if (logs) await metrics.append(loggedLine(line, unlogged, averaged));
        await rowsOfSteps.append({ step: line.step, lines });
        state = {
          ...state,
          global_step: line.step,
          epoch: line.epoch,
          num_input_tokens_seen: line.num_tokens,
          unlogged: logs ? undefined : unlogged,
        };
      },
      recordEvaluation: async (line, loss) => {
        await metrics.append(line);
        state = judged(state, loss, config.early_stopping_threshold);
      },
      save: async () => {
        await run.check();
        await metrics.sync();
        await rowsOfSteps.sync();
        const logs = { ...metrics.logs, "steps.jsonl": rowsOfSteps.lines };
        return saveCheckpoint(run.dir, model, optimizer, state, logs, saving);
      },
      ending: async (signal) => {
        if (state.global_step === totalSteps) return "done";
        if (outOfPatience(state, config)) return "stopped_early";
        return (await ranks.broadcast(signal?.aborted === true)) ? "interrupted" : undefined;
      },
      close: async () => {
        await metrics.close();
        await rowsOfSteps.close();
        model.scope.end();
      },
    };
  } catch (error) {
    model.scope.end();
    throw error;
  }
}

/** Logs of a rank that writes none. */
const unwritten: Metrics & StepLog = {
  logs: {},
  lines: 0,
  append: async () => undefined,
  sync: async () => undefined,
  close: async () => undefined,
};

/** Ranks must read the same rows and weights with the same settings, or they would train on different things. */
function refuseOtherInputs([first = {}, ...others]: readonly Identity[]): void {
  for (const [i, other] of others.entries()) {
    const key = [...new Set([...Object.keys(first), ...Object.keys(other)])].find(
      (name) => JSON.stringify(first[name]) !== JSON.stringify(other[name]),
    );
    if (key === undefined) continue;
    throw new UserError(
      "other_inputs",
      `Rank ${i + 1} has another ${key} than rank 0: ${JSON.stringify(other[key])} instead of ${JSON.stringify(first[key])}. Give all ranks the same settings and copies of the same files.`,
    );
  }
}

/** Of a run that merges online: the model that its task vector begins at. UserError where it reads other token ids, or has other shapes. */
async function baseOf({
  config: { optim, model_name_or_path: start, base_model_name_or_path: path },
  companions,
  trainable,
}: TrainingSetup): Promise<Parent | undefined> {
  if (optim === "adamw" || path === undefined) return undefined;
  refuseOtherVocabulary(start, companions, path, await readCompanions(path));
  await openBase({ start, base: path }, trainable);
  return { kind: "model", path, sha256: await modelDigest(path) };
}
