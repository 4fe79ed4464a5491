// What decides a file of pairs.
import { dataDigest } from "@posttrain/data";
import type { Identity } from "@posttrain/run";
import type { PairsConfig } from "./config.js";
import { parseMixed } from "./mix.js";

/** Where a result goes and what it may cost. */
const changesNothing = [
  ...["output", "concurrency", "model_name_or_path", "review", "review_count"],
  ...["num_concurrent", "max_retries", "request_timeout", "budget_tokens", "reply_cache"],
];

/** All that decides the output. */
export async function identityOf(
  config: PairsConfig,
  models: readonly string[],
  grading: Readonly<Record<string, unknown>>,
): Promise<Identity> {
  const { data, responses = [], mix = [], ...all } = config;
  const rest = Object.fromEntries(Object.entries(all).filter(([name]) => !changesNothing.includes(name)));
  return {
    ...rest,
    ...grading,
    models,
    data: data === undefined ? null : await dataDigest(data),
    responses: await Promise.all(responses.map(dataDigest)),
    mix: await Promise.all(mix.map(async (text) => [await dataDigest(parseMixed(text).path), text])),
  };
}
