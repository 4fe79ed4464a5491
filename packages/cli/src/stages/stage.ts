// What a stage of training is to the command line: data and functions that it registers (registry.ts). `posttrain <stage>` (stage-command.ts),
// validate, plan and init are made from it.
import type { ContentToken, OnProgress, Packing, Reject, RowCounts, TurnEnds } from "@posttrain/data";
import type { Jobs } from "@posttrain/jobs";
import type { Device } from "@posttrain/kernels";
import type { Model, Qwen2Config } from "@posttrain/model";
import type { SamplingWorkers } from "@posttrain/rollout";
import type {
  End,
  PlannedRun,
  rowOptions,
  StepPlan,
  TrainingPlan,
  trainingOptions,
  Unit,
} from "@posttrain/train";
import type { z } from "zod";
import type { Suggestion } from "../init/suggest.js";
import type { Line } from "../output.js";

/** A stage's schema has the keys of all trainers and of their files, whatever else it has. */
export type StageSchema = z.ZodObject<typeof trainingOptions & FileOptions>;
type FileOptions = Pick<
  typeof rowOptions,
  "eval_data" | "val_size" | "template_date" | "special_tokens_in_content"
> & { readonly data: z.ZodType<string> };
export type StageConfig = z.output<StageSchema>;

export interface StageRow {
  readonly id: string;
  readonly line: number;
}

/** Trained tokens are counted where tokens are what is learnt. */
export type StageCounts = Omit<RowCounts, "trainedTokens" | "lostTrainedTokens" | "formats"> &
  Partial<Pick<RowCounts, "trainedTokens" | "lostTrainedTokens">> & {
    readonly formats: Readonly<Record<string, number>>;
  };

/** What a stage has read: everything before the model. */
export interface StageData<Row = StageRow> {
  /** What was read in place of `data`, where a stage can be given something else. */
  readonly file?: string;
  readonly model: Qwen2Config;
  /** What steps draw: single rows, or packs of them. */
  readonly units: readonly Unit<Row>[];
  readonly trainRows: readonly Row[];
  readonly evalRows: readonly Row[];
  readonly counts: StageCounts;
  readonly rejects: readonly Reject[];
  readonly evalRejects: readonly Reject[];
  /** Undefined where units are single rows. */
  readonly packing: Packing | undefined;
  /** The longest row that is taken: what the stage's option says, or the model's context. */
  readonly longestRow: number;
  /** Added tokens in what conversations say, and what becomes of those that are special. */
  readonly contentTokens: readonly ContentToken[];
  /** Of a stage that learns to write: undefined where nothing is predicted. */
  readonly turnEnds?: TurnEnds | undefined;
  readonly digests: Readonly<Record<string, string>>;
}

/** A sequence of a row; a label of -100: not trained. */
export interface LabelledTokens {
  /** Where a row has several: "chosen". */
  readonly name?: string;
  readonly inputIds: Int32Array;
  readonly labels: Int32Array;
}

/** A run as it begins. */
export interface StageStart<Data = StageData> {
  readonly model: Model;
  readonly data: Data;
  readonly plan: StepPlan;
  readonly totalSteps: number;
  readonly prediction: TrainingPlan;
  readonly from: { readonly dir: string; readonly step: number } | undefined;
  readonly damaged: readonly { readonly dir: string; readonly reason: string }[];
  readonly missing: readonly string[];
  /** Training.notes. */
  readonly notes: readonly string[];
}

export interface StageReport<Start, Metrics, Evaluation> {
  readonly onReading: OnProgress;
  /** Before a run begins: what is done, and of how much. */
  readonly onPreparing: (what: string, done: number, total: number) => void;
  readonly onSavable: () => void;
  readonly onStart: (run: Start) => void;
  readonly onStep: (metrics: Metrics, totalSteps: number) => void;
  readonly onEvaluation: (metrics: Evaluation) => void;
  /** A sentence about what is seen in the metrics, with what to try. */
  readonly onNotice: (sentence: string) => void;
  /** Lines to look at: what was just sampled. */
  readonly onSamples: (lines: readonly string[]) => void;
}

/** Who does a part of a stage in place of its process: grading, and sampling where weights have a folder to go to. */
export interface StageWorkers {
  readonly jobs: Jobs;
  readonly sampling: SamplingWorkers | undefined;
}

