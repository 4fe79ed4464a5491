// posttrain evaluate: questions from a file against a model, graded by exact match, with the table that lm-evaluation-harness prints.
import { basename } from "node:path";
import {
  type Asked,
  type EvaluateConfig,
  type Evaluation,
  evaluateConfig,
  exactMatch,
  examplesFor,
  type Graded,
  makeResultFolder,
  type Prompts,
  readQuestions,
  renderPrompts,
  respond,
  resultsOf,
  resultTable,
  settingsLine,
  summarize,
  writeResults,
} from "@posttrain/evaluate";
import { type Model, modelDigest, openModelFolder } from "@posttrain/model";
import { defineCommand } from "../command.js";
import { count, duration, plural } from "../format.js";
import { createOutput, type Output } from "../output.js";
import { asUserError } from "../sampling.js";
import { describeModel, withModel } from "../with-model.js";

/** Of the rules of extraction and equality: raised when a change of them changes a grade. */
const version = 1;

export const command = defineCommand({
  options: evaluateConfig,
  examples: [
    [
      "npx posttrain evaluate --model_name_or_path runs/quickstart-1/sft/checkpoint-800 \\\n--data runs/quickstart-1/evaluation.jsonl --max_new_tokens 64",
      "the problems that npm start has asked",
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
    "wrong and counted apart (unended). --json prints what results_<date>.json has.",
  run: async (config, context) => {
    const { model_name_or_path: dir } = config;
    const { config: model } = await openModelFolder(dir);
    const questions = (await readQuestions(config.data)).slice(0, config.limit);
    const asked = await withExamples(questions, config);
    const prompts = await renderPrompts(dir, asked, model.maxPositionEmbeddings);
    const folder = config.output_dir === undefined ? undefined : await makeResultFolder(config);
    const output = createOutput(context, process.stderr);
    const task = config.task ?? basename(config.data).replace(/(\.jsonl?)?(\.gz)?$/, "");
    const started = new Date();
    const digest = await modelDigest(dir);
    const graded = await withModel(dir, context, (opened) => {
      output.say(`${dir}: ${describeModel(opened)}`);
      return ask(opened, asked, prompts, config, output);
    });
    const summary = summarize(task, questions, graded);
    const evaluation: Evaluation = {
      ...{ config, task, version, questions, graded, summary, started },
      ended: new Date(),
      modelDigest: digest,
    };
    const files = folder === undefined ? undefined : await writeResults(folder, evaluation);
    const { withoutAnswer, ungraded, unended } = summary.all;
    output.say(
      `${plural(questions.length, "question")}: ${plural(unended.correct, "response")} never ended (counted as wrong), ` +
        `${count(withoutAnswer)} ended without an answer${ungraded > 0 ? `, ${count(ungraded)} could not be graded (left out)` : ""}`,
    );
    if (!context.json) {
      const { extract: filter, num_fewshot: shots, temperature, max_new_tokens, seed, limit } = config;
      const generation = { temperature, max_new_tokens, ...(temperature > 0 && { seed }) };
      process.stdout.write(
        `${settingsLine({ model: dir, generation, limit, shots })}\n${resultTable(summary, { version, filter, shots })}\n`,
      );
    }
    if (files) output.print(`\n${files.results}\n${files.samples}`);
    output.result({ json: { ...resultsOf(evaluation), files: files ?? null } });
  },
});

async function withExamples(
  questions: Awaited<ReturnType<typeof readQuestions>>,
  { num_fewshot: shots, fewshot_data: file }: EvaluateConfig,
): Promise<readonly Asked[]> {
  if (file === undefined) return questions;
  const examples = await readQuestions(file);
  return questions.map((question) => ({
    ...question,
    examples: examplesFor(question, examples, shots, file),
  }));
}

async function ask(
  model: Model,
  asked: readonly Asked[],
  prompts: Prompts,
  config: EvaluateConfig,
  output: Output,
): Promise<readonly Graded[]> {
  const progress = output.progress();
  const started = performance.now();
  const most = asked.length * config.max_new_tokens;
  let tokens = 0;
  const speed = (): string => {
    const seconds = (performance.now() - started) / 1000;
    return `${plural(tokens, "token")}, ${count(tokens / seconds)} tokens/s`;
  };
  const left = (): string => duration(((performance.now() - started) / 1000 / tokens) * (most - tokens));
  try {
    return await respond(model, asked, prompts, exactMatch(config.extract), {
      temperature: config.temperature,
      maxNewTokens: config.max_new_tokens,
      seed: config.seed,
      onToken: () => {
        tokens++;
        progress.show(() => `${plural(asked.length, "question")}: ${speed()}, at most ${left()} left`);
      },
    });
  } catch (error) {
    throw asUserError(error);
  } finally {
    progress.end();
  }
}
