// What each command that may be a step reads and makes, by the names of its options. A new command that makes something for others is an entry here.

/** What a path leads to. A module is one of verifiers, where its option holds the path of one. */
export type Thing = "model" | "reward model" | "rows" | "module" | "results" | "onnx";

/** How a step that was interrupted goes on: from its newest checkpoint, by its own journal, or from its beginning. */
type Resumes = "checkpoint" | "journal" | "never";

export interface Kind {
  /** Options that name what is read; of a list, each entry does. */
  readonly reads: Readonly<Record<string, readonly Thing[]>>;
  /** The option that names what is written, a new folder or a new file, and others that name more files. */
  readonly writes: "output_dir" | "output";
  readonly writesToo?: readonly string[];
  /** What other steps may refer to, the first being what the step is for. A run has checkpoint-<step> too. */
  readonly makes: Readonly<Record<string, { readonly thing: Thing; readonly file?: string }>>;
  readonly resumes: Resumes;
  /** Text of an option behind the path: FILE=0.5. */
  readonly amounts?: readonly string[];
}

const models = ["model"] as const;
const rows = ["rows"] as const;
const trained = { model_name_or_path: models, base_model_name_or_path: models, data: rows, eval_data: rows };
const graded = { verifier: ["module"] } as const;
const aFile = { writes: "output", makes: { output: { thing: "rows" } } } as const;

const trainer = (thing: Thing, reads: Kind["reads"]): Kind => ({
  reads: { ...trained, ...reads },
  writes: "output_dir",
  makes: { checkpoint: { thing } },
  resumes: "checkpoint",
});

export const kinds: Readonly<Record<string, Kind>> = {
  "quickstart data": {
    reads: {},
    writes: "output_dir",
    makes: {
      model: { thing: "model", file: "model" },
      training: { thing: "rows", file: "training.jsonl" },
      questions: { thing: "rows", file: "questions.jsonl" },
      held_out: { thing: "rows", file: "held-out.jsonl" },
    },
    resumes: "never",
  },
  sft: trainer("model", {}),
  dpo: trainer("model", { ref_model_name_or_path: models }),
  reward: trainer("reward model", { model_name_or_path: ["model", "reward model"] }),
  grpo: trainer("model", { ...graded, reward_model: ["reward model"] }),
  "data build": {
    ...aFile,
    reads: {
      ...{ model_name_or_path: models, critic_model_name_or_path: models },
      ...{ translator_model_name_or_path: models, judge_model_name_or_path: models, seeds: rows },
    },
    resumes: "journal",
  },
  "dpo pairs": {
    ...aFile,
    reads: { ...graded, model_name_or_path: models, responses: rows, data: rows, mix: rows },
    writesToo: ["review"],
    amounts: ["mix"],
    resumes: "journal",
  },
  "reward data": {
    ...aFile,
    reads: {
      ...graded,
      ...{ model_name_or_path: models, judge_model_name_or_path: models },
      ...{ data: rows, responses: rows, labels: rows, pairs: rows },
    },
    writesToo: ["to_label"],
    resumes: "journal",
  },
  "reward score": {
    ...aFile,
    reads: { model_name_or_path: ["reward model", "onnx"], data: rows },
    resumes: "never",
  },
  "reward eval": {
    ...aFile,
    reads: { model_name_or_path: ["reward model", "onnx"], data: rows },
    resumes: "never",
  },
  generate: { ...aFile, reads: { model_name_or_path: models, data: rows }, resumes: "never" },
  score: { ...aFile, reads: { model_name_or_path: models, data: rows }, resumes: "never" },
  verify: { ...aFile, reads: { ...graded, data: rows, problems: rows }, resumes: "journal" },
  evaluate: {
    reads: { ...graded, model_name_or_path: models, data: rows, fewshot_data: rows },
    writes: "output_dir",
    makes: { output_dir: { thing: "results" } },
    resumes: "never",
  },
  export: {
    reads: { model_name_or_path: ["model", "reward model"] },
    writes: "output_dir",
    makes: { model: { thing: "onnx", file: "model.onnx" }, output_dir: { thing: "results" } },
    resumes: "never",
  },
};

/** Options of any command that decide where, how fast and how often, never what comes out. */
export const changeNothing: ReadonlySet<string> = new Set([
  ...["concurrency", "num_concurrent", "max_retries", "request_timeout", "budget_tokens", "reply_cache"],
  ...["redis", "weights_dir", "serve_weights"],
]);

/** Options that are the pipeline's own to give. */
export const pipelinesOwn: Readonly<Record<string, string>> = {
  resume_from_checkpoint: "an interrupted step goes on by itself",
  accept_change: "a step whose options have changed is run again",
  config: "a step's options stand in the pipeline's file",
  json: "give it to posttrain run",
  quiet: "give it to posttrain run",
  stage: "run: says what a step is",
};

/** Of a run: checkpoint-<step>. */
export const checkpointName = /^checkpoint-(0|[1-9]\d*)$/;

/** What a step of this kind makes under a name; undefined: nothing. */
export function madeAs(kind: Kind, name: string): Kind["makes"][string] | undefined {
  if (Object.hasOwn(kind.makes, name)) return kind.makes[name];
  return kind.resumes === "checkpoint" && checkpointName.test(name) ? kind.makes["checkpoint"] : undefined;
}
