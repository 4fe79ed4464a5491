// posttrain generate: samples of a model for one prompt or a file of prompts.
import { answerText, type Tokenizer, UserError } from "@posttrain/data";
import { type Model, modelOptions, openModelFolder } from "@posttrain/model";
import {
  checkRoom,
  type PromptRow,
  type Rollout,
  readPrompts,
  resolveSampling,
  rollOut,
  type Sampling,
  samplingOptions,
  singlePrompt,
  textSide,
} from "@posttrain/rollout";
import { z } from "zod";
import { defineCommand } from "../command.js";
import { count, float32, plural } from "../format.js";
import { createOutput, type Output } from "../output.js";
import { watchReading } from "../reading.js";
import { openResultFile } from "../result-file.js";
import { samplingText, textOptions } from "../sampling-text.js";
import { timeLeft, tokensAndSpeed } from "../speed.js";
import { unstoppedTemplate } from "../turn-ends.js";
import { visible } from "../visible.js";
import { withModel } from "../with-model.js";

export const command = defineCommand({
  options: z.strictObject({
    ...modelOptions,
    prompt: z.string().optional().describe("one prompt; or give data"),
    data: z.string().optional().describe("prompts, JSONL: prompt, messages or input_ids"),
    output: z.string().optional().describe("new file for the samples; default: standard output"),
    raw: z.boolean().default(false).describe("continue prompt as it is, without the chat template"),
    num_samples: z
      .int()
      .positive()
      .default(1)
      .describe("samples of each prompt")
      .meta({ alias: "num_generations" }),
    ...samplingOptions,
    ...textOptions,
  }),
  examples: [
    [
      'npx posttrain generate --model_name_or_path runs/quickstart-1/sft/checkpoint-800 \\\n--prompt "What is 47 + 35?"',
      "one answer of the model that npm start has made",
    ],
    [
      "npx posttrain generate --model_name_or_path ~/models/Qwen2.5-0.5B-Instruct \\\n--data prompts.jsonl --num_samples 8 --temperature 1 --output samples.jsonl",
      "eight samples of each row",
    ],
  ],
  notes:
    'A row is {"prompt": "..."} (one user message; with --raw, text), {"messages": [...]} or {"input_ids": [...]}. A sample is ' +
    '{"id", "line", "sample", "text", "ids", "logprobs", "finish_reason"}: the row\'s id and line, the number of the sample, its ' +
    "text without special tokens (with them: --show_special_tokens) and before the first --stop, all its tokens (those of the stop too) with their log-probabilities (of the " +
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
    const output = createOutput(context, process.stderr);
    const reading = watchReading(output);
    const text = textSide(dir, config, options, reading.onProgress);
    const tokenizer = await text.tokenizer();
    const rows =
      data === undefined ? [await singlePrompt(prompt!, raw, text)] : await readPrompts(data, raw, text);
    reading.end();
    const sampling = resolveSampling(options, generationConfig, config);
    if (options.num_samples > 1 && sampling.settings.temperature === 0) {
      throw new UserError(
        "same_samples",
        `posttrain generate: greedy sampling gives ${options.num_samples} times the same text. Give --temperature (1 samples from the model as it is), or --num_samples 1.`,
      );
    }
    checkRoom(rows, config.maxPositionEmbeddings);
    const results = await openResultFile(options.output);
    try {
      output.say(samplingText(sampling, tokenizer));
      const { stop, settings } = sampling;
      if (text.usesTemplate()) {
        const template = await text.template();
        const warning = unstoppedTemplate({ tokenizer, template }, settings.stopIds, stop);
        if (warning !== undefined) output.say(warning);
      }
      const samples = await withModel(options, context, (model) =>
        respond(model, rows, { ...options, sampling, tokenizer }, output),
      );
      for (const one of samples) {
        const row = rows[one.prompt]!;
        const said = options.show_special_tokens
          ? answerText(tokenizer, one.ids, { stop, stopIds: settings.stopIds, skipSpecialTokens: false })
          : one.text;
        if (options.output === undefined && process.stdout.isTTY && !context.json) {
          if (samples.length > 1) console.log(`--- line ${row.line}, sample ${one.sample}`);
          console.log(visible(said));
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

interface Asked {
  readonly sampling: Sampling;
  readonly tokenizer: Tokenizer;
  readonly num_samples: number;
  readonly seed: number;
}

/** All samples of all rows, in their order. */
async function respond(
  model: Model,
  rows: readonly PromptRow[],
  { sampling, num_samples: samples, tokenizer, seed }: Asked,
  output: Output,
): Promise<readonly Rollout[]> {
  const progress = output.progress();
  const started = performance.now();
  const { maxNewTokens } = sampling.settings;
  const context = model.config.maxPositionEmbeddings;
  const most = samples * rows.reduce((sum, { ids }) => sum + Math.min(maxNewTokens, context - ids.length), 0);
  let tokens = 0;
  const responses: Rollout[] = [];
  try {
    const onToken = (): void => {
      tokens++;
      progress.show(() => `${tokensAndSpeed(tokens, started)}, at most ${timeLeft(started, tokens, most)}`);
    };
    for await (const response of rollOut(model, rows, {
      ...sampling,
      tokenizer,
      seed,
      samples,
      stream: "evaluation",
      onToken,
    })) {
      responses.push(response);
    }
  } finally {
    progress.end();
  }
  const stopped = responses.filter(({ finish }) => finish === "stop").length;
  const limit = "max_new_tokens or the end of the context";
  output.say(
    `${plural(responses.length, "sample")}: ${tokensAndSpeed(tokens, started)}; ${count(stopped)} stopped, ${count(responses.length - stopped)} reached ${limit}`,
  );
  return responses.sort((a, b) => a.prompt - b.prompt || a.sample - b.sample);
}