export interface StageMetrics {
  readonly step: number;
  readonly loss: number;
  readonly num_tokens: number;
}

export interface StageResult<Metrics = StageMetrics> extends Pick<StageStart, "damaged" | "missing"> {
  readonly checkpoint: string;
  readonly steps: number;
  /** alarm: what is seen in the metrics ended it. */
  readonly end: End | "nothing_to_do" | "alarm";
  readonly last: Metrics | undefined;
}

export interface Stage<
  S extends StageSchema = StageSchema,
  Row extends StageRow = StageRow,
  Data extends StageData<Row> = StageData<Row>,
  Start extends StageStart = StageStart,
  Metrics extends StageMetrics = StageMetrics,
  Evaluation = unknown,
> {
  readonly name: string;
  /** Whether the processes that mpirun starts share its steps. */
  readonly sharesWork?: boolean;
  /** Whether workers may do a part of it: --redis. */
  readonly usesWorkers?: boolean;
  readonly config: S;
  /** Commands that work as pasted, with what they do; paragraphs below the help. */
  readonly examples: readonly (readonly [command: string, what: string])[];
  readonly notes: string;
  /** Reads all rows. `error` ends at the first bad one, `reject` lists them all. */
  prepare(config: z.output<S>, onBadRow: "error" | "reject", onProgress: OnProgress): Promise<Data>;
  /** What planTraining() takes. */
  plan(config: z.output<S>, data: Pick<Data, "model" | "units" | "evalRows">): PlannedRun<Row>;
  run(
    config: z.output<S>,
    device: Device,
    report: StageReport<Start, Metrics, Evaluation>,
    signal: AbortSignal,
    workers?: StageWorkers,
  ): Promise<StageResult<Metrics>>;
  /** The option that says how long rows may be, and one that says what becomes of those that are longer, where there is one. */
  readonly limits: { readonly longest: string; readonly overlong?: string };
  /** What people read. Functions of telling.ts say what all stages have to say. */
  readonly describe: {
    /** At the head of a config: "Fine-tuning". */
    readonly title: string;
    /** A row's tokens, with what is trained of them. */
    sequences(row: Row): readonly LabelledTokens[];
    start(config: z.output<S>, run: Start): readonly Line[];
    /** Parts of the line of a step, between its number and the time left. */
    step(metrics: Metrics): readonly string[];
    evaluation(metrics: Evaluation): string;
    /** What of the last step is told at the end, and what early stopping looks at: "loss". */
    last(metrics: Metrics): string;
    readonly judged: string;
    /** What steps draw where it is no row of the file: "response". Its tokens are the most that it may have. */
    readonly drawn?: string;
    /** Of plan: what only this stage has to say before it begins. */
    plan?(config: z.output<S>, data: Data): readonly Line[];
    /** Commands that come next, once the run has ended. */
    next(config: z.output<S>, checkpoint: string): readonly string[];
  };
  /** What init asks. */
  readonly suggest: {
    /** Values that leave out no row, however long. */
    readonly whole: Readonly<Record<string, unknown>>;
    /** Values that follow from how long rows are, and that decide how much memory a step takes. */
    sized?(facts: { readonly context: number; readonly longest: number }): readonly Suggestion[];
    /** Rows are drawn so many times in a pass. Default: 1. */
    readonly draws?: number;
    /** A row of these tokens (of several sequences: each of so many), for rows that are not chosen yet. */
    row(inputIds: Int32Array): Row;
    /** What rows that are held out together have in common. */
    alike(row: Row): Int32Array;
    /** How long and at what rate, with reasons. Shared values give way to these. */
    recipe(facts: RecipeFacts): Recipe;
  };
}

export interface RecipeFacts {
  readonly parameters: number;
  readonly stepsPerEpoch: number;
}

export interface Recipe {
  readonly totalSteps: number;
  readonly values: readonly Suggestion[];
}

/** Keeps the types of rows and metrics among a stage's functions. */
export function defineStage<
  S extends StageSchema,
  Row extends StageRow,
  Data extends StageData<Row>,
  Start extends StageStart,
  Metrics extends StageMetrics,
  Evaluation,
>(stage: Stage<S, Row, Data, Start, Metrics, Evaluation>): Stage {
  return stage as unknown as Stage;
}
