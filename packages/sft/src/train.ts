// Supervised fine-tuning, read top to bottom: look at everything that can be refused; then for each step: forward, loss, backward for every
// micro-batch; clip; AdamW; log; evaluate; save. A step's rows are packed one after the other, without padding and without attention across.
// A run that is stopped or killed goes on from its newest checkpoint with the same bits.
//
// Run: posttrain sft --model_name_or_path DIR --data rows.jsonl --output_dir RUN
import { join } from "node:path";
import type { SftCounts } from "@posttrain/data";
import type { Device } from "@posttrain/kernels";
import { loadModel, type Model, modelDigest } from "@posttrain/model";
import {
  acceptDifferences,
  type Damage,
  openMetrics,
  openRun,
  openStepLog,
  type Run,
  writeDurably,
} from "@posttrain/run";
import { adamwRule, createOptimizer, learningRateAt, type Optimizer } from "@posttrain/train";
import { planSteps, type StepPlan, stepBatches, totalStepsOf } from "./batches.js";
import { dtypeOf, identityOf, type SftConfig } from "./config.js";
import { addStep, loggedLine, type SftEvalMetrics, type SftMetrics } from "./metrics.js";
import { planSft, refuseWhatCannotFit, type SftPlan } from "./plan.js";
import { prepareSftData, type SftData, writeRowLists } from "./rows.js";
import {
  readTrainerState,
  restoreOptimizer,
  type Saving,
  saveCheckpoint,
  type TrainerState,
} from "./saving.js";
import { Diverged, evaluateSft, type SftStepResult, sftStep } from "./step.js";

export interface SftStart {
  readonly model: Model;
  readonly data: SftData;
  readonly plan: StepPlan;
  readonly totalSteps: number;
  /** What it will take at most. */
  readonly prediction: SftPlan;
  /** The checkpoint that the run goes on from, and newer ones that are damaged. */
  readonly from: { readonly dir: string; readonly step: number } | undefined;
  readonly damaged: readonly Damage[];
}

export interface SftReport {
  readonly onStart?: (run: SftStart) => void;
  readonly onStep?: (metrics: SftMetrics, totalSteps: number) => void;
  readonly onEvaluation?: (metrics: SftEvalMetrics) => void;
  readonly onCheckpoint?: (dir: string) => void;
}

export interface SftResult {
  /** The newest checkpoint: of the last step done. */
  readonly checkpoint: string;
  readonly steps: number;
  readonly counts: SftCounts;
  /** How it ended: all steps done; asked to stop; no better loss for too long; or nothing was left to do. */
  readonly end: "done" | "interrupted" | "stopped_early" | "nothing_to_do";
  readonly last: SftMetrics | undefined;
}

/**
 * Runs the stage, or goes on with it. `signal`: finish the step at hand, save and return. UserError for what is wrong with model, data, output
 * folder or checkpoint; nothing is written before all of it is read.
 */
