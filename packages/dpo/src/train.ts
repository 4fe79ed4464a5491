// Direct preference optimization, read top to bottom: look at everything that can be refused; what the reference says of all pairs, once; then
// for each step: forward over both answers of each pair, loss, backward for every micro-batch; clip; update; log; evaluate; save. Answers are
// packed one after the other, without padding and without attention across. A run that is stopped or killed goes on from its newest checkpoint
// with the same bits, and has to ask the reference nothing again.
//
// Run: posttrain dpo --model_name_or_path DIR --data pairs.jsonl --output_dir RUN
import { join } from "node:path";
import type { OnProgress, PreferenceCounts, TokenizedPair } from "@posttrain/data";
import type { Device } from "@posttrain/kernels";
import { type Model, readCompanions } from "@posttrain/model";
import type { Run } from "@posttrain/run";
import {
  Diverged,
  dtypeOf,
  type End,
  type ListedRow,
  openTraining,
  openTrainingRun,
  planSteps,
  planTraining,
  quarantine,
  rateOf,
  refuseWhatCannotFit,
  type StepPlan,
  stepRows,
  type Training,
  type TrainingPlan,
  totalStepsOf,
  writeRowLists,
} from "@posttrain/train";
import { type DpoConfig, dpoConfig, lossOptionsOf } from "./config.js";
import { watchChosen } from "./falling.js";
import { averagedMetrics, type DpoEvalMetrics, type DpoMetrics, pairMetrics } from "./metrics.js";
import { pairBatch } from "./pair-batch.js";
import { plannedDpo } from "./plan.js";
import { cachedReference, liveReference } from "./reference.js";
import { type DpoData, prepareDpoData } from "./rows.js";
import { dpoStep, evaluateDpo, type Reference } from "./step.js";

/** What was found in a folder that is gone on with: damaged checkpoints, and lines that its logs lack. */
type Findings = Pick<Run, "damaged" | "missing">;

export interface DpoStart extends Findings {
  readonly model: Model;
  readonly data: DpoData;
  readonly plan: StepPlan;
  readonly totalSteps: number;
  /** What it will take at most. */
  readonly prediction: TrainingPlan;
  readonly from: { readonly dir: string; readonly step: number } | undefined;
  /** Of the optimizer. */
  readonly notes: readonly string[];
}

export interface DpoReport {
  readonly onReading?: OnProgress;
  /** While the reference is asked: pairs done, of so many. */
  readonly onPreparing?: (what: string, done: number, total: number) => void;
  /** From here on a run that is asked to stop has something to save: all is read, and a new run's first evaluation done. */
  readonly onSavable?: () => void;
  readonly onStart?: (run: DpoStart) => void;
  readonly onStep?: (metrics: DpoMetrics, totalSteps: number) => void;
  readonly onEvaluation?: (metrics: DpoEvalMetrics) => void;
  /** A sentence about what is seen in the metrics, with what to try. */
  readonly onNotice?: (sentence: string) => void;
}

export interface DpoResult extends Findings {
  /** The newest checkpoint: of the last step done. */
  readonly checkpoint: string;
  readonly steps: number;
  readonly counts: PreferenceCounts;
  /** How it ended: all steps done; asked to stop; no better loss for too long; or nothing was left to do. */
  readonly end: End | "nothing_to_do";
  readonly last: DpoMetrics | undefined;
}

/**
 * Runs the stage, or goes on with it. `signal`: finish the step at hand, save and return. UserError for what is wrong with model, reference,
 * data, output folder or checkpoint; nothing is written before all of it is read.
 */
export async function runDpo(
  config: DpoConfig,
  device: Device,
  report: DpoReport = {},
  signal?: AbortSignal,
): Promise<DpoResult> {
  const run = await openTrainingRun(config, device);
  let closeReference = (): void => undefined;
  try {
    const companions = await readCompanions(config.model_name_or_path);
    const data = await prepareDpoData(config, "error", report.onReading);
    const { counts, units, digests } = data;
    const { per_device_train_batch_size: pairs, gradient_accumulation_steps: batches } = config;
    const plan = planSteps(units.length, pairs, batches);
    const totalSteps = totalStepsOf(config, plan);
    const planned = plannedDpo(config, data);
    const prediction = await planTraining(config, planned, device.options);
    await refuseWhatCannotFit(prediction, config, planned, device);
    const evaluatesFirst = run.checkpoint === undefined && data.evalRows.length > 0;
    const dtype = dtypeOf(config);
    const dir = config.ref_model_name_or_path ?? config.model_name_or_path;
    let reference: Reference | undefined;
    const askReference = async (start: string): Promise<void> => {
      const all = [...data.trainRows, ...data.evalRows];
      const digest = digests["reference"] ?? start;
      const onProgress = (done: number, total: number) =>
        report.onPreparing?.("log-probabilities of the reference", done, total);
      reference = await cachedReference(device, { dir, digest, dtype }, all, run.dir, pairs, onProgress);
    };
    const training = await openTraining(run, device, {
      stage: "dpo",
      shape: dpoConfig.shape,
      config,
      totalSteps,
      rule: planned.rule,
      digests,
      parents: [{ kind: "data", path: config.data, sha256: digests.data }],
      averaged: averagedMetrics,
      companions,
      beforeModel: config.precompute_ref_log_probs ? askReference : undefined,
      onBegin: evaluatesFirst ? undefined : report.onSavable,
      stopIds: data.turnEnds.ends.map(({ id }) => id),
    });
    const { checkpoint, damaged, missing } = run;
    const findings: Findings = { damaged, missing };
    if (!("model" in training))
      return { ...training, counts, end: "nothing_to_do", last: undefined, ...findings };
    try {
      if (reference === undefined) {
        const live = await liveReference(device, { dir, dtype });
        reference = live.reference;
        closeReference = live.close;
      }
      if (training.leads) {
        await writeRowLists(run.dir, {
          train: data.trainRows.map(listed),
          eval: data.evalRows.map(listed),
          ...data,
        });
      }
      const from = checkpoint && { dir: checkpoint.dir, step: checkpoint.manifest.step };
      const { model, notes } = training;
      report.onStart?.({ model, data, plan, totalSteps, prediction, from, notes, ...findings });
      const setup = { data, plan, totalSteps, reference };
      return { ...(await train(config, training, setup, report, signal)), ...findings };
    } finally {
      closeReference();
      await training.close();
    }
  } finally {
    await run.close();
  }
}

