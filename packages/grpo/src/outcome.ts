// From graded groups to what is trained and what is known of prompts: combined rewards, advantages, weights, outcomes for the queue.
import { type AdvantageOptions, advantagesOf, deviationOf, weightedSum } from "./advantages.js";
import { responseWeights } from "./aggregation.js";
import { type GrpoConfig, updatesOf } from "./config.js";
import type { GradedSample, Group } from "./groups.js";
import { shapedReward } from "./rewards.js";
import type { GroupOutcome } from "./statistics.js";

/** How rewards of a source lie over all prompts: what makes sources comparable. */
export interface SourceScale {
  readonly mean: number;
  readonly deviation: number;
}

export function scalesOf(groups: readonly Group[], sources: number): readonly SourceScale[] {
  return Array.from({ length: sources }, (_, source) =>
    deviationOf(groups.flatMap(({ samples }) => samples.map(({ scored }) => scored[source]?.value ?? null))),
  );
}

/** A group as the queue sees it: rewards z-scored per source, weighted and summed, and who solved the prompt. */
export function outcomeOf(
  { samples }: Group,
  scales: readonly SourceScale[],
  weights: readonly number[],
): GroupOutcome {
  return {
    scores: samples.map(({ scored }) => {
      const known = scored.flatMap(({ value }, source) => {
        const { mean, deviation } = scales[source] as SourceScale;
        // Of a source whose rewards never differ there is nothing to compare.
        return value === null ? [] : [((value - mean) / (deviation || 1)) * (weights[source] as number)];
      });
      return known.length === 0 ? null : known.reduce((a, b) => a + b, 0);
    }),
    solved: samples.map(solvedOf),
  };
}

/** Whether a verdict says that a response is right; null where there is none, or nobody could grade. */
export function solvedOf({ scored }: Pick<GradedSample, "scored">): boolean | null {
  const verdict = scored.find((one) => one.verdict !== undefined)?.verdict;
  if (verdict === undefined || verdict.outcome === "infrastructure-error") return null;
  return verdict.outcome === "pass";
}

type RewardConfig = Pick<GrpoConfig, "reward_funcs" | "reward_weights" | "reward_shaping" | "beta" | "kl">;

/** Rewards of a sample by source as the advantages take them: two become one where they are shaped. */
function rewardsOf(
  { scored }: Pick<GradedSample, "scored">,
  { reward_funcs: funcs, reward_shaping: shaping }: RewardConfig,
): readonly (number | null)[] {
  const values = scored.map(({ value }) => value);
  if (shaping === "sum") return values;
  const verdict = values[funcs.indexOf("verifier")] ?? null;
  const score = values[funcs.indexOf("reward_model")] ?? null;
  const shaped = verdict === null || score === null ? null : shapedReward(score, verdict);
  return funcs.map((name, i) =>
    name === "verifier" ? shaped : name === "reward_model" ? null : (values[i] ?? null),
  );
}

export function weightsOf({ reward_funcs, reward_weights }: RewardConfig): readonly number[] {
  return reward_weights ?? reward_funcs.map(() => 1);
}

/** Responses of an episode, one after the other, with what their tokens are worth. */
export interface Valued {
  /** Weighted sums; null where no source had a reward. */
  readonly rewards: readonly (number | null)[];
  /** 0 where there is no reward. */
  readonly advantages: readonly number[];
  /** What each token counts; 0: the response is masked. */
  readonly weights: readonly number[];
}

/** `kl[i]`: sum over the response's tokens of log p_old - log p_ref, which `kl: k1` takes off its reward. */
export function valueSamples(groups: readonly Group[], kl: readonly number[], config: GrpoConfig): Valued {
  const samples = groups.flatMap((group) => group.samples);
  const owners = groups.flatMap(({ prompt, samples: own }) => own.map(() => prompt.place));
  const weights = weightsOf(config);
  const penalty = config.kl === "k1" ? config.beta : 0;
  const rows = samples.map((sample, i) => {
    const own = rewardsOf(sample, config);
    if (penalty === 0 || own.every((value) => value === null)) return own;
    return [...own, -penalty * (kl[i] as number)];
  });
  const allWeights = penalty === 0 ? weights : [...weights, 1];
  const options: AdvantageOptions = {
    weights: allWeights,
    scale: config.scale_rewards,
    order: config.multi_objective_aggregation,
    epsilon: 1e-4,
  };
  const advantages = advantagesOf(rows, owners, options);
  const counted = samples.map(
    ({ finish }, i) => advantages[i] !== null && !(config.mask_truncated_completions && finish === "length"),
  );
  return {
    rewards: rows.map((row) => weightedSum(row, allWeights)),
    advantages: advantages.map((advantage) => advantage ?? 0),
    weights: responseWeights(config.loss_type, {
      lengths: samples.map(({ completionIds }) => completionIds.length),
      counted,
      maxCompletionLength: config.max_completion_length,
      updates: updatesOf(config).perPass,
    }),
  };
}

/** Whether a group's rewards differ: without a difference it teaches nothing. */
export function differs({ samples }: Group, config: RewardConfig): boolean {
  const weights = weightsOf(config);
  const sums = samples
    .map((sample) => weightedSum(rewardsOf(sample, config), weights))
    .filter((sum) => sum !== null);
  return sums.some((sum) => sum !== sums[0]);
}
