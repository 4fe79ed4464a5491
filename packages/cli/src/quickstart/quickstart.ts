// What `npm start` runs: a tiny Qwen2.5 is made on the spot, asked 500 arithmetic problems, fine-tuned by the same runSft as `posttrain
// sft`, and asked again. The result is a function of the seed: the same weights to the last bit on every cpu path and any number of threads.
//
// A run folder holds model/ (untrained), training.jsonl, sft/ (metrics and checkpoint) and evaluation.jsonl (every question and answer).
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Device } from "@posttrain/kernels";
import { fileDigest } from "@posttrain/run";
import {
  type ArithmeticProblem,
  arithmeticQuestion,
  distinctArithmeticProblems,
  longOperands,
  runSft,
  type SftMetrics,
  shortOperands,
} from "@posttrain/sft";
import { count, duration, shellQuote } from "../format.js";
import { cardFile, type ModelCard } from "../model-card.js";
import type { CommonOptions } from "../options.js";
import { createOutput, type Output } from "../output.js";
import { secondsSince, timeLeft, tokensPerSecond } from "../speed.js";
import { endingSignals } from "../stopping.js";
import { visible } from "../visible.js";
import { withDevice } from "../with-model.js";
import { type GradedAnswer, gradeModel } from "./evaluate.js";
import { trainingConfig, trainingRows, writeTrainingRows } from "./recipe.js";
import { accuracyTable, lossCurve, sampleAnswers, styleFor } from "./report.js";
import { newFolder, nextRunFolder } from "./run-folder.js";
import { writeTinyModel } from "./tiny-model.js";

export interface QuickstartOptions extends CommonOptions {
  readonly seed: number;
  /** A new folder. Default: runs/quickstart-N with the first free N. */
  readonly output_dir?: string | undefined;
}

const heldOutProblems = 500;
const longProblems = 150;

/** Runs all of it and prints as it goes. UserError when output_dir is in use. */
export async function quickstart(options: QuickstartOptions): Promise<void> {
  const started = performance.now();
  const { seed } = options;
  const output = createOutput(options, process.stdout);
  const style = styleFor(options.json ? process.stderr : process.stdout);
  const heading = (text: string): void => output.draw(`\n${style.bold(text)}`);
  const body = (...lines: readonly string[]): void => printBody(output.print, lines);
  const styled = (...lines: readonly string[]): void => printBody(output.draw, lines);
  const run =
    options.output_dir === undefined ? await nextRunFolder("runs") : await newFolder(options.output_dir);
  const [model, data, sft] = [join(run, "model"), join(run, "training.jsonl"), join(run, "sft")];
  const asked = { seed, split: "heldOut" } as const;
  const problems = [
    ...distinctArithmeticProblems(heldOutProblems, { ...asked, lengths: shortOperands }),
    ...distinctArithmeticProblems(longProblems, { ...asked, lengths: longOperands }),
  ];
  const stopped = (): void => console.error(visible(`\nStopped: ${run} is incomplete and can be deleted.`));
  for (const signal of endingSignals) process.prependListener(signal, stopped);
  try {
    await withDevice(options, async (device) => {
      output.draw(style.bold("A tiny language model learns arithmetic from worked examples"));
      body(`run folder ${run}, seed ${seed}`);

      heading("1  A Qwen2.5 with random weights");
      body(await writeTinyModel(device, model, seed));
      const before = await ask(device, model, problems, output);

      heading("2  Fine-tuning");
      await writeTrainingRows(data, seed, trainingRows);
      body(`${count(trainingRows)} other problems with worked steps: ${data}`);
      const losses: number[] = [];
      let progress: TrainingProgress | undefined;
      const { checkpoint } = await runSft(trainingConfig({ model, data, outputDir: sft, seed }), device, {
        onStart: ({ data: { counts }, totalSteps }) => {
          body(`${count(counts.tokens)} tokens, each seen once, in ${count(totalSteps)} steps`, "");
          progress = trainingProgress(totalSteps, output);
        },
        onStep: (metrics) => {
          losses.push(metrics.loss);
          progress?.(metrics);
        },
      });
      body("", "loss (logarithmic)", ...lossCurve(losses));

      heading("3  What it learnt");
      const after = await ask(device, checkpoint, problems, output);
      await writeFile(join(checkpoint, cardFile), `${JSON.stringify(cardOf(after), null, 2)}\n`);
      await writeFile(join(run, "evaluation.jsonl"), evaluationLines(before, after));
      const short = [before.slice(0, heldOutProblems), after.slice(0, heldOutProblems)] as const;
      const long = [before.slice(heldOutProblems), after.slice(heldOutProblems)] as const;
      styled("", "the first held-out problem of each kind", ...sampleAnswers(...short, style));
      body("", "right answers in percent, with 95 % Wilson intervals; no two numbers of these");
      styled("problems met in training, in any order or kind", ...accuracyTable(...short, shortNames, style));
      styled("", "longer numbers than any in training", ...accuracyTable(...long, longNames, style));

      heading("4  Yours");
      const weights = join(checkpoint, "model.safetensors");
      const digest = await fileDigest(weights);
      body(weights, `SHA-256 ${digest}`, `every answer: ${join(run, "evaluation.jsonl")}`);
      body("", "talk to it:", `npx posttrain chat --model_name_or_path ${shellQuote(checkpoint)}`);
      body("", "fine-tune your own model (a Hugging Face folder) on your own conversations:");
      body("npx posttrain sft --model_name_or_path DIR --data rows.jsonl --output_dir RUN");
      const seconds = secondsSince(started);
      output.print(`\nDone in ${duration(seconds)}.`);
      const result = { run, checkpoint, sha256: digest, held_out: heldOutProblems };
      const graded = { before: rightHeldOut(before), after: rightHeldOut(after) };
      output.result({ quiet: checkpoint, json: { ...result, ...graded, seconds } });
    });
  } finally {
    for (const signal of endingSignals) process.off(signal, stopped);
  }
}

