// With logging_steps above 1 a line of metrics.jsonl covers the steps since the line before: some of its values are means over these steps, as
// transformers and TRL log a loss, some over their trained tokens; everything else is that of its step. What has been summed up so far is
// part of a checkpoint: a resumed run logs the same lines.
import { z } from "zod";

/** Names of metrics that a line averages, and over what. */
export type Averaged = Readonly<Record<string, "steps" | "trained_tokens">>;

/** Sums since the last line by the names of metrics, each times its weight, and the sums of the weights. */
export const loggedSums = z.record(z.string(), z.number());
export type LoggedSums = z.infer<typeof loggedSums>;

export function addStep(
  sums: LoggedSums | undefined,
  metrics: Readonly<Record<string, number>>,
  averaged: Averaged,
  trained: number,
): LoggedSums {
  const weights = { steps: 1, trained_tokens: trained };
  const total = (over: keyof typeof weights): number => (sums?.[over] ?? 0) + weights[over];
  const summed = Object.entries(averaged).map(([name, over]) => {
    // A checkpoint of before has sums over micro-batches, without their number of tokens: nothing can be made of those.
    const before = sums?.[over] === undefined ? 0 : (sums[name] ?? 0);
    return [name, before + (metrics[name] as number) * weights[over]] as const;
  });
  return {
    steps: total("steps"),
    trained_tokens: total("trained_tokens"),
    ...Object.fromEntries(summed),
  };
}

/** The line of a step, whose own values are in `sums` already. */
export function loggedLine<Metrics extends object>(
  metrics: Metrics,
  sums: LoggedSums,
  averaged: Averaged,
): Metrics {
  if (sums["steps"] === 1) return metrics;
  const means = Object.entries(averaged).map(([name, over]) => [
    name,
    (sums[name] as number) / (sums[over] as number),
  ]);
  return { ...metrics, ...Object.fromEntries(means) };
}
