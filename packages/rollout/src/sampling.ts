// How tokens are drawn for people: options, else the model's generation_config.json, else as transformers does without either: greedy.
import { UserError } from "@posttrain/data";
import {
  type GenerationConfig,
  type Qwen2Config,
  resolveStopIds,
  type SamplingSettings,
} from "@posttrain/model";
import { z } from "zod";
import type { TeacherRequest } from "./teacher.js";

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

/** A setting that acts, and who asked for it. */
export interface SamplingChoice {
  readonly name: "temperature" | "top_p" | "top_k" | "min_p" | "repetition_penalty";
  readonly value: number;
  readonly from: "options" | "generation_config.json";
}

export interface Sampling {
  readonly settings: SamplingSettings;
  /** Text that ends an answer. */
  readonly stop: readonly string[];
  /** What differs from plain greedy sampling. */
  readonly choices: readonly SamplingChoice[];
}

export function resolveSampling(
  options: SamplingOptions,
  generation: GenerationConfig,
  config: Qwen2Config,
): Sampling {
  // transformers ignores the temperature of a file that does not ask for sampling.
  const temperatureOfModel = generation.doSample === true ? (generation.temperature ?? 1) : null;
  const all = [
    { name: "temperature", option: options.temperature, file: temperatureOfModel, off: 0 },
    { name: "top_p", option: options.top_p, file: generation.topP, off: 1 },
    { name: "top_k", option: options.top_k, file: generation.topK, off: 0 },
    { name: "min_p", option: options.min_p, file: generation.minP, off: 0 },
    {
      name: "repetition_penalty",
      option: options.repetition_penalty,
      file: generation.repetitionPenalty,
      off: 1,
    },
  ] as const;
  const value = (name: SamplingChoice["name"]): number => {
    const { option, file, off } = all.find((choice) => choice.name === name)!;
    return option ?? file ?? off;
  };
  const temperature = value("temperature");
  const settings: SamplingSettings = {
    temperature,
    topP: value("top_p"),
    topK: value("top_k"),
    minP: value("min_p"),
    repetitionPenalty: value("repetition_penalty"),
    maxNewTokens: options.max_new_tokens,
    stopIds: stopIdsOf(options, generation, config),
  };
  // A greedy draw does not ask for the filters.
  const acts = (name: SamplingChoice["name"]): boolean => temperature > 0 || name === "repetition_penalty";
  const choices = all
    .filter(({ name, off }) => value(name) !== off && acts(name))
    .map(
      ({ name, option }): SamplingChoice => ({
        name,
        value: value(name),
        from: option === undefined ? "generation_config.json" : "options",
      }),
    );
  return { settings, stop: options.stop, choices };
}

type ServedSamplingOptions = {
  readonly [Name in keyof SamplingOptions]?: Readonly<SamplingOptions[Name]> | undefined;
};

/** For a server, in its protocol's names: what no option says is the server's to choose. UserError for ids, which are a tokenizer's. */
export function servedSampling({
  stop_ids: ids = [],
  stop: texts = [],
  ...options
}: ServedSamplingOptions): Omit<TeacherRequest, "messages" | "seed"> {
  const { max_new_tokens: max_tokens, temperature, top_p, top_k, min_p, repetition_penalty } = options;
  if (ids.length > 0) {
    throw new UserError(
      "bad_option",
      "--stop_ids are ids of a tokenizer, which a server does not show. Give text with --stop.",
    );
  }
  const stop = texts.length > 0 ? texts : undefined;
  const all = { max_tokens, temperature, top_p, top_k, min_p, repetition_penalty, stop };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
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
