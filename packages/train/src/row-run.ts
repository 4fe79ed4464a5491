// A run of a stage that trains on the rows of its files: everything that can be refused is looked at, then the stage's own loop has what it needs for
// each step (rows, rate) and after it (lines of metrics, rows of a step that diverged, evaluations and checkpoints that are due).
import { join } from "node:path";
import type { OnProgress } from "@posttrain/data";
import type { Device } from "@posttrain/kernels";
import { type Model, type Qwen2Config, readCompanions } from "@posttrain/model";
import type { Run } from "@posttrain/run";
import { Diverged, quarantine, type StepOptions } from "./finish-step.js";
import { type RowConfig, rateOf, type TrainingConfig } from "./options.js";
import { type PlannedRun, planTraining, refuseWhatCannotFit, type TrainingPlan } from "./plan.js";
import { openTrainingRun } from "./ranked-run.js";
import { type RowLists, writeRowLists } from "./row-lists.js";
import { planSteps, type StepPlan, stepRows, totalStepsOf, type Unit } from "./steps.js";
import { type End, openTraining, type Training, type TrainingSetup } from "./training.js";

/** A row that has been read: which line it is, and of which other rows it was made. */
export interface ReadRow {
  readonly id: string;
  readonly line: number;
  readonly parents?: readonly string[];
}

/** What a stage has read before the model: rows, and what decides over bits beside the config. */
export interface RowData<Row> extends Pick<RowLists, "rejects" | "evalRejects"> {
  readonly model: Qwen2Config;
  readonly units: readonly Unit<Row>[];
  readonly trainRows: readonly Row[];
  readonly evalRows: readonly Row[];
  readonly counts: unknown;
  readonly digests: Readonly<Record<string, string>> & { readonly data: string };
}

/** What was found in a folder that is gone on with: damaged checkpoints, and lines that its logs lack. */
type Findings = Pick<Run, "damaged" | "missing">;

/** A run as it begins. */
export interface RowStart<Data> extends Findings {
  readonly model: Model;
  readonly data: Data;
  readonly plan: StepPlan;
  readonly totalSteps: number;
  /** What it will take at most. */
  readonly prediction: TrainingPlan;
  readonly from: { readonly dir: string; readonly step: number } | undefined;
  /** Of the optimizer. */
  readonly notes: readonly string[];
}

/** Who is told what, while it runs. */
export interface RowReport<Data, Metrics, Evaluation> {
  readonly onReading?: OnProgress;
  /** Before the model is loaded: what is done, so much of it. */
  readonly onPreparing?: (what: string, done: number, total: number) => void;
  /** From here on a run that is asked to stop has something to save: all is read, and a new run's first evaluation done. */
  readonly onSavable?: () => void;
  readonly onStart?: (run: RowStart<Data>) => void;
  readonly onStep?: (metrics: Metrics, totalSteps: number) => void;
  readonly onEvaluation?: (metrics: Evaluation) => void;
  /** A sentence about what is seen in the metrics, with what to try. */
  readonly onNotice?: (sentence: string) => void;
  readonly onCheckpoint?: (dir: string) => void;
}

export interface RowResult<Data extends { readonly counts: unknown }, Metrics> extends Findings {
  /** The newest checkpoint: of the last step done. */
  readonly checkpoint: string;
  readonly steps: number;
  readonly counts: Data["counts"];
  /** How it ended: all steps done; asked to stop; no better loss for too long; or nothing was left to do. */
  readonly end: End | "nothing_to_do";
  readonly last: Metrics | undefined;
}

/** What all stages' lines of metrics.jsonl have. */
export interface StepLine {
  readonly step: number;
  readonly epoch: number;
  /** Of the step's rows, before its update. */
  readonly loss: number;
  /** Global L2 norm of the gradient before clipping. */
  readonly grad_norm: number;
  readonly learning_rate: number;
  /** Tokens that went through the model so far: what several sequences share counts with each. */
  readonly num_tokens: number;
  readonly step_time: number;
  readonly tokens_per_second: number;
}

