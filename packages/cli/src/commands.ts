// The commands of the command line, imported when they are asked for, so that help loads no kernels.
import type { Command, CommandList } from "./command.js";
import { loadStage, stageNames, stages } from "./stages/registry.js";

export interface CommandEntry {
  readonly about: string;
  /** `stage` is what the settings say: for commands that serve every stage. */
  readonly load: (stage?: unknown) => Promise<Command>;
  /** Where a word without a flag stands behind its name, this in its place. */
  readonly loadWithArgument?: () => Promise<Command>;
}

/** posttrain <stage>, of every stage. */
const stageCommands: Readonly<Record<string, CommandEntry>> = Object.fromEntries(
  stageNames.map((name) => [
    name,
    {
      about: stages[name].about,
      load: async () => {
        const { stageCommand } = await import("./stages/stage-command.js");
        return stageCommand(await loadStage(name));
      },
    },
  ]),
);

const jobsAbout = {
  list: "what is under way on workers, and what waits",
  show: "a job with its payload",
  cancel: "take a job out of its queue, or tell its worker",
  retry: "a failed job once more",
  logs: "what a job has said",
  drain: "remove all jobs that wait",
  failed: "jobs that failed on every worker that tried them",
} as const;

/** posttrain jobs <verb>. */
const jobsCommands: Readonly<Record<string, CommandEntry>> = Object.fromEntries(
  (Object.keys(jobsAbout) as (keyof typeof jobsAbout)[]).map((verb) => [
    `jobs ${verb}`,
    { about: jobsAbout[verb], load: async () => (await import("./commands/jobs.js"))[verb] },
  ]),
);

export const commands: Readonly<Record<string, CommandEntry>> = {
  quickstart: {
    about: "make a tiny model, fine-tune it on arithmetic, show what it learnt",
    load: async () => (await import("./commands/quickstart.js")).command,
  },
  "quickstart data": {
    about: "what npm start begins with: the tiny model, and problems to train on and to ask",
    load: async () => (await import("./commands/quickstart-data.js")).command,
  },
  run: {
    about: "the steps of a pipeline, with inputs from each other",
    load: async () => (await import("./commands/run.js")).command,
  },
  init: {
    about: "write a config for your own model and rows, with reasons",
    load: async (stage) => (await import("./commands/init.js")).command(await loadStage(stage)),
  },
  validate: {
    about: "what a stage would do with its rows, and what would be lost",
    load: async (stage) => (await import("./commands/validate.js")).command(await loadStage(stage)),
  },
  plan: {
    about: "what a stage would take of memory and time, and whether it fits",
    load: async (stage) => (await import("./commands/plan.js")).command(await loadStage(stage)),
    loadWithArgument: async () => (await import("./commands/plan-pipeline.js")).command,
  },
  ...stageCommands,
  "dpo pairs": {
    about: "pairs of responses for preference learning, by verdicts on what models said",
    load: async () => (await import("./commands/dpo-pairs.js")).command,
  },
  "dpo review": {
    about: "pairs judged by people, and by machines that may veto",
    load: async () => (await import("./commands/dpo-review.js")).command,
  },
  "grpo queue": {
    about: "which prompts of a run come next, which have moved, which rest",
    load: async () => (await import("./commands/grpo-queue.js")).command,
  },
  view: {
    about: "a run's figures, responses and rejected rows on a local page",
    load: async () => (await import("./commands/view.js")).command,
  },
  replay: {
    about: "do a step of a run again, and see that the bits are the same",
    load: async () => (await import("./commands/replay.js")).command,
  },
  generate: {
    about: "sample answers to a prompt or to a file of prompts",
    load: async () => (await import("./commands/generate.js")).command,
  },
  chat: {
    about: "talk to a model",
    load: async () => (await import("./commands/chat.js")).command,
  },
  score: {
    about: "log-probability, entropy and argmax of every token of given rows",
    load: async () => (await import("./commands/score.js")).command,
  },
  verify: {
    about: "grade responses by rules: answers, programs, instructions",
    load: async () => (await import("./commands/verify.js")).command,
  },
  submit: {
    about: "put a stage or a pipeline into the queue of workers",
    load: async () => (await import("./commands/submit.js")).command,
  },
  worker: {
    about: "take jobs from Redis: grade responses, run stages",
    load: async () => (await import("./commands/worker.js")).command,
  },
  ...jobsCommands,
  evaluate: {
    about: "questions from a file, graded by exact match, as a table",
    load: async () => (await import("./commands/evaluate.js")).command,
  },
  "reward score": {
    about: "scores of responses by a reward model, beside their rows",
    load: async () => (await import("./commands/reward-score.js")).command,
  },
  "reward data": {
    about: "preferences for a reward model: responses labelled by verifiers, a judge, people",
    load: async () => (await import("./commands/reward-data.js")).command,
  },
  "reward eval": {
    about: "a reward model on benchmarks, pairs, and best-of-n where the truth is known",
    load: async () => (await import("./commands/reward-eval.js")).command,
  },
  "data build": {
    about: "conversations to fine-tune on, made by area, with evidence",
    load: async () => (await import("./commands/data-build.js")).command,
  },
  "data convert": {
    about: "rows of any form and file as rows of another, and back without loss",
    load: async () => (await import("./commands/data-convert.js")).command,
  },
  "data mix": {
    about: "so much of each of several sources, interleaved, as one file",
    load: async () => (await import("./commands/data-mix.js")).command,
  },
  "data dedup": {
    about: "rows without those that say what one before them says, or nearly",
    load: async () => (await import("./commands/data-dedup.js")).command,
  },
  "data filter": {
    about: "rows without damage, repetition, personal data, refusals, other languages",
    load: async () => (await import("./commands/data-filter.js")).command,
  },
  "data decontaminate": {
    about: "rows without those that hold what benchmarks ask",
    load: async () => (await import("./commands/data-decontaminate.js")).command,
  },
  "data stats": {
    about: "what data holds: forms, columns, roles, lengths, duplicates",
    load: async () => (await import("./commands/data-survey.js")).stats,
  },
  "data validate": {
    about: "every bad row of data, by what is wrong with it; needs no model",
    load: async () => (await import("./commands/data-survey.js")).validate,
  },
  export: {
    about: "write a model as ONNX, for onnxruntime",
    load: async () => (await import("./commands/export.js")).command,
  },
  trace: {
    about: "from a checkpoint, a rollout, a pair or a sample to the rows it came from",
    load: async () => (await import("./commands/trace.js")).command,
  },
  inspect: {
    about: "what a model or checkpoint is, and how it differs from another",
    load: async () => (await import("./commands/inspect.js")).command,
  },
  env: {
    about: "one block about this machine, to paste into a bug report",
    load: async () => (await import("./commands/env.js")).command,
  },
};

/** Options -> the commands that have them. */
export async function ownersOfOptions(stage: unknown): Promise<ReadonlyMap<string, readonly string[]>> {
  return (await import("./option-owners.js")).ownersOfOptions(stage);
}

export const commandList: CommandList = {
  has: (name) => Object.hasOwn(commands, name),
  load: (name) => (commands[name] as CommandEntry).load(),
  owners: () => ownersOfOptions(undefined),
};
