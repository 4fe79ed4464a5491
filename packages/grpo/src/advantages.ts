// Rewards to advantages: how much better a response is than the others of its prompt. A reward of null (not applicable, or nobody could grade
// it) is left out of every mean and deviation; a response that has none at all has no advantage. Standard deviations are the sample's (n - 1), as TRL
// and verl have them; a group of one, or whose rewards are all equal, has advantages of 0.

/** Rewards of one response, one a source. */
export type Rewards = readonly (number | null)[];

export interface AdvantageOptions {
  /** One a source. */
  readonly weights: readonly number[];
  /** What centred rewards are divided by: the deviation of their group, of the whole batch, or nothing. */
  readonly scale: (typeof scaleNames)[number];
  /** sum_then_normalize: the weighted sum is normalised. normalize_then_sum: each source within its group, their weighted sum by the batch. */
  readonly order: (typeof orderNames)[number];
  /** Added to deviations: 1e-4 (TRL), 1e-6 (verl). */
  readonly epsilon: number;
}

export const scaleNames = ["group", "batch", "none"] as const;
export const orderNames = ["sum_then_normalize", "normalize_then_sum"] as const;

/** `groups[i]` names the prompt of response i. Null where no source had a reward. */
export function advantagesOf(
  rewards: readonly Rewards[],
  groups: readonly (string | number)[],
  { weights, scale, order, epsilon }: AdvantageOptions,
): readonly (number | null)[] {
  if (order === "sum_then_normalize") {
    const sums = rewards.map((row) => weightedSum(row, weights));
    const batch = deviationOf(sums);
    return withinGroups(sums, groups, ({ mean, deviation }) => {
      const divisor = { group: deviation + epsilon, batch: batch.deviation + epsilon, none: 1 }[scale];
      return (reward) => divided(reward - mean, divisor);
    });
  }
  const sources = weights.map((_, source) =>
    withinGroups(
      rewards.map((row) => row[source] ?? null),
      groups,
      ({ mean, deviation }) =>
        (reward) =>
          divided(reward - mean, scale === "none" ? 1 : deviation + epsilon),
    ),
  );
  const sums = rewards.map((_, i) =>
    weightedSum(
      sources.map((source) => source[i] ?? null),
      weights,
    ),
  );
  const { mean, deviation } = deviationOf(sums);
  return sums.map((sum) => (sum === null ? null : divided(sum - mean, deviation + epsilon)));
}

/** Where all are equal there is no deviation, and without an epsilon nothing to divide by. */
function divided(difference: number, divisor: number): number {
  return difference === 0 ? 0 : difference / divisor;
}

/** The sum of what there is; null where there is nothing. */
export function weightedSum(rewards: Rewards, weights: readonly number[]): number | null {
  if (rewards.every((reward) => reward === null)) return null;
  return rewards.reduce<number>(
    (sum, reward, source) => sum + (reward ?? 0) * (weights[source] as number),
    0,
  );
}

interface Spread {
  readonly mean: number;
  /** Of the sample; 0 for one value or none, and for values that are all equal. */
  readonly deviation: number;
}

export function deviationOf(values: readonly (number | null)[]): Spread {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return { mean: 0, deviation: 0 };
  // Their sum, divided, may be another number: all would then be a little better than their mean.
  if (known.every((value) => value === known[0])) return { mean: known[0] as number, deviation: 0 };
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
  const squares = known.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / (known.length - 1)) };
}

function withinGroups(
  values: readonly (number | null)[],
  groups: readonly (string | number)[],
  scaleOf: (spread: Spread) => (value: number) => number,
): readonly (number | null)[] {
  const members = new Map<string | number, number[]>();
  for (const [i, group] of groups.entries()) {
    const own = members.get(group);
    if (own === undefined) members.set(group, [i]);
    else own.push(i);
  }
  const result: (number | null)[] = values.map(() => null);
  for (const own of members.values()) {
    const scale = scaleOf(deviationOf(own.map((i) => values[i] ?? null)));
    for (const i of own) {
      const value = values[i] ?? null;
      if (value !== null) result[i] = scale(value);
    }
  }
  return result;
}
