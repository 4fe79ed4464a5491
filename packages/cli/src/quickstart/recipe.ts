// What the quickstart trains on and how, a config a stage, as the commands take them. Found by trying on seed 1; docs/quickstart-seeds.md has
// what it reaches on others.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type DpoConfig, dpoConfig, type PairsConfig, pairsConfig } from "@posttrain/dpo";
import { type GrpoConfig, grpoConfig } from "@posttrain/grpo";
import { type RewardConfig, rewardConfig } from "@posttrain/reward-model";
import {
  type ArithmeticProblem,
  arithmeticProblem,
  arithmeticQuestion,
  arithmeticRow,
  distinctArithmeticProblems,
  type SftConfig,
  sftConfig,
  shortOperands,
} from "@posttrain/sft";
import { maxNewTokens } from "./evaluate.js";

const rowsPerStep = 32;
const steps = 800;

/** Rows that training takes: each is seen once, in steps of 32. */
export const trainingRows = steps * rowsPerStep;

/** The step of fine-tuning from which preferences go on: at its end hardly a mistake is left to learn from. */
export const branchStep = 500;

/** Problems that preferences are made on. Fine-tuning has not seen them. */
export const preferenceProblems = 1024;

/** Writes `count` problems with worked steps, one JSON object a line. */
export async function writeTrainingRows(file: string, seed: number, count: number): Promise<void> {
  const problems = Array.from({ length: count }, (_, index) =>
    arithmeticProblem(index, { seed, split: "training", lengths: shortOperands }),
  );
  await writeLines(file, problems.map(arithmeticRow));
}

/** Writes `count` other problems, no two alike, with their answers alone. */
export async function writeQuestions(file: string, seed: number, count: number): Promise<void> {
  const first = Math.ceil(trainingRows / 3) * 3;
  const options = { seed, split: "training", lengths: shortOperands, first } as const;
  await writeLines(file, distinctArithmeticProblems(count, options).map(questionRow));
}

/** Problems that are asked after each stage: no two numbers of one meet in training. */
export const heldOutProblems = 500;

/** Problems to be asked, as `posttrain evaluate` reads them. */
export async function writeHeldOut(file: string, seed: number): Promise<void> {
  const problems = distinctArithmeticProblems(heldOutProblems, {
    seed,
    split: "heldOut",
    lengths: shortOperands,
  });
  await writeLines(
    file,
    problems.map((problem) => ({ ...questionRow(problem), kind: problem.kind })),
  );
}

/** As `posttrain verify` reads it: the answer is matched. */
export function questionRow(problem: ArithmeticProblem): {
  readonly prompt: string;
  readonly answer: string;
} {
  return { prompt: arithmeticQuestion(problem), answer: String(problem.answer) };
}

export async function writeLines(file: string, rows: readonly object[]): Promise<void> {
  await writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
}

/** The config of `posttrain sft` that trains the tiny model. */
export function trainingConfig(paths: {
  readonly model: string;
  readonly data: string;
  readonly outputDir: string;
  readonly seed: number;
}): SftConfig {
  return sftConfig.parse({
    model_name_or_path: paths.model,
    data: paths.data,
    output_dir: paths.outputDir,
    learning_rate: 2e-3,
    lr_scheduler_type: "cosine",
    warmup_steps: 40,
    weight_decay: 0.01,
    adam_beta2: 0.95,
    num_train_epochs: 1,
    per_device_train_batch_size: rowsPerStep,
    gradient_checkpointing: false,
    seed: paths.seed,
  });
}

/** Where the later stages find and leave things. */
export interface LaterPaths {
  /** Folder of the run. */
  readonly run: string;
  /** The untrained model, and the checkpoint that preferences go on from. */
  readonly base: string;
  readonly start: string;
  readonly seed: number;
}

export const filesOf = ({ run }: Pick<LaterPaths, "run">) => ({
  questions: join(run, "questions.jsonl"),
  pairs: join(run, "pairs.jsonl"),
  heldOutResponses: join(run, "held-out-responses.jsonl"),
});

/** `posttrain dpo pairs`: eight answers to each question, matched with the true one. */
export function pairsRecipe(paths: LaterPaths): PairsConfig {
  const { questions, pairs } = filesOf(paths);
  return pairsConfig.parse({
    model_name_or_path: [paths.start],
    data: questions,
    output: pairs,
    num_samples: 8,
    pairs_per_query: 2,
    max_new_tokens: maxNewTokens,
    seed: paths.seed,
  });
}

/** `posttrain dpo`, one epoch as in the report; a model this small takes a larger rate. */
export function dpoRecipe(paths: LaterPaths): DpoConfig {
  return dpoConfig.parse({
    model_name_or_path: paths.start,
    base_model_name_or_path: paths.base,
    data: filesOf(paths).pairs,
    output_dir: join(paths.run, "dpo"),
    optim: "online_dare",
    learning_rate: 1e-4,
    num_train_epochs: 1,
    per_device_train_batch_size: 16,
    gradient_checkpointing: false,
    seed: paths.seed,
  });
}

/** `posttrain reward`. */
export function rewardRecipe(paths: LaterPaths): RewardConfig {
  return rewardConfig.parse({
    model_name_or_path: paths.start,
    data: filesOf(paths).pairs,
    output_dir: join(paths.run, "reward"),
    learning_rate: 3e-4,
    num_train_epochs: 3,
    per_device_train_batch_size: 16,
    gradient_checkpointing: false,
    seed: paths.seed,
  });
}

/** `posttrain grpo`: 16 prompts with 8 answers each a step, those first whose answers vary most. */
export function grpoRecipe({ policy, ...paths }: LaterPaths & { readonly policy: string }): GrpoConfig {
  return grpoConfig.parse({
    model_name_or_path: policy,
    data: filesOf(paths).questions,
    output_dir: join(paths.run, "grpo"),
    learning_rate: 1e-4,
    max_steps: 32,
    per_device_train_batch_size: 128,
    max_completion_length: maxNewTokens,
    gradient_checkpointing: false,
    // Sure of nearly every digit from the start: its entropy says nothing.
    least_entropy: 0,
    seed: paths.seed,
  });
}
