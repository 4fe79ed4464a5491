// Supervised fine-tuning, read top to bottom: look at everything that can be refused; then for each step: forward, loss, backward for every
// micro-batch; clip; AdamW; log; evaluate; save. A step's rows are packed one after the other, without padding and without attention across.
// A run that is stopped or killed goes on from its newest checkpoint with the same bits.
//
// Run: posttrain sft --model_name_or_path DIR --data rows.jsonl --output_dir RUN
import { join } from "node:path";
import type { OnProgress, SftCounts, TokenizedRow } from "@posttrain/data";
import type { Device } from "@posttrain/kernels";
import { type Model, readCompanions } from "@posttrain/model";
import type { Run } from "@posttrain/run";
import {
  Diverged,
  type End,
  type ListedRow,
  openTraining,
  openTrainingRun,
  planSteps,
  planTraining,
  quarantine,
  rateOf,
  refuseWhatCannotFit,
  ruleOf,
  type StepPlan,
  stepRows,
  type Training,
  type TrainingPlan,
  totalStepsOf,
  writeRowLists,
} from "@posttrain/train";
import { type SftConfig, sftConfig } from "./config.js";
import { averagedMetrics, type SftEvalMetrics, type SftMetrics } from "./metrics.js";
import { microBatch } from "./micro-batch.js";
import { plannedSft } from "./plan.js";
import { prepareSftData, type SftData } from "./rows.js";
import { evaluateSft, sftStep } from "./step.js";

/** What was found in a folder that is gone on with: damaged checkpoints, and lines that its logs lack. */
type Findings = Pick<Run, "damaged" | "missing">;

export interface SftStart extends Findings {
  readonly model: Model;
  readonly data: SftData;
  readonly plan: StepPlan;
  readonly totalSteps: number;
  /** What it will take at most. */
  readonly prediction: TrainingPlan;
  readonly from: { readonly dir: string; readonly step: number } | undefined;
  /** Of the optimizer. */
  readonly notes: readonly string[];
}

export interface SftReport {
  readonly onReading?: OnProgress;
  /** From here on a run that is asked to stop has something to save: all is read, and a new run's first evaluation done. */
  readonly onSavable?: () => void;
  readonly onStart?: (run: SftStart) => void;
  readonly onStep?: (metrics: SftMetrics, totalSteps: number) => void;
  readonly onEvaluation?: (metrics: SftEvalMetrics) => void;
  readonly onCheckpoint?: (dir: string) => void;
}

export interface SftResult extends Findings {
  /** The newest checkpoint: of the last step done. */
  readonly checkpoint: string;
  readonly steps: number;
  readonly counts: SftCounts;
  /** How it ended: all steps done; asked to stop; no better loss for too long; or nothing was left to do. */
  readonly end: End | "nothing_to_do";
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
  const run = await openTrainingRun(config, device);
  try {
    const companions = await readCompanions(config.model_name_or_path);
    const data = await prepareSftData(config, "error", report.onReading);
    const { counts, units, digests } = data;
    const { per_device_train_batch_size: rows, gradient_accumulation_steps: batches } = config;
    const plan = planSteps(units.length, rows, batches);
    const totalSteps = totalStepsOf(config, plan);
    const planned = plannedSft(config, data);
    const prediction = await planTraining(config, planned, device.options);
    await refuseWhatCannotFit(prediction, config, planned, device);
    const evaluatesFirst = run.checkpoint === undefined && data.evalRows.length > 0;
    const training = await openTraining(run, device, {
      stage: "sft",
      shape: sftConfig.shape,
      config,
      totalSteps,
      rule: ruleOf(config),
      digests,
      parents: [{ kind: "data", path: config.data, sha256: digests.data }],
      averaged: averagedMetrics,
      companions,
      onBegin: evaluatesFirst ? undefined : report.onSavable,
      stopIds: data.turnEnds.ends.map(({ id }) => id),
    });
    const { checkpoint, damaged, missing } = run;
    const findings: Findings = { damaged, missing };
    if (!("model" in training))
      return { ...training, counts, end: "nothing_to_do", last: undefined, ...findings };
    try {
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
      const result = await train(config, training, { data, plan, totalSteps }, report, signal);
      return { ...result, ...findings };
    } finally {
      await training.close();
    }
  } finally {
    await run.close();
  }
}

