// What `npm start` runs: a tiny Qwen2.5 is made on the spot, asked 500 arithmetic problems, taken through all stages by the functions of their
// commands, and asked again after each. The result is a function of the seed: the same weights to the last bit on every cpu path and any number of
// threads.
//
// A run folder holds model/ (untrained), training.jsonl, sft/, questions.jsonl, pairs.jsonl, dpo/, reward/, held-out-responses.jsonl, grpo/ (metrics
// and checkpoints each) and evaluation.jsonl (every question and answer).
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
import { count, duration, plural, shellQuote } from "../format.js";
import { cardFile, type ModelCard } from "../model-card.js";
import type { CommonOptions } from "../options.js";
import { createOutput, type Output } from "../output.js";
import { secondsSince, timeLeft, tokensPerSecond } from "../speed.js";
import { endingSignals } from "../stopping.js";
import { visible } from "../visible.js";
import { withDevice } from "../with-model.js";
import { type GradedAnswer, gradeModel } from "./evaluate.js";
import { makePairs, optimizeOnPairs, reinforce, trainRewardModel, type Watch } from "./later-stages.js";
import {
  branchStep,
  filesOf,
  heldOutProblems,
  preferenceProblems,
  trainingConfig,
  trainingRows,
  writeLines,
  writeTrainingRows,
} from "./recipe.js";
import {
  accuracyTable,
  changes,
  type GradedStage,
  lossCurve,
  percentText,
  rewardCurve,
  sampleAnswers,
  stageAnswers,
  stageTable,
  styleFor,
} from "./report.js";
import { newFolder, nextRunFolder } from "./run-folder.js";
import { writeTinyModel } from "./tiny-model.js";

export interface QuickstartOptions extends CommonOptions {
  readonly seed: number;
  /** A new folder. Default: runs/quickstart-N with the first free N. */
  readonly output_dir?: string | undefined;
}

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
      output.draw(style.bold("A tiny language model learns arithmetic: fine-tuning, preferences, rewards"));
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
      const short = [before.slice(0, heldOutProblems), after.slice(0, heldOutProblems)] as const;
      const long = [before.slice(heldOutProblems), after.slice(heldOutProblems)] as const;
      styled("", "the first held-out problem of each kind", ...sampleAnswers(...short, style));
      body("", "right answers in percent, with 95 % Wilson intervals; no two numbers of these");
      styled("problems met in training, in any order or kind", ...accuracyTable(...short, shortNames, style));
      styled("", "longer numbers than any in training", ...accuracyTable(...long, longNames, style));

      heading("4  Preferences");
      const start = join(sft, `checkpoint-${branchStep}`);
      const paths = { run, base: model, start, seed };
      const heldOut = problems.slice(0, heldOutProblems);
      const watch = watching(output);
      body(
        `the next stages go on from step ${branchStep} of fine-tuning:`,
        "at its end hardly a mistake is left to learn from",
      );
      const branch = await ask(device, start, heldOut, output);
      const made = await makePairs(device, paths, watch);
      const sampled = made.yields.reduce((sum, { responses }) => sum + responses, 0);
      const passed = made.yields.reduce((sum, { outcomes }) => sum + outcomes.pass, 0);
      body(
        `its own answers to ${count(preferenceProblems)} other problems: ${percentOf(passed, sampled)} of ${count(sampled)} right`,
        `${count(made.pairs)} pairs of a right and a wrong answer: ${filesOf(paths).pairs}`,
        "DPO with online merging (base: the model of random weights)",
      );
      const dpo = await optimizeOnPairs(device, paths, watch);
      const afterDpo = await ask(device, dpo.checkpoint, heldOut, output);

      heading("5  A reward model on the same pairs");
      const worth = await trainRewardModel(device, paths, heldOut, watch);
      const { pairs: preferred, bestOf8: best } = worth;
      body(
        `right above wrong on ${percentText(preferred)} of ${plural(preferred.total, "held-out problem")}`,
        `of 8 answers the one it likes best is right in ${percentOf(best.value, 1)}, any in ${percentOf(best.random, 1)}:`,
        `a gain of ${pointsText(best)}`,
      );

      heading("6  Reinforcement learning");
      body("GRPO from DPO's checkpoint: 8 answers to each problem, rewarded when right");
      const rl = await reinforce(device, { ...paths, policy: dpo.checkpoint }, watch);
      for (const alarm of rl.alarms) body(`ALARM: ${alarm}`);
      const rewards = rl.steps.flatMap(({ reward }) => (reward === undefined ? [] : [reward]));
      body("", "mean reward of a step; problems whose answers vary most come first");
      body(...rewardCurve(rewards), "");
      const afterRl = await ask(device, rl.checkpoint, heldOut, output);

      heading("7  All stages");
      const untrained = { name: "untrained", answers: before.slice(0, heldOutProblems) };
      const branched = { name: `fine-tuned, step ${branchStep}`, answers: branch };
      const preferring = { name: "  then DPO", answers: afterDpo };
      const reinforced = { name: "  then DPO, GRPO", answers: afterRl };
      const tuned = { name: "fine-tuned to the end", answers: after.slice(0, heldOutProblems) };
      const stages: readonly GradedStage[] = [untrained, branched, preferring, reinforced, tuned];
      body(`the same ${count(heldOutProblems)} held-out problems, greedy answers; 95 % Wilson intervals`);
      styled(...stageTable(stages, style));
      const [byDpo, byRl] = [changes(branch, afterDpo), changes(afterDpo, afterRl)];
      body(
        `answers that became right and wrong: DPO ${byDpo.gained} and ${byDpo.lost}, GRPO ${byRl.gained} and ${byRl.lost}`,
        "",
        "the first problem on which the last four disagree",
      );
      styled(...stageAnswers(stages, stages.slice(1), style));
      await writeLines(
        join(run, "evaluation.jsonl"),
        evaluationRows(before, after, { branch, afterDpo, afterRl }),
      );

      heading("8  Yours");
      const digests = await weightsOf({
        sft: checkpoint,
        dpo: dpo.checkpoint,
        reward: worth.checkpoint,
        grpo: rl.checkpoint,
      });
      for (const { dir, sha256 } of Object.values(digests)) {
        body(join(dir, weightsFile), `SHA-256 ${sha256}`);
      }
      body(`every answer: ${join(run, "evaluation.jsonl")}`);
      body("", "talk to it:", `npx posttrain chat --model_name_or_path ${shellQuote(checkpoint)}`);
      body("", "fine-tune your own model (a Hugging Face folder) on your own conversations:");
      body("npx posttrain sft --model_name_or_path DIR --data rows.jsonl --output_dir RUN");
      const seconds = secondsSince(started);
      output.print(`\nDone in ${duration(seconds)}.`);
      const result = { run, checkpoint, sha256: digests.sft.sha256, held_out: heldOutProblems };
      const graded = { before: rightHeldOut(before), after: rightHeldOut(after) };
      const later = {
        branch: { step: branchStep, right: rightHeldOut(branch) },
        pairs: made.pairs,
        dpo: { ...digests.dpo, right: rightHeldOut(afterDpo) },
        reward: { ...digests.reward, pairs: worth.pairs, best_of_8: best },
        grpo: { ...digests.grpo, right: rightHeldOut(afterRl) },
      };
      output.result({ quiet: checkpoint, json: { ...result, ...graded, ...later, seconds } });
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

