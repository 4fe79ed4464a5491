// How tokens are drawn: flags, else the model's generation_config.json, else as transformers does without either: greedy.
import { type Tokenizer, UserError } from "@posttrain/data";
import {
  type GenerationConfig,
  type Qwen2Config,
  resolveStopIds,
  type SamplingSettings,
} from "@posttrain/model";
import { z } from "zod";
import { plainNumber } from "./format.js";

const fromModel = "default: generation_config.json's, else";

export const samplingOptions = {
  max_new_tokens: z.int().positive().default(512).describe("most tokens of an answer"),
  temperature: z.number().nonnegative().optional().describe(`0: greedy; ${fromModel} 0`),
  top_p: z.number().positive().max(1).optional().describe(`1: off; ${fromModel} 1`),
  top_k: z.int().nonnegative().optional().describe(`0: off; ${fromModel} 0`),
  min_p: z.number().min(0).max(1).optional().describe(`0: off; ${fromModel} 0`),
  repetition_penalty: z.number().positive().optional().describe(`1: off; ${fromModel} 1`),
  stop_ids: z
    .array(z.int().nonnegative())
    .default([])
    .describe("token ids that end an answer, besides those of the model; they are no part of its text"),
  stop: z
    .array(z.string().min(1))
    .default([])
    .describe("text that ends an answer, which is cut before it; repeat the flag for several")
    .meta({ verbatim: true }),
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .default(42)
    .describe("same seed, same text"),
};

type SamplingOptions = z.output<z.ZodObject<typeof samplingOptions>>;

export interface Sampling {
  readonly settings: SamplingSettings;
  /** Text that ends an answer. */
  readonly stop: readonly string[];
  /** One line that says how it is drawn, and what of it comes from generation_config.json. */
  readonly description: string;
}

export function resolveSampling(
  options: SamplingOptions,
  generation: GenerationConfig,
  config: Qwen2Config,
  tokenizer: Tokenizer,
): Sampling {
  // transformers ignores the temperature of a file that does not ask for sampling.
  const temperatureOfModel = generation.doSample === true ? (generation.temperature ?? 1) : null;
  const choices = [
    { name: "temperature", flag: options.temperature, file: temperatureOfModel, off: 0 },
    { name: "top_p", flag: options.top_p, file: generation.topP, off: 1 },
    { name: "top_k", flag: options.top_k, file: generation.topK, off: 0 },
    { name: "min_p", flag: options.min_p, file: generation.minP, off: 0 },
    {
      name: "repetition_penalty",
      flag: options.repetition_penalty,
      file: generation.repetitionPenalty,
      off: 1,
    },
  ] as const;
  const value = (name: (typeof choices)[number]["name"]): number => {
    const { flag, file, off } = choices.find((choice) => choice.name === name)!;
    return flag ?? file ?? off;
  };
  const temperature = value("temperature");
  const { stop } = options;
  const stopIds = stopIdsOf(options, generation, config);
  const greedy = temperature === 0;
  const settings: SamplingSettings = {
    temperature,
    topP: value("top_p"),
    topK: value("top_k"),
    minP: value("min_p"),
    repetitionPenalty: value("repetition_penalty"),
    maxNewTokens: options.max_new_tokens,
    stopIds,
  };
  // A greedy draw does not ask for the filters.
  const acting = choices.filter(
    ({ name, off }) => value(name) !== off && (!greedy || name === "repetition_penalty"),
  );
  const say = (fromFile: boolean): string =>
    acting
      .filter(({ flag }) => (flag === undefined) === fromFile)
      .map(({ name }) => `${name} ${plainNumber(value(name))}`)
      .join(", ");
  const file = say(true);
  const parts = [greedy ? "greedy" : "", say(false), file && `from generation_config.json: ${file}`];
  const stops = [
    ...stopIds.map((id) => tokenizer.tokenOf(id) ?? `id ${id}`),
    ...stop.map((text) => JSON.stringify(text)),
  ].join(", ");
  return {
    settings,
    stop,
    description: `sampling: ${parts.filter(Boolean).join("; ")}; stops at ${stops || "max_new_tokens alone (the model names no eos token)"}`,
  };
}

/** The model's and those that were asked for. UserError where the model has no such token. */
export function stopIdsOf(
  { stop_ids: asked }: Pick<SamplingOptions, "stop_ids">,
  generation: GenerationConfig,
  config: Qwen2Config,
): readonly number[] {
  const outside = asked.find((id) => id >= config.vocabSize);
  if (outside !== undefined) {
    throw new UserError(
      "bad_option",
      `--stop_ids has ${outside}, but the model knows the ids 0 to ${config.vocabSize - 1}. Give ids of its tokenizer, or text with --stop.`,
    );
  }
  return [...new Set([...resolveStopIds(generation, config), ...asked])];
}

/** generate() refuses with a RangeError what it cannot serve at all: more cache than its budget. */
export function asUserError(error: unknown): unknown {
  if (!(error instanceof RangeError) || !error.message.startsWith("generate: ")) return error;
  return new UserError("cannot_serve", `posttrain ${error.message.replace("raise it, ", "")}.`, {
    cause: error,
  });
}