const listed = (pair: TokenizedPair): ListedRow => {
  const { promptIds, chosenIds, rejectedIds } = pair;
  return { ...pair, tokens: 2 * promptIds.length + chosenIds.length + rejectedIds.length };
};

/** To the end, whichever comes first: the last step, a signal, early stopping. */
async function train(
  config: DpoConfig,
  training: Training,
  {
    data,
    plan,
    totalSteps,
    reference,
  }: Pick<DpoStart, "data" | "plan" | "totalSteps"> & { readonly reference: Reference },
  report: DpoReport,
  signal: AbortSignal | undefined,
): Promise<Omit<DpoResult, keyof Findings>> {
  const { model, optimizer } = training;
  const { evalRows, counts } = data;
  const loss = { ...lossOptionsOf(config), reference };
  const watch = watchChosen(config);
  const evaluate = async (): Promise<void> => {
    const started = performance.now();
    const numbers = await evaluateDpo(model, evalRows, config.per_device_train_batch_size, loss);
    const named = Object.entries(pairMetrics(numbers)).map(
      ([name, value]) => [`eval_${name}`, value] as const,
    );
    const line = {
      step: training.state().global_step,
      epoch: training.state().epoch,
      ...Object.fromEntries(named),
      eval_runtime: (performance.now() - started) / 1000,
    } as DpoEvalMetrics;
    await training.recordEvaluation({ ...line }, numbers.loss);
    report.onEvaluation?.(line);
  };

  if (training.state().global_step === 0 && evalRows.length > 0) {
    await evaluate();
    report.onSavable?.();
  }
  for (;;) {
    const step = training.state().global_step + 1;
    const started = performance.now();
    const pairs = stepRows(data.units, plan, config.seed, step);
    const learningRate = rateOf(config, totalSteps, step);
    const options = {
      ...loss,
      learningRate,
      maxGradNorm: config.max_grad_norm,
      activationCheckpointing: config.gradient_checkpointing,
    };
    const done = await dpoStep(model, optimizer, pairs.map(pairBatch), options).catch(async (error) => {
      if (!(error instanceof Diverged)) throw error;
      const checkpoint = await training.save();
      throw training.leads ? await setApart(error, config, step, pairs.flat(), checkpoint) : error;
    });
    const seconds = (performance.now() - started) / 1000;
    const last: DpoMetrics = {
      step,
      epoch: step / plan.stepsPerEpoch,
      ...pairMetrics(done),
      grad_norm: done.gradNorm,
      learning_rate: learningRate,
      num_tokens: training.state().num_input_tokens_seen + done.tokens,
      step_time: seconds,
      tokens_per_second: done.tokens / seconds,
    };
    await training.record(
      { ...last },
      done.trained,
      pairs.flat().map(({ line }) => line),
    );
    report.onStep?.(last, totalSteps);
    const notice = watch(step, done.rewards.chosen);
    if (notice !== undefined) report.onNotice?.(notice);

    const evaluates = step === totalSteps || step % (config.eval_steps ?? Number.POSITIVE_INFINITY) === 0;
    if (evaluates && evalRows.length > 0) await evaluate();
    const end = await training.ending(signal);
    const checkpoint = end !== undefined || step % config.save_steps === 0 ? await training.save() : "";
    if (end !== undefined) return { checkpoint, steps: step, counts, end, last };
  }
}

/** Writes the pairs of a step that diverged beside the run, as `posttrain validate` shows them. */
function setApart(
  error: Diverged,
  { output_dir }: DpoConfig,
  step: number,
  pairs: readonly TokenizedPair[],
  checkpoint: string,
): Promise<Error> {
  const file = join(output_dir, `diverged-step-${step}.jsonl`);
  const look = `npx posttrain validate --stage dpo --model_name_or_path ${checkpoint} --data ${file} --samples ${pairs.length}`;
  const plain = pairs.map(({ line, promptIds, chosenIds, rejectedIds }) => ({
    line,
    prompt_ids: [...promptIds],
    chosen_ids: [...chosenIds],
    rejected_ids: [...rejectedIds],
  }));
  return quarantine(error, file, plain, checkpoint, look);
}
