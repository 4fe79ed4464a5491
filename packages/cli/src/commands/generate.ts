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
  type Sampler,
  type Sampling,
  samplingOptions,
  serverOptions,
  singlePrompt,
  textSide,
} from "@posttrain/rollout";
import { z } from "zod";
import { defineCommand, type RunContext } from "../command.js";
import { exitCodes } from "../failure.js";
import { count, float32, plural } from "../format.js";
import { createOutput, type Output } from "../output.js";
import { watchReading } from "../reading.js";
import { redisUrl, sampledBy, workersSentence } from "../redis-option.js";
import { openSampleRows } from "../sample-rows.js";
import { samplingText, textOptions } from "../sampling-text.js";
import { foldersOnWorkers, openWorkers } from "../sampling-workers.js";
import { writeServedSamples } from "../served-samples.js";
import { timeLeft, tokensAndSpeed } from "../speed.js";
import { unstoppedTemplate } from "../turn-ends.js";
import { withModel } from "../with-model.js";

export const command = defineCommand({
  options: z
    .strictObject({
      ...modelOptions,
      model_name_or_path: modelOptions.model_name_or_path
        .optional()
        .describe("Hugging Face folder of the model; or give base_url and model"),
      ...serverOptions,
      prompt: z.string().optional().describe("one prompt; or give data"),
      data: z
        .string()
        .optional()
        .describe(
          "prompts, JSONL, JSON, CSV or Parquet: prompt (text or messages), messages, question or input_ids",
        ),
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
      redis: redisUrl.optional(),
      ...sampledBy,
    })
    .superRefine(({ model_name_or_path: folder, base_url: server, model }, context) => {
      const issue = (message: string, ...path: string[]): void =>
        context.addIssue({ code: "custom", path, message });
      if (server === undefined && model !== undefined)
        issue("it needs base_url, a server; for a folder give model_name_or_path", "model");
      else if (server === undefined && folder === undefined)
        issue(
          "Missing: --model_name_or_path (Hugging Face folder of the model), or --base_url and --model (a server)",
        );
      if (folder !== undefined && server !== undefined)
        issue("it asks a server: leave model_name_or_path out", "base_url");
      if (server !== undefined && model === undefined) issue("it needs model, its name there", "base_url");
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
    [
      "npx posttrain generate --base_url http://127.0.0.1:8000/v1 --model Qwen/Qwen2.5-7B-Instruct \\\n--data prompts.jsonl --output samples.jsonl",
      "samples of a model behind a server; its key: OPENAI_API_KEY",
    ],
  ],
  notes:
    'A row is {"prompt": "..."} (one user message; with --raw, text; or a list of messages), {"messages": [...]}, {"question": "..."} or ' +
    '{"input_ids": [...]}. A sample is ' +
    '{"id", "line", "sample", "text", "ids", "logprobs", "finish_reason"}: the row\'s id and line, the number of the sample, its ' +
    "text without special tokens (with them: --show_special_tokens) and before the first --stop, all its tokens (those of the stop too) with their log-probabilities (of the " +
    "tempered distribution, before penalty and filters), and stop or length. A terminal gets the text alone, unless --json is given. " +
    "A server (--base_url) gets role and content of messages and the options that are given; its samples have no ids and logprobs. " +
    `Samples that it does not give are listed, and the exit code is ${exitCodes.ungraded}.`,
  run: async (options, context) => {
    const { prompt, data, raw } = options;
    if ((prompt === undefined) === (data === undefined)) {
      throw new UserError(
        "bad_option",
        "posttrain generate: give --prompt TEXT or --data FILE, one of the two.",
      );
    }
    const output = createOutput(context, process.stderr);
    const isServed = options.base_url !== undefined;
    refuseOthers(isServed ? ofFolders : ofServers, isServed, context);
    if ((options.weights_dir ?? options.serve_weights) === undefined && isGiven("redis", context))
      throw new UserError(
        "bad_option",
        "posttrain generate: redis is where workers are found, and weights_dir or serve_weights where they find the weights to sample with. Give --weights_dir too, a folder that they see, or --serve_weights, or leave redis out.",
      );
    if (isServed) {
      if (options.temperature === 0) refuseSame(options.num_samples);
      await writeServedSamples(options, context.json, output);
      return;
    }
    const dir = options.model_name_or_path!;
    const { config, generationConfig } = await openModelFolder(dir);
    const reading = watchReading(output);
    const text = textSide(dir, config, options, reading.onProgress);
    const tokenizer = await text.tokenizer();
    const rows =
      data === undefined
        ? [await singlePrompt(prompt!, raw, text)]
        : (await readPrompts(data, raw, text)).rows;
    reading.end();
    const sampling = resolveSampling(options, generationConfig, config);
    if (sampling.settings.temperature === 0) refuseSame(options.num_samples);
    checkRoom(rows, config.maxPositionEmbeddings);
    const results = await openSampleRows(options.output, context.json);
    try {
      output.say(samplingText(sampling, tokenizer));
      const { stop, settings } = sampling;
      if (text.usesTemplate()) {
        const template = await text.template();
        const warning = unstoppedTemplate({ tokenizer, template }, settings.stopIds, stop);
        if (warning !== undefined) output.say(warning);
      }
      const asked = { ...options, sampling, tokenizer };
      const { redis, weights_dir, serve_weights } = options;
      await using workers =
        (weights_dir ?? serve_weights) === undefined
          ? undefined
          : await openWorkers(
              { redis, weights_dir, serve_weights },
              options.output ?? `samples of ${process.pid}`,
            );
      if (workers !== undefined) output.say(workersSentence("sample", workers.place));
      const chosen = { ...options, model_name_or_path: dir };
      const samples =
        workers?.sampling === undefined
          ? await withModel(chosen, context, (model) => respond(model, rows, asked, output))
          : await respond(
              await foldersOnWorkers(workers.sampling, options, context)(dir),
              rows,
              asked,
              output,
            );
      for (const one of samples) {
        const row = rows[one.prompt]!;
        const said = options.show_special_tokens
          ? answerText(tokenizer, one.ids, { stop, stopIds: settings.stopIds, skipSpecialTokens: false })
          : one.text;
        const { id, line } = row;
        const drawn = { ids: [...one.ids], logprobs: Array.from(one.logProbs, float32) };
        const sample = {
          ...{ id, line, sample: one.sample, text: said },
          ...drawn,
          finish_reason: one.finish,
        };
        await results.write(sample, samples.length);
      }
      await results.commit();
    } finally {
      await results.discard();
    }
  },
});

const ofFolders = [
  "dtype",
  "raw",
  "template_date",
  "show_special_tokens",
  "redis",
  "weights_dir",
  "serve_weights",
];
const ofServers = Object.keys(serverOptions);

/** UserError for an option that would do nothing. A variable of the environment may be meant for other commands. */
function refuseOthers(names: readonly string[], isServed: boolean, context: RunContext): void {
  const vain = names.find((name) => isGiven(name, context));
  if (vain === undefined) return;
  throw new UserError(
    "bad_option",
    isServed
      ? `posttrain generate: ${vain} is about a model folder, and base_url asks a server. Leave it out.`
      : `posttrain generate: ${vain} is about a server. Give base_url and model, or leave it out.`,
  );
}

const isGiven = (name: string, { sources }: RunContext): boolean =>
  ["flag", "file"].includes(sources.get(name)?.kind ?? "");

function refuseSame(samples: number): void {
  if (samples === 1) return;
  throw new UserError(
    "same_samples",
    `posttrain generate: greedy sampling gives ${samples} times the same text. Give --temperature (1 samples from the model as it is), or --num_samples 1.`,
  );
}

interface Asked {
  readonly sampling: Sampling;
  readonly tokenizer: Tokenizer;
  readonly num_samples: number;
  readonly seed: number;
}

/** All samples of all rows, in their order. */
async function respond(
  model: Model | Sampler,
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