/** What all stages' lines of an evaluation have: after `step` steps, over the held-out rows; seconds that it took. */
export interface EvaluationLine {
  readonly step: number;
  readonly epoch: number;
  readonly eval_loss: number;
  readonly eval_runtime: number;
}

/** A step that comes next. */
export interface NextStep<Row> {
  readonly step: number;
  /** The rows of each micro-batch. */
  readonly batches: readonly (readonly Row[])[];
  readonly options: StepOptions;
  /** performance.now() */
  readonly started: number;
}

/** What every stage measures of a step. */
export interface MeasuredStep {
  readonly loss: number;
  readonly gradNorm: number;
  /** Tokens that went through the model, and how many of them (or of the rows) the means are over. */
  readonly tokens: number;
  readonly trained: number;
}

/** A run as its stage's loop sees it. */
export interface RowRun<Row, Data> {
  readonly training: Training;
  readonly data: Data;
  readonly totalSteps: number;
  readonly next: () => NextStep<Row>;
  /** Records a step that is done, with the stage's own numbers; returns its line. */
  readonly record: <Own extends object>(
    next: NextStep<Row>,
    done: MeasuredStep,
    own: Own,
  ) => Promise<StepLine & Own>;
  /** Records an evaluation that began at `started` (performance.now()); returns its line. */
  readonly recordEvaluation: <Own extends { readonly eval_loss: number }>(
    started: number,
    own: Own,
  ) => Promise<EvaluationLine & Own>;
  /** Whether held-out rows are looked at before the first step, and after this one. */
  readonly evaluatesFirst: boolean;
  readonly evaluates: (step: number) => boolean;
  /** Where a step diverged: saves the weights before it, puts its rows beside the run, and throws with where both are. Throws any other error as it is. */
  readonly setApart: (error: unknown, next: NextStep<Row>, shown: ShownRows<Row>) => Promise<never>;
  /** After a step and its evaluation: how the run ends, if it does, and the checkpoint where one is due. */
  readonly finish: (signal: AbortSignal | undefined) => Promise<{ end: End | undefined; checkpoint: string }>;
}

/** How rows are looked at: as the command reads them that shows them. */
export interface ShownRows<Row> {
  plain(row: Row): object;
  look(file: string, checkpoint: string, rows: number): string;
}

/** What a stage brings before its loop begins. */
export interface RowStage<Config, Row, Data> extends Pick<TrainingSetup, "shape" | "averaged"> {
  readonly name: string;
  /** Reads all rows and ends at the first bad one. */
  prepare(config: Config, onBadRow: "error", onProgress: OnProgress | undefined): Promise<Data>;
  plan(config: Config, data: Data): PlannedRun<Row>;
  /** What only this stage tells of its run. */
  setup(
    config: Config,
    data: Data,
    runDir: string,
  ): Pick<TrainingSetup, "files" | "kind" | "as" | "trainable" | "beforeModel" | "stopIds">;
  /** Tokens of a row that go through the model. */
  tokensOf(row: Row): number;
}

type Config = TrainingConfig & RowConfig & { readonly data: string };

/**
 * Runs a stage, or goes on with it: `train` is its loop. UserError for what is wrong with model, data, output folder or checkpoint; nothing is written
 * before all of it is read.
 */
