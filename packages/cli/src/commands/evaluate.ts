// posttrain evaluate: questions from a file against a model, graded by exact match or by verifiers, with the table that
// lm-evaluation-harness prints.
import { basename } from "node:path";
import {
  type Asked,
  type EvaluateConfig,
  type Evaluation,
  evaluateConfig,
  examplesFor,
  type Graded,
  type Grading,
  makeResultFolder,
  openGrading,
  type Prompts,
  type ReadOptions,
  readingOf,
  readQuestions,
  renderPrompts,
  respondSeveral,
  resultsOf,
  resultTable,
  type Spread,
  settingsLine,
  spreadOf,
  summarize,
  writeResults,
} from "@posttrain/evaluate";
import { openRedisJobs } from "@posttrain/jobs";
import { type Model, modelDigest, openModelFolder } from "@posttrain/model";
import { stopIdsOf, textSide } from "@posttrain/rollout";
import { defineCommand } from "../command.js";
import { exitCodes } from "../failure.js";
import { count, plural } from "../format.js";
import { createOutput, type Output } from "../output.js";
import { watchReading } from "../reading.js";
import { gradedOn } from "../redis-option.js";
import { timeLeft, tokensAndSpeed } from "../speed.js";
import { unstoppedTemplate } from "../turn-ends.js";
import { visible, visibleLine } from "../visible.js";
import { describeModel, withModel } from "../with-model.js";

/** Of the rules of extraction and equality: raised when a change of them changes a grade. */
const version = 1;

export const command = defineCommand({
  options: evaluateConfig.safeExtend(gradedOn),
  examples: [
    [
      "npx posttrain evaluate --model_name_or_path runs/quickstart-1/sft/checkpoint-800 \\\n--data runs/quickstart-1/evaluation.jsonl --max_new_tokens 64",
      "the problems that npm start has asked",
    ],
    [
      "npx posttrain evaluate --model_name_or_path ~/models/Qwen2.5-0.5B-Instruct \\\n--data HumanEval.jsonl --task humaneval --num_samples 8 --temperature 0.8",
      "pass@1 and pass@8 by running the programs",
    ],
    [
      "npx posttrain evaluate --model_name_or_path ~/models/Qwen2.5-0.5B-Instruct \\\n--data questions.jsonl --num_fewshot 2 --fewshot_data solved.jsonl --output_dir results",
      "two solved examples before each question, every response kept",
    ],
  ],
  notes:
    'A row is {"question" or "prompt": "...", "answer": "..."} or {"messages": [...], "answer": "..."}; kind, task or category makes groups. ' +
    "The answer in a response is what --extract says: boxed (the last \\boxed{}), hash (after the last ####), answer (after the last " +
    '"Answer:" or "answer is"), last_number, whole, or auto: the first of these that is there, a number only where the reference is one. ' +
    "It is right when it is the reference, but for case, spaces, thousands separators and a trailing point. A response that never ended is " +
    "wrong and counted apart (unended). With --task or --verifier the verdicts are those of posttrain verify: answers by value, programs " +
    "run, instructions checked; pass@k without bias over --num_samples responses, maj@k by the answer that most of them give, IFEval's four " +
    `accuracies; what could not be graded is left out, counted, and the exit code ${exitCodes.ungraded}. --json prints what results_<date>.json has.`,
  // Where Redis is may be a secret: no part of what is kept.
  run: async ({ redis, ...config }, context) => {
    const { model_name_or_path: dir } = config;
    const { config: model, generationConfig } = await openModelFolder(dir);
    const stopIds = stopIdsOf(config, generationConfig, model);
    const output = createOutput(context, process.stderr);
    const watched = watchReading(output);
    const reading = { ...(await readingOf(config)), onProgress: watched.onProgress };
    const questions = (await readQuestions(config.data, reading)).slice(0, config.limit);
    watched.end();
    const asked = await withExamples(questions, config, reading);
    await using workers = redis === undefined ? undefined : await openRedisJobs(redis);
    const grading = await openGrading(config, reading.task, questions, workers);
    try {
      const prompts = await renderPrompts(asked, textSide(dir, model, config));
      const folder = config.output_dir === undefined ? undefined : await makeResultFolder(config);
      const task = config.task ?? basename(config.data).replace(/(\.jsonl?)?(\.gz)?$/, "");
      const started = new Date();
      const digest = await modelDigest(dir);
      const samples = await withModel(config, context, (opened) => {
        output.say(`${dir}: ${describeModel(opened)}`);
        const warning = unstoppedTemplate(prompts, stopIds, config.stop);
        if (warning !== undefined) output.say(warning);
        return ask(opened, asked, prompts, grading, { ...config, stopIds }, output);
      });
      const answered = await grading.vote(samples);
      const summary = summarize(task, questions, answered, grading.measure);
      const evaluation: Evaluation = {
        ...{ config, task, version, questions, answered, summary, started },
        filter: grading.filter,
        ended: new Date(),
        modelDigest: digest,
      };
      const files = folder === undefined ? undefined : await writeResults(folder, evaluation);
      const { withoutAnswer, ungraded, unended, responses } = summary.all;
      const several = config.num_samples > 1 ? `, ${plural(responses, "response")}` : "";
      output.say(
        `${plural(questions.length, "question")}${several}: ${plural(unended.correct, "response")} never ended${grading.unendedIsWrong ? " (counted as wrong)" : ""}, ` +
          `${count(withoutAnswer)} ended without an answer${ungraded > 0 ? `, ${count(ungraded)} could not be graded (left out)` : ""}`,
      );
      const unsealed = samples.flat().filter(({ verdict }) => verdict.details?.["sealed"] === false).length;
      if (unsealed > 0) {
        output.say(
          `${plural(unsealed, "verdict")} came from tests that ran beside the program (sealed: false); --unsealed refuse leaves them out.`,
        );
      }
      if (!context.json) {
        const { num_fewshot: shots, temperature, max_new_tokens, seed, limit, num_samples } = config;
        const { stop, stop_ids } = config;
        const generation = {
          temperature,
          max_new_tokens,
          ...(temperature > 0 && { seed }),
          ...(num_samples > 1 && { num_samples }),
          ...(stop.length > 0 && { until: stop }),
          ...(stop_ids.length > 0 && { stop_ids }),
        };
        const groups = summary.groups.map((group) => ({ ...group, name: visibleLine(group.name) }));
        const named = { ...summary, groups };
        const table = `${settingsLine({ model: dir, dtype: config.dtype, generation, limit, shots })}\n${resultTable(named, { version, filter: grading.filter, shots })}\n`;
        process.stdout.write(visible(table));
        const spread = spreadOf(named);
        if (spread !== undefined) output.say(spreadText(spread));
      }
      if (files) output.print(`\n${files.results}\n${files.samples}`);
      output.result({ json: { ...resultsOf(evaluation), files: files ?? null } });
      if (ungraded > 0) process.exitCode = exitCodes.ungraded;
    } finally {
      await grading.close();
    }
  },
});

