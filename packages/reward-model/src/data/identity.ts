// What decides a file of preferences.

import { dataDigest } from "@posttrain/data";
import { modelDigest } from "@posttrain/model";
import type { Identity } from "@posttrain/run";
import type { RewardDataConfig } from "./config.js";

/** Where a result goes and what it may cost. */
const changesNothing = [
  ...["output", "to_label", "concurrency"],
  ...["num_concurrent", "max_retries", "request_timeout", "budget_tokens", "reply_cache"],
];

/** All that decides the output. */
export async function identityOf(
  { data, judge_model_name_or_path: judge, ...config }: RewardDataConfig,
  models: readonly string[],
  grading: Readonly<Record<string, unknown>>,
): Promise<Identity> {
  const { responses, labels, pairs, model_name_or_path: _, ...all } = config;
  const rest = Object.fromEntries(Object.entries(all).filter(([name]) => !changesNothing.includes(name)));
  const digests = (paths: readonly string[] = []): Promise<readonly string[]> =>
    Promise.all(paths.map(dataDigest));
  return {
    ...rest,
    ...grading,
    models,
    data: data === undefined ? null : await dataDigest(data),
    responses: await digests(responses),
    labels: await digests(labels),
    pairs: await digests(pairs),
    judge: judge === undefined ? null : await modelDigest(judge),
  };
}
