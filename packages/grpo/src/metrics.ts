// Numbers of an episode and of a step, under TRL's names.
import type { Averaged } from "@posttrain/train";
import { deviationOf } from "./advantages.js";
import type { GrpoConfig } from "./config.js";
import type { Group } from "./groups.js";
import { differs, solvedOf, type Valued } from "./outcome.js";
import type { PolicyStepResult } from "./step.js";

/** What a line averages over logging_steps. */
export const averagedMetrics: Averaged = { loss: "steps", entropy: "trained_tokens" };

type Numbers = Readonly<Record<string, number>>;

/** Of an episode's responses. Means over those that have a value; a name whose every value is missing is left out. */
export function episodeMetrics(groups: readonly Group[], { rewards }: Valued, config: GrpoConfig): Numbers {
  const samples = groups.flatMap((group) => group.samples);
  const lengths = samples.map(({ completionIds }) => completionIds.length);
  const ended = samples
    .filter(({ finish }) => finish === "stop")
    .map(({ completionIds }) => completionIds.length);
  const total = spreadOf(rewards);
  const known = rewards.filter((reward) => reward !== null).length;
  const solved = samples.map(solvedOf).filter((one) => one !== null);
  const perSource = config.reward_funcs.map((name, source) => {
    const values = samples.map(({ scored }) => scored[source]?.value ?? null);
    const { mean, std } = spreadOf(values);
    return mean === undefined
      ? {}
      : { [`rewards/${name}/mean`]: mean, [`rewards/${name}/std`]: std as number };
  });
  return {
    ...(total.mean !== undefined && { reward: total.mean, reward_std: total.std as number }),
    ...Object.assign({}, ...perSource),
    frac_reward_zero_std: groups.filter((group) => !differs(group, config)).length / groups.length,
    "rewards/ungraded": 1 - known / samples.length,
    ...(solved.length > 0 && { solve_rate: solved.filter(Boolean).length / solved.length }),
    "completions/mean_length": mean(lengths),
    "completions/min_length": Math.min(...lengths),
    "completions/max_length": Math.max(...lengths),
    "completions/clipped_ratio": 1 - ended.length / samples.length,
    ...(ended.length > 0 && {
      "completions/mean_terminated_length": mean(ended),
      "completions/min_terminated_length": Math.min(...ended),
      "completions/max_terminated_length": Math.max(...ended),
    }),
  };
}

function spreadOf(values: readonly (number | null)[]): { readonly mean?: number; readonly std?: number } {
  if (values.every((value) => value === null)) return {};
  const { mean: middle, deviation } = deviationOf(values);
  return { mean: middle, std: deviation };
}

/** Of an optimizer step: means over the tokens that count, clip shares by response too. */
export function stepNumbers({ responses, entropy }: PolicyStepResult, withKl: boolean): Numbers {
  const counted = responses.filter(({ tokens }) => tokens > 0);
  const sum = (of: (one: (typeof counted)[number]) => number): number =>
    counted.reduce((all, one) => all + of(one), 0);
  const tokens = sum((one) => one.tokens);
  // A step whose every response is masked has nothing to take a mean of.
  const per = (total: number): number => (tokens === 0 ? 0 : total / tokens);
  const low = counted.map((one) => one.clippedLow / one.tokens);
  const high = counted.map((one) => one.clippedHigh / one.tokens);
  return {
    entropy: per(entropy),
    ...(withKl && { kl: per(sum((one) => one.kl)) }),
    "clip_ratio/low_mean": per(sum((one) => one.clippedLow)),
    "clip_ratio/low_min": Math.min(1, ...low),
    "clip_ratio/high_mean": per(sum((one) => one.clippedHigh)),
    "clip_ratio/high_max": Math.max(0, ...high),
    "clip_ratio/region_mean": per(sum((one) => one.clippedLow + one.clippedHigh)),
    "sampling/importance_sampling_ratio/mean": tokens === 0 ? 1 : per(sum((one) => one.ratio)),
    "sampling/importance_sampling_ratio/min":
      counted.length === 0 ? 1 : Math.min(...counted.map((one) => one.leastRatio)),
    "sampling/importance_sampling_ratio/max":
      counted.length === 0 ? 1 : Math.max(...counted.map((one) => one.mostRatio)),
    "sampling/sampling_logp_difference/mean": per(sum((one) => one.difference)),
    "sampling/sampling_logp_difference/max": Math.max(0, ...counted.map((one) => one.mostDifference)),
    "policy/approx_kl": per(sum((one) => one.moved)),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}
