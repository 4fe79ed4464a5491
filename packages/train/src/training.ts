// A run of any trainer, from its folder to its last checkpoint: what is opened once everything that can be refused has been looked at, and
// what every step does besides its own arithmetic: lines of metrics, patience, checkpoints.
import { join } from "node:path";
import type { Device } from "@posttrain/kernels";
import { checkCompanions, loadModel, type Model, type ModelOptions, modelDigest } from "@posttrain/model";
import {
  acceptDifferences,
  type MetricsLine,
  openMetrics,
  openStepLog,
  type Parent,
  type Run,
} from "@posttrain/run";
import type { z } from "zod";
import { identityOf } from "./identity.js";
import { type Averaged, addStep, loggedLine } from "./logged-means.js";
import { createOptimizer, type Optimizer, type UpdateRule } from "./optimizer.js";
import { dtypeOf, type TrainingConfig } from "./options.js";
import { restoreOptimizer, type Saving, saveCheckpoint } from "./saving.js";
import {
  judged,
  newTrainerState,
  outOfPatience,
  readTrainerState,
  type TrainerState,
} from "./trainer-state.js";

/** What a stage tells of its run; the companions were read before all that reads them. */
export interface TrainingSetup
  extends Pick<ModelOptions, "beside" | "trainable">,
    Pick<Saving, "companions" | "stopIds"> {
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
  /** All is read and loaded; the folder is begun next. */
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
  /** Where the run stands: after as many steps as have been recorded. */
  readonly state: () => TrainerState;
  /** Records a step that is done: its metrics, where a line is due, its number of trained tokens, and the lines of its rows. */
  readonly record: (metrics: StepMetrics, trained: number, lines: readonly number[]) => Promise<void>;
  /** Records an evaluation, whose loss early stopping looks at. */
  readonly recordEvaluation: (line: MetricsLine, loss: number) => Promise<void>;
  /** Writes a checkpoint and returns its folder. */
  readonly save: () => Promise<string>;
  /** Whether the run ends after the step at hand, and how. */
  readonly ending: (signal: AbortSignal | undefined) => End | undefined;
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
  const { stage, config, totalSteps, rule, averaged } = setup;
  const from = run.checkpoint;
  const base = await modelDigest(config.model_name_or_path);
  const identity = identityOf(setup.shape, config, totalSteps, { ...setup.digests, model: base });
  const changes =
    from === undefined
      ? []
      : acceptDifferences(from.dir, from.manifest.identity, identity, config.accept_change);
  const step = from?.manifest.step ?? 0;
  const saving: Saving = {
    identity,
    accepted: [...(from?.manifest.accepted ?? []), ...changes.map((change) => ({ step, ...change }))],
    parents: [{ kind: "model", path: config.model_name_or_path, sha256: base }, ...setup.parents],
    companions: setup.companions,
    keep: config.save_total_limit,
    stopIds: setup.stopIds,
  };
  await checkCompanions(config.model_name_or_path, setup.companions);
  const left = from && (await readTrainerState(from, stage));
  if (from && left && (step >= totalSteps || outOfPatience(left, config))) {
    return { checkpoint: from.dir, steps: step };
  }
  const { beside, trainable } = setup;
  const model = await loadModel(device, from?.dir ?? config.model_name_or_path, {
    dtype: dtypeOf(config),
    masters: true,
    ...(beside && { beside }),
    ...(trainable && { trainable }),
  });
  try {
    const optimizer = createOptimizer(model, rule);
    if (from !== undefined) await restoreOptimizer(model, optimizer, from);
    const { resume_from_checkpoint: _, accept_change: __, ...lasting } = config;
    setup.onBegin?.();
    await run.begin({ stage, ...lasting });
    const metrics = await openMetrics(run.dir, left?.global_step ?? -1, totalSteps);
    const rowsOfSteps = await openStepLog(join(run.dir, "steps.jsonl"), left?.global_step ?? -1);
    let state: TrainerState = { ...(left ?? newTrainerState(stage, totalSteps)), max_steps: totalSteps };
    return {
      model,
      optimizer,
      state: () => state,
      record: async (line, trained, lines) => {
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
        return (await saveCheckpoint(run.dir, model, optimizer, state, logs, saving)).dir;
      },
      ending: (signal) => {
        if (state.global_step === totalSteps) return "done";
        if (outOfPatience(state, config)) return "stopped_early";
        return signal?.aborted === true ? "interrupted" : undefined;
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