function spreadText({ metric, groups, lowest, highest, deviation, byChance }: Spread): string {
  const end = ({ group, share }: Spread["lowest"]): string => `${share.toFixed(4)} (${group})`;
  return `${metric} over ${groups} groups: from ${end(lowest)} to ${end(highest)}, standard deviation ${deviation.toFixed(4)}; chance alone would give about ${byChance.toFixed(4)}`;
}

async function withExamples(
  questions: Awaited<ReturnType<typeof readQuestions>>,
  { num_fewshot: shots, fewshot_data: file }: EvaluateConfig,
  reading: ReadOptions,
): Promise<readonly Asked[]> {
  if (file === undefined) return questions;
  const examples = await readQuestions(file, reading);
  return questions.map((question) => ({
    ...question,
    examples: examplesFor(question, examples, shots, file),
  }));
}

async function ask(
  model: Model,
  asked: readonly Asked[],
  prompts: Prompts,
  { grader }: Grading,
  config: EvaluateConfig & { readonly stopIds: readonly number[] },
  output: Output,
): Promise<readonly (readonly Graded[])[]> {
  const progress = output.progress();
  const started = performance.now();
  const total = asked.length * config.num_samples;
  const most = total * config.max_new_tokens;
  let tokens = 0;
  let graded = 0;
  try {
    return await respondSeveral(model, asked, prompts, grader, {
      samples: config.num_samples,
      onGraded: () => {
        graded++;
        progress.show(() => `${count(graded)} of ${plural(total, "response")} graded`);
      },
      temperature: config.temperature,
      maxNewTokens: config.max_new_tokens,
      seed: config.seed,
      stop: config.stop,
      stopIds: config.stopIds,
      onToken: () => {
        tokens++;
        progress.show(
          () =>
            `${plural(asked.length, "question")}: ${tokensAndSpeed(tokens, started)}, at most ${timeLeft(started, tokens, most)}`,
        );
      },
    });
  } finally {
    progress.end();
  }
}
