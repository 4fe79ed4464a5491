// posttrain generate: samples of a model for one prompt or a file of prompts.
import { answerText, stopWatch, type Tokenizer, UserError } from "@posttrain/data";
import {
  type GeneratedSequence,
  type GenerationRequest,
  generate,
  type Model,
  openModelFolder,
} from "@posttrain/model";
import { z } from "zod";
import { defineCommand } from "../command.js";
import { count, duration, float32, plural } from "../format.js";
import { createOutput, type Output } from "../output.js";
import { openResultFile } from "../result-file.js";
import { type PromptRow, readPrompts, singlePrompt, textSide } from "../rows.js";
import { asUserError, resolveSampling, type Sampling, samplingOptions } from "../sampling.js";
import { unstoppedTemplate } from "../turn-ends.js";
import { modelOptions, withModel } from "../with-model.js";

export const command = defineCommand({
  options: z.strictObject({
    ...modelOptions,
    prompt: z.string().optional().describe("one prompt; or give data"),
    data: z.string().optional().describe("prompts, JSONL: prompt, messages or input_ids"),
    output: z.string().optional().describe("new file for the samples; default: standard output"),
    raw: z.boolean().default(false).describe("continue prompt as it is, without the chat template"),
    num_generations: z.int().positive().default(1).describe("samples of each prompt"),
    ...samplingOptions,
  }),
  examples: [
    [
      'npx posttrain generate --model_name_or_path runs/quickstart-1/sft/checkpoint-800 \\\n--prompt "What is 47 + 35?"',
      "one answer of the model that npm start has made",
    ],
    [
      "npx posttrain generate --model_name_or_path ~/models/Qwen2.5-0.5B-Instruct \\\n--data prompts.jsonl --num_generations 8 --temperature 1 --output samples.jsonl",
      "eight samples of each row",
    ],
  ],
  notes:
    'A row is {"prompt": "..."} (one user message; with --raw, text), {"messages": [...]} or {"input_ids": [...]}. A sample is ' +
    '{"id", "line", "sample", "text", "ids", "logprobs", "finish_reason"}: the row\'s id and line, the number of the sample, its ' +
    "text without special tokens and before the first --stop, all its tokens (those of the stop too) with their log-probabilities (of the " +
    "tempered distribution, before penalty and filters), and stop or length. A terminal gets the text alone, unless --json is given.",
  run: async (options, context) => {
    const { model_name_or_path: dir, prompt, data, raw } = options;
    if ((prompt === undefined) === (data === undefined)) {
      throw new UserError(
        "bad_option",
        "posttrain generate: give --prompt TEXT or --data FILE, one of the two.",
      );
    }
    const { config, generationConfig } = await openModelFolder(dir);
    const text = textSide(dir, config);
    const tokenizer = await text.tokenizer();
    const rows =
      data === undefined ? [await singlePrompt(prompt!, raw, text)] : await readPrompts(data, raw, text);
    const sampling = resolveSampling(options, generationConfig, config, tokenizer);
    if (options.num_generations > 1 && sampling.settings.temperature === 0) {
      throw new UserError(
        "same_samples",
        `posttrain generate: greedy sampling gives ${options.num_generations} times the same text. Give --temperature (1 samples from the model as it is), or --num_generations 1.`,
      );
    }
    const requests = requestsFor(rows, options.num_generations, sampling, config.maxPositionEmbeddings);
    const results = await openResultFile(options.output);
    try {
      const output = createOutput(context, process.stderr);
      output.say(sampling.description);
      const { stop, settings } = sampling;
      if (text.usesTemplate()) {
        const template = await text.template();
        const warning = unstoppedTemplate({ tokenizer, template }, settings.stopIds, stop);
        if (warning !== undefined) output.say(warning);
      }
      const samples = await withModel(options, context, (model) =>
        sample(model, requests, stop, tokenizer, options.seed, output),
      );
      for (const one of samples) {
        const row = rows[one.request]!;
        const said = answerText(tokenizer, one.ids, { stop, stopIds: settings.stopIds });
        if (options.output === undefined && process.stdout.isTTY && !context.json) {
          if (samples.length > 1) console.log(`--- line ${row.line}, sample ${one.sample}`);
          console.log(said);
        } else {
          await results.write({
            id: row.id,
            line: row.line,
            sample: one.sample,
            text: said,
            ids: [...one.ids],
            logprobs: Array.from(one.logProbs, float32),
            finish_reason: one.finish,
          });
        }
      }
      await results.commit();
    } finally {
      await results.discard();
    }
  },
});

/** A row that nearly fills the context gets fewer tokens, never positions that the model does not know. */
function requestsFor(
  rows: readonly PromptRow[],
  samples: number,
  { settings }: Sampling,
  context: number,
): readonly GenerationRequest[] {
  return rows.map(({ ids, line }, row) => {
    const room = context - ids.length;
    if (room < 1) {
      throw new UserError(
        "row_too_long",
        `The prompt on line ${line} has ${ids.length} tokens and fills the model's context of ${context}: nothing can follow. Shorten it.`,
      );
    }
    const maxNewTokens = Math.min(room, settings.maxNewTokens);
    return { promptIds: ids, samples, row, visit: 0, settings: { ...settings, maxNewTokens } };
  });
}

async function sample(
  model: Model,
  requests: readonly GenerationRequest[],
  stop: readonly string[],
  tokenizer: Tokenizer,
  seed: number,
  output: Output,
): Promise<readonly GeneratedSequence[]> {
  const progress = output.progress();
  const started = performance.now();
  const speed = (tokens: number): string => {
    const seconds = (performance.now() - started) / 1000;
    return `${plural(tokens, "token")}, ${count(tokens / seconds)} tokens/s`;
  };
  const most = requests.reduce((sum, { samples, settings }) => sum + samples * settings.maxNewTokens, 0);
  const left = (): string => duration(((performance.now() - started) / 1000 / tokens) * (most - tokens));
  let tokens = 0;
  const samples = await generate(model, requests, {
    seed,
    stream: "evaluation",
    drawable: Math.min(tokenizer.size, model.config.vocabSize),
    isEnd: stopWatch(tokenizer, stop),
    onToken: () => {
      tokens++;
      progress.show(() => `${speed(tokens)}, at most ${left()} left`);
    },
  }).catch((error: unknown) => {
    progress.end();
    throw asUserError(error);
  });
  progress.end();
  const stopped = samples.filter(({ finish }) => finish === "stop").length;
  const limit = "max_new_tokens or the end of the context";
  output.say(
    `${plural(samples.length, "sample")}: ${speed(tokens)}; ${count(stopped)} stopped, ${count(samples.length - stopped)} reached ${limit}`,
  );
  return samples;
}