const shortNames = {
  addition: "addition, 1-3 digits",
  subtraction: "subtraction, 1-3 digits",
  multiplication: "multiplication, 2 by 1",
};
const longNames = {
  addition: "addition, 4 digits",
  subtraction: "subtraction, 4 digits",
  multiplication: "multiplication, 3 by 1",
};

function printBody(print: (line: string) => void, lines: readonly string[]): void {
  for (const line of lines) print(line === "" ? "" : `  ${line}`);
}

function rightHeldOut(answers: readonly GradedAnswer[]): number {
  return answers.slice(0, heldOutProblems).filter(({ correct }) => correct).length;
}

/** Grades a folder; a terminal sees meanwhile that something happens. */
async function ask(
  device: Device,
  dir: string,
  problems: readonly ArithmeticProblem[],
  output: Output,
): Promise<readonly GradedAnswer[]> {
  const progress = isWatched(output) ? output.progress() : undefined;
  const answers = await gradeModel(device, dir, problems, (tokens) => {
    progress?.show(() => `  answering ${count(problems.length)} problems   ${count(tokens)} tokens`);
  });
  progress?.end();
  const right = rightHeldOut(answers);
  printBody(output.print, [`${count(right)} of ${count(heldOutProblems)} held-out problems answered right`]);
  return answers;
}

/** A person looks at a line that updates itself. */
function isWatched({ json }: Output): boolean {
  return (json ? process.stderr : process.stdout).isTTY === true;
}

type TrainingProgress = (metrics: SftMetrics) => void;

/** One line that updates itself on a terminal, else a line every tenth of the way. */
function trainingProgress(totalSteps: number, output: Output): TrainingProgress {
  const progress = isWatched(output) ? output.progress() : undefined;
  const started = performance.now();
  return ({ step, loss, num_tokens: tokens }) => {
    const line = (): string => {
      const seconds = secondsSince(started);
      const parts = [
        `step ${String(step).padStart(String(totalSteps).length)} of ${totalSteps}`,
        `loss ${loss.toFixed(4)}`,
        tokensPerSecond(tokens, seconds),
        step < totalSteps ? timeLeft(started, step, totalSteps) : `took ${duration(seconds)}`,
      ];
      return `  ${parts.join("   ")}`;
    };
    if (progress && step === totalSteps) progress.end(line());
    else if (progress) progress.show(line);
    else if (step % Math.ceil(totalSteps / 10) === 0 || step === totalSteps) output.print(line());
  };
}

/** What `posttrain chat` opens with: the example is a problem that the model has got right. */
function cardOf(after: readonly GradedAnswer[]): ModelCard {
  const { problem } = after.find(({ correct }) => correct) ?? (after[0] as GradedAnswer);
  return {
    description:
      "A tiny model that has learnt arithmetic and nothing else: it adds numbers of 1 to 3 digits, subtracts the smaller from the " +
      "larger, and multiplies 2 digits by 1. It works a column a line, units first.",
    example: arithmeticQuestion(problem),
    single_turn: true,
  };
}

function evaluationLines(before: readonly GradedAnswer[], after: readonly GradedAnswer[]): string {
  const part = ({ text, finish, correct }: GradedAnswer) => ({ text, finish, correct });
  return before
    .map((answer, i) => {
      const set = i < heldOutProblems ? "held_out" : "longer";
      const { kind, answer: truth } = answer.problem;
      const question = arithmeticQuestion(answer.problem);
      const graded = { before: part(answer), after: part(after[i] as GradedAnswer) };
      return `${JSON.stringify({ schema: "arithmetic_answer@1", set, kind, question, answer: truth, ...graded })}\n`;
    })
    .join("");
}