export async function runOnRows<C extends Config, Row extends ReadRow, Data extends RowData<Row>, Metrics>(
  stage: RowStage<C, Row, Data>,
  config: C,
  device: Device,
  report: RowReport<Data, never, never>,
  train: (
    run: RowRun<Row, Data>,
  ) => Promise<Pick<RowResult<Data, Metrics>, "checkpoint" | "steps" | "end" | "last">>,
): Promise<RowResult<Data, Metrics>> {
  const run = await openTrainingRun(config, device);
  try {
    const companions = await readCompanions(config.model_name_or_path);
    const data = await stage.prepare(config, "error", report.onReading);
    const { counts, units, digests, trainRows, evalRows } = data;
    const { per_device_train_batch_size: rows, gradient_accumulation_steps: batches } = config;
    const plan = planSteps(units.length, rows, batches);
    const totalSteps = totalStepsOf(config, plan);
    const planned = stage.plan(config, data);
    const prediction = await planTraining(config, planned, device.options);
    await refuseWhatCannotFit(prediction, config, planned, device);
    const evaluatesFirst = run.checkpoint === undefined && evalRows.length > 0;
    const training = await openTraining(run, device, {
      ...{ stage: stage.name, shape: stage.shape, averaged: stage.averaged },
      ...{ config, totalSteps, companions, digests, rule: planned.rule },
      parents: [{ kind: "data", path: config.data, sha256: digests.data }],
      onBegin: evaluatesFirst ? undefined : report.onSavable,
      ...stage.setup(config, data, run.dir),
    });
    const { checkpoint, damaged, missing } = run;
    const findings: Findings = { damaged, missing };
    if (!("model" in training))
      return { ...training, counts, end: "nothing_to_do", last: undefined, ...findings };
    try {
      if (training.leads) {
        const listed = (row: Row) => ({ ...row, tokens: stage.tokensOf(row) });
        await writeRowLists(run.dir, { ...data, train: trainRows.map(listed), eval: evalRows.map(listed) });
      }
      const from = checkpoint && { dir: checkpoint.dir, step: checkpoint.manifest.step };
      const { model, notes } = training;
      report.onStart?.({ model, data, plan, totalSteps, prediction, from, notes, ...findings });
      return { ...(await train(rowRun(config, training, data, plan, totalSteps))), counts, ...findings };
    } finally {
      await training.close();
    }
  } finally {
    await run.close();
  }
}

function rowRun<Row extends ReadRow, Data extends RowData<Row>>(
  config: Config,
  training: Training,
  data: Data,
  plan: StepPlan,
  totalSteps: number,
): RowRun<Row, Data> {
  return {
    ...{ training, data, totalSteps },
    next: () => {
      const step = training.state().global_step + 1;
      return {
        step,
        batches: stepRows(data.units, plan, config.seed, step),
        options: {
          learningRate: rateOf(config, totalSteps, step),
          maxGradNorm: config.max_grad_norm,
          activationCheckpointing: config.gradient_checkpointing,
        },
        started: performance.now(),
      };
    },
    record: async ({ step, batches, options, started }, { loss, gradNorm, tokens, trained }, own) => {
      const seconds = (performance.now() - started) / 1000;
      const line = {
        step,
        epoch: step / plan.stepsPerEpoch,
        loss,
        grad_norm: gradNorm,
        learning_rate: options.learningRate,
        ...own,
        num_tokens: training.state().num_input_tokens_seen + tokens,
        step_time: seconds,
        tokens_per_second: tokens / seconds,
      };
      const lines = batches.flat().map((row) => row.line);
      await training.record(line, trained, lines);
      return line;
    },
    recordEvaluation: async (started, own) => {
      const { global_step: step, epoch } = training.state();
      const line = { step, epoch, ...own, eval_runtime: (performance.now() - started) / 1000 };
      await training.recordEvaluation(line, own.eval_loss);
      return line;
    },
    evaluatesFirst: data.evalRows.length > 0 && training.state().global_step === 0,
    evaluates: (step) =>
      data.evalRows.length > 0 &&
      (step === totalSteps || step % (config.eval_steps ?? Number.POSITIVE_INFINITY) === 0),
    setApart: async (error, { step, batches }, { plain, look }) => {
      if (!(error instanceof Diverged)) throw error;
      const checkpoint = await training.save();
      if (!training.leads) throw error;
      const file = join(config.output_dir, `diverged-step-${step}.jsonl`);
      const rows = batches.flat().map(plain);
      throw await quarantine(error, file, rows, checkpoint, look(file, checkpoint, rows.length));
    },
    finish: async (signal) => {
      const end = await training.ending(signal);
      const isDue = end !== undefined || training.state().global_step % config.save_steps === 0;
      return { end, checkpoint: isDue ? await training.save() : "" };
    },
  };
}