const listed = (row: TokenizedRow): ListedRow => ({ ...row, tokens: row.inputIds.length });

/** To the end, whichever comes first: the last step, a signal, early stopping. */
async function train(
  config: SftConfig,
  training: Training,
  { data, plan, totalSteps }: Pick<SftStart, "data" | "plan" | "totalSteps">,
  report: SftReport,
  signal: AbortSignal | undefined,
): Promise<Omit<SftResult, keyof Findings>> {
  const { model, optimizer } = training;
  const { evalRows, counts } = data;
  const evaluate = async (): Promise<void> => {
    const started = performance.now();
    const { loss, entropy, accuracy } = await evaluateSft(
      model,
      evalRows,
      config.per_device_train_batch_size,
    );
    const line: SftEvalMetrics = {
      step: training.state().global_step,
      epoch: training.state().epoch,
      eval_loss: loss,
      eval_entropy: entropy,
      eval_mean_token_accuracy: accuracy,
      eval_runtime: (performance.now() - started) / 1000,
    };
    await training.recordEvaluation({ ...line }, loss);
    report.onEvaluation?.(line);
  };
  const save = async (): Promise<string> => {
    const checkpoint = await training.save();
    report.onCheckpoint?.(checkpoint);
    return checkpoint;
  };

  if (training.state().global_step === 0 && evalRows.length > 0) {
    await evaluate();
    report.onSavable?.();
  }
  for (;;) {
    const step = training.state().global_step + 1;
    const started = performance.now();
    const rows = stepRows(data.units, plan, config.seed, step);
    const learningRate = rateOf(config, totalSteps, step);
    const options = {
      learningRate,
      maxGradNorm: config.max_grad_norm,
      activationCheckpointing: config.gradient_checkpointing,
    };
    const done = await sftStep(model, optimizer, rows.map(microBatch), options).catch(async (error) => {
      if (!(error instanceof Diverged)) throw error;
      const checkpoint = await save();
      throw training.leads ? await setApart(error, config, step, rows.flat(), checkpoint) : error;
    });
    const seconds = (performance.now() - started) / 1000;
    const last: SftMetrics = {
      step,
      epoch: step / plan.stepsPerEpoch,
      loss: done.loss,
      grad_norm: done.gradNorm,
      learning_rate: learningRate,
      entropy: done.entropy,
      mean_token_accuracy: done.accuracy,
      num_tokens: training.state().num_input_tokens_seen + done.tokens,
      step_time: seconds,
      tokens_per_second: done.tokens / seconds,
    };
    await training.record(
      { ...last },
      done.trained,
      rows.flat().map(({ line }) => line),
    );
    report.onStep?.(last, totalSteps);

    const evaluates = step === totalSteps || step % (config.eval_steps ?? Number.POSITIVE_INFINITY) === 0;
    if (evaluates && evalRows.length > 0) await evaluate();
    const end = await training.ending(signal);
    const checkpoint = end !== undefined || step % config.save_steps === 0 ? await save() : "";
    if (end !== undefined) return { checkpoint, steps: step, counts, end, last };
  }
}

/** Writes the rows of a step that diverged beside the run, as `posttrain score` reads them. */
function setApart(
  error: Diverged,
  { output_dir, bf16 }: SftConfig,
  step: number,
  rows: readonly TokenizedRow[],
  checkpoint: string,
): Promise<Error> {
  const file = join(output_dir, `diverged-step-${step}.jsonl`);
  const look = `npx posttrain score --model_name_or_path ${checkpoint} --data ${file}${bf16 ? " --dtype bfloat16" : ""}`;
  const plain = rows.map(({ line, inputIds, labels }) => ({
    line,
    input_ids: [...inputIds],
    labels: [...labels],
  }));
  return quarantine(error, file, plain, checkpoint, look);
}