const weightsFile = "model.safetensors";

/** Checkpoints with the digest of their weights. */
async function weightsOf<K extends string>(
  dirs: Readonly<Record<K, string>>,
): Promise<Record<K, { readonly dir: string; readonly sha256: string }>> {
  const digests = {} as Record<K, { readonly dir: string; readonly sha256: string }>;
  for (const name of Object.keys(dirs) as K[]) {
    digests[name] = { dir: dirs[name], sha256: await fileDigest(join(dirs[name], weightsFile)) };
  }
  return digests;
}

const percentOf = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)} %`;

/** "0.8 points (0.1 to 1.5)" */
function pointsText({
  gain,
  low,
  high,
}: {
  readonly gain: number;
  readonly low: number;
  readonly high: number;
}) {
  const [own, least, most] = [gain, low, high].map((share) => (100 * share).toFixed(1));
  return `${own} points (${least} to ${most})`;
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

/** A terminal sees how far a stage is. */
function watching(output: Output): Watch {
  if (!isWatched(output)) return () => undefined;
  const progress = output.progress();
  return (what, done, of) => {
    const line = (): string => `  ${what}: ${count(done)} of ${count(of)}`;
    if (done < of) progress.show(line);
    else progress.end();
  };
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

/** Of the stages between, which are asked the held-out problems alone. */
interface Between {
  readonly branch: readonly GradedAnswer[];
  readonly afterDpo: readonly GradedAnswer[];
  readonly afterRl: readonly GradedAnswer[];
}

function evaluationRows(
  before: readonly GradedAnswer[],
  after: readonly GradedAnswer[],
  { branch, afterDpo, afterRl }: Between,
): readonly object[] {
  const part = (answer: GradedAnswer | undefined) =>
    answer && { text: answer.text, finish: answer.finish, correct: answer.correct };
  return before.map((answer, i) => {
    const { kind, answer: truth } = answer.problem;
    return {
      schema: "arithmetic_answer@1",
      set: i < heldOutProblems ? "held_out" : "longer",
      kind,
      question: arithmeticQuestion(answer.problem),
      answer: truth,
      before: part(answer),
      after: part(after[i]),
      [`step_${branchStep}`]: part(branch[i]),
      dpo: part(afterDpo[i]),
      grpo: part(afterRl[i]),
    };
  });
}