export async function runSft(
  config: SftConfig,
  device: Device,
  report: SftReport = {},
  signal?: AbortSignal,
): Promise<SftResult> {
  const run = await openRun(config.output_dir, config.resume_from_checkpoint);
  try {
    const from = run.checkpoint;
    const data = await prepareSftData(config);
    const plan = planSteps(
      data.units.length,
      config.per_device_train_batch_size,
      config.gradient_accumulation_steps,
    );
    const totalSteps = totalStepsOf(config, plan);
    const prediction = await planSft(config, data.model, data, device);
    await refuseWhatCannotFit(prediction, config, data.model, data, device);
    const base = await modelDigest(config.model_name_or_path);
    const identity = identityOf(config, totalSteps, { ...data.digests, model: base });
    const changes =
      from === undefined
        ? []
        : acceptDifferences(from.dir, from.manifest.identity, identity, config.accept_change);
    const step = from?.manifest.step ?? 0;
    const saving: Saving = {
      identity,
      accepted: [...(from?.manifest.accepted ?? []), ...changes.map((change) => ({ step, ...change }))],
      parents: [
        { kind: "model", path: config.model_name_or_path, sha256: base },
        { kind: "data", path: config.data, sha256: data.digests.data },
      ],
      companions: config.model_name_or_path,
      keep: config.save_total_limit,
      stopIds: data.turnEnds.ends.map(({ id }) => id),
    };
    const state = from && (await readTrainerState(from));
    if (from && state && (step >= totalSteps || outOfPatience(state, config))) {
      return {
        checkpoint: from.dir,
        steps: step,
        counts: data.counts,
        end: "nothing_to_do",
        last: undefined,
      };
    }
    const model = await loadModel(device, from?.dir ?? config.model_name_or_path, {
      dtype: dtypeOf(config),
      masters: true,
    });
    try {
      const rule = adamwRule({
        beta1: config.adam_beta1,
        beta2: config.adam_beta2,
        eps: config.adam_epsilon,
        weightDecay: config.weight_decay,
      });
      const optimizer = createOptimizer(model, rule);
      if (from !== undefined) await restoreOptimizer(model, optimizer, from);
      const { resume_from_checkpoint: _, accept_change: __, ...lasting } = config;
      await run.begin(lasting);
      await writeRowLists(run.dir, data);
      report.onStart?.({
        model,
        data,
        plan,
        totalSteps,
        prediction,
        from: from && { dir: from.dir, step },
        damaged: run.damaged,
      });
      const training = { run, config, model, optimizer, data, plan, totalSteps, saving, report, signal };
      return await train(training, state);
    } finally {
      model.scope.end();
    }
  } finally {
    await run.close();
  }
}

const newState: TrainerState = {
  schema: "sft_trainer_state@1",
  global_step: 0,
  max_steps: 1,
  epoch: 0,
  num_input_tokens_seen: 0,
  evaluations_since_best: 0,
};

interface Training {
  readonly run: Run;
  readonly config: SftConfig;
  readonly model: Model;
  readonly optimizer: Optimizer;
  readonly data: SftData;
  readonly plan: StepPlan;
  readonly totalSteps: number;
  readonly saving: Saving;
  readonly report: SftReport;
  readonly signal: AbortSignal | undefined;
}

