/**
 * generation_config.json: where a model stops and how its makers sample from it.
 *
 * A null field means that the file says nothing, so that the reader of these values chooses. All ids of
 * `eos_token_id` count: Qwen2.5's chat models end a turn with one token and a document with another.
 */
import { z } from "zod";
import { parseWith, type Qwen2Config, tokenId, tokenIds } from "./config.js";

export interface GenerationConfig {
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | null;
  readonly bosTokenId: number | null;
  readonly doSample: boolean | null;
  readonly temperature: number | null;
  readonly topK: number | null;
  readonly topP: number | null;
  readonly minP: number | null;
  readonly repetitionPenalty: number | null;
  /** The file as it was read: keys that are unknown here survive {@link generationConfigToJson}. */
  readonly raw: Readonly<Record<string, unknown>>;
}

const temperatureText = "a number from 0";
const topKText = "a whole number from 0 (0 or -1: no limit)";
const shareText = "a number from 0 to 1";
const penaltyText = "a number above 0";
const share = z.number(shareText).min(0, shareText).max(1, shareText);

const schema = z.looseObject(
  {
    eos_token_id: tokenIds,
    pad_token_id: tokenId,
    bos_token_id: tokenId,
    do_sample: z.boolean("true or false").nullish(),
    temperature: z.number(temperatureText).min(0, temperatureText).nullish(),
    top_k: z.number(topKText).int(topKText).min(-1, topKText).nullish(),
    top_p: share.nullish(),
    min_p: share.nullish(),
    repetition_penalty: z.number(penaltyText).gt(0, penaltyText).nullish(),
  },
  "a JSON object",
);

/**
 * The generation config that `json`, the parsed content of `file`, describes.
 * @throws UserError `bad_generation_config` naming each key that is wrong.
 */
export function parseGenerationConfig(json: unknown, file: string): GenerationConfig {
  const raw = parseWith(schema, json, file, "bad_generation_config");
  return {
    eosTokenIds: raw.eos_token_id,
    padTokenId: raw.pad_token_id,
    bosTokenId: raw.bos_token_id,
    doSample: raw.do_sample ?? null,
    temperature: raw.temperature ?? null,
    // vLLM's spelling of no limit is -1.
    topK: raw.top_k === -1 ? 0 : (raw.top_k ?? null),
    topP: raw.top_p ?? null,
    minP: raw.min_p ?? null,
    repetitionPenalty: raw.repetition_penalty ?? null,
    raw: json as Readonly<Record<string, unknown>>,
  };
}

/** What a folder without generation_config.json gets: the token ids of config.json and nothing else. */
export function generationConfigFrom(config: Qwen2Config): GenerationConfig {
  return {
    eosTokenIds: config.eosTokenIds,
    padTokenId: config.padTokenId,
    bosTokenId: config.bosTokenId,
    doSample: null,
    temperature: null,
    topK: null,
    topP: null,
    minP: null,
    repetitionPenalty: null,
    raw: {},
  };
}

/** The ids that end a generation: those of generation_config.json, or of config.json where it names none. */
export function resolveStopIds(generation: GenerationConfig, config: Qwen2Config): readonly number[] {
  return generation.eosTokenIds.length > 0 ? generation.eosTokenIds : config.eosTokenIds;
}

/**
 * Both configs with `ids` among those that end a generation. These come first, as in the folders of Qwen2.5's chat models; what stands
 * there stays, and a folder that stops at all of them already stays as it is. transformers, vLLM and SGLang read generation_config.json,
 * what knows config.json alone finds the same there.
 */
export function stopAlsoAt(
  ids: readonly number[],
  generation: GenerationConfig,
  config: Qwen2Config,
): { readonly config: Qwen2Config; readonly generationConfig: GenerationConfig } {
  const stops = resolveStopIds(generation, config);
  if (ids.every((id) => stops.includes(id))) return { config, generationConfig: generation };
  const joined = (own: readonly number[]): readonly number[] => [...new Set([...ids, ...own])];
  return {
    config: { ...config, eosTokenIds: joined(config.eosTokenIds) },
    generationConfig: { ...generation, eosTokenIds: joined(stops) },
  };
}

/** The text of generation_config.json, keys sorted. Null fields are left out; unknown keys of `raw` are kept. */
export function generationConfigToJson(generation: GenerationConfig): string {
  const eos = generation.eosTokenIds;
  const known: Record<string, unknown> = {
    bos_token_id: generation.bosTokenId,
    do_sample: generation.doSample,
    eos_token_id: eos.length > 1 ? eos : (eos[0] ?? null),
    min_p: generation.minP,
    pad_token_id: generation.padTokenId,
    repetition_penalty: generation.repetitionPenalty,
    temperature: generation.temperature,
    top_k: generation.topK,
    top_p: generation.topP,
  };
  const entries = Object.entries({ ...generation.raw, ...known })
    .filter(([key, value]) => value !== null || !(key in known))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const text = JSON.stringify(Object.fromEntries(entries), null, 2);
  // transformers 4 takes these for Python floats and refuses a bare 1.
  const whole = /^( *"(?:min_p|repetition_penalty|temperature|top_p)": \d+)(,?)$/gm;
  return `${text.replace(whole, "$1.0$2")}\n`;
}