/** To the end, whichever comes first: the last step, a signal, early stopping. `from`: where a checkpoint left it. */
async function train(training: Training, from: TrainerState | undefined): Promise<SftResult> {
  const { run, config, model, optimizer, data, plan, totalSteps, saving, report, signal } = training;
  const { dir } = run;
  const metrics = await openMetrics(dir, from?.global_step ?? -1, totalSteps);
  const rowsOfSteps = await openStepLog(join(dir, "steps.jsonl"), from?.global_step ?? -1);
  let state: TrainerState = { ...(from ?? newState), max_steps: totalSteps };
  let last: SftMetrics | undefined;
  const save = async (): Promise<string> => {
    await run.check();
    await metrics.sync();
    await rowsOfSteps.sync();
    const checkpoint = await saveCheckpoint(dir, model, optimizer, state, saving);
    report.onCheckpoint?.(checkpoint.dir);
    return checkpoint.dir;
  };
  const evaluate = async (): Promise<void> => {
    const started = performance.now();
    const result = await evaluateSft(model, data.evalRows, config.per_device_train_batch_size);
    const line: SftEvalMetrics = {
      step: state.global_step,
      epoch: state.epoch,
      eval_loss: result.loss,
      eval_entropy: result.entropy,
      eval_mean_token_accuracy: result.accuracy,
      eval_runtime: (performance.now() - started) / 1000,
    };
    await metrics.append({ ...line });
    report.onEvaluation?.(line);
    state = judged(state, result.loss, config.early_stopping_threshold);
  };

  try {
    if (from === undefined && data.evalRows.length > 0) await evaluate();
    for (;;) {
      const step = state.global_step + 1;
      const started = performance.now();
      const batches = stepBatches(data.units, plan, config.seed, step);
      const learningRate = learningRateAt(
        {
          type: config.lr_scheduler_type,
          peak: config.learning_rate,
          floor: config.min_lr,
          warmupSteps: config.warmup_steps,
          totalSteps,
        },
        step,
      );
      let done: SftStepResult;
      try {
        done = await sftStep(model, optimizer, batches, {
          learningRate,
          maxGradNorm: config.max_grad_norm,
          activationCheckpointing: config.gradient_checkpointing,
        });
      } catch (error) {
        throw error instanceof Diverged ? await quarantined(error, config, step, await save()) : error;
      }
      const seconds = (performance.now() - started) / 1000;
      state = {
        ...state,
        global_step: step,
        epoch: step / plan.stepsPerEpoch,
        num_input_tokens_seen: state.num_input_tokens_seen + done.tokens,
      };
      last = {
        step,
        epoch: state.epoch,
        loss: done.loss,
        grad_norm: done.gradNorm,
        learning_rate: learningRate,
        entropy: done.entropy,
        mean_token_accuracy: done.accuracy,
        num_tokens: state.num_input_tokens_seen,
        step_time: seconds,
        tokens_per_second: done.tokens / seconds,
      };
      const unlogged = addStep(state.unlogged, last, done.trained);
      const logs = step % config.logging_steps === 0 || step === totalSteps;
      if (logs) await metrics.append({ ...loggedLine(last, unlogged) });
      state = { ...state, unlogged: logs ? undefined : unlogged };
      await rowsOfSteps.append({ step, lines: batches.flatMap(({ rows }) => rows.map(({ line }) => line)) });
      report.onStep?.(last, totalSteps);

      const ended = step === totalSteps;
      if (
        data.evalRows.length > 0 &&
        (ended || step % (config.eval_steps ?? Number.POSITIVE_INFINITY) === 0)
      ) {
        await evaluate();
      }
      const stoppedEarly = !ended && outOfPatience(state, config);
      const interrupted = !ended && signal?.aborted === true;
      const stops = ended || stoppedEarly || interrupted;
      const checkpoint = stops || step % config.save_steps === 0 ? await save() : undefined;
      if (!stops || checkpoint === undefined) continue;
      const end = ended ? "done" : stoppedEarly ? "stopped_early" : "interrupted";
      return { checkpoint, steps: step, counts: data.counts, end, last };
    }
  } finally {
    await metrics.close();
    await rowsOfSteps.close();
  }
}

/** The state after an evaluation: better by more than the threshold, or one more that was not. */
function judged(state: TrainerState, loss: number, threshold: number): TrainerState {
  if (state.best_metric === undefined || loss < state.best_metric - threshold) {
    return { ...state, best_metric: loss, best_global_step: state.global_step, evaluations_since_best: 0 };
  }
  return { ...state, evaluations_since_best: state.evaluations_since_best + 1 };
}

function outOfPatience(state: TrainerState, { early_stopping_patience: patience }: SftConfig): boolean {
  return patience !== undefined && state.evaluations_since_best >= patience;
}

/** Writes the rows of a step that diverged beside the run, for a look at them, and says how. */
async function quarantined(
  error: Diverged,
  { output_dir: dir, bf16 }: SftConfig,
  step: number,
  checkpoint: string,
): Promise<Error> {
  const file = join(dir, `diverged-step-${step}.jsonl`);
  const rows = error.rows.map(({ line, inputIds, labels }) =>
    JSON.stringify({ line, input_ids: [...inputIds], labels: [...labels] }),
  );
  await writeDurably(file, `${rows.join("\n")}\n`);
  error.message +=
    ` They are in ${file}, the weights before the step in ${checkpoint}. To look at them: ` +
    `npx posttrain score --model_name_or_path ${checkpoint} --data ${file}${bf16 ? " --dtype bfloat16" : ""}`;
  return error;
}
