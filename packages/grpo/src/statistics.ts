// What is known of a prompt from the rewards of its responses, so far: enough for their mean, their unbiased variance and how many were solved,
// where older responses count less and less.

/** Plain data, as it stands in checkpoints. */
export interface PromptStatistics {
  /** Sums over scores of their weights, and of the squares of these. */
  readonly weight: number;
  readonly squares: number;
  /** Weighted mean of the scores, and sum of weighted squared differences from it. */
  readonly mean: number;
  readonly differences: number;
  /** Sums of weights over verdicts, and over those that are a pass. */
  readonly judged: number;
  readonly solved: number;
  /** Share solved when the prompt was first seen. */
  readonly firstSolved: number | undefined;
  /** Groups seen, and how many of the latest in a row had scores that were all equal. */
  readonly groups: number;
  readonly equalInARow: number;
}

export const noStatistics: PromptStatistics = {
  weight: 0,
  squares: 0,
  mean: 0,
  differences: 0,
  judged: 0,
  solved: 0,
  firstSolved: undefined,
  groups: 0,
  equalInARow: 0,
};

/** A group of responses to one prompt; what nobody could grade is null. */
export interface GroupOutcome {
  /** Rewards, made comparable over sources. */
  readonly scores: readonly (number | null)[];
  /** Whether a response is right, where something says so. */
  readonly solved: readonly (boolean | null)[];
}

/** What is known once a group has been seen; what was known before counts `decay` times (1: all the same for ever). */
export function observe(before: PromptStatistics, group: GroupOutcome, decay: number): PromptStatistics {
  const scores = group.scores.filter((score) => score !== null);
  const verdicts = group.solved.filter((solved) => solved !== null);
  let weight = before.weight * decay;
  let { mean } = before;
  let differences = before.differences * decay;
  for (const score of scores) {
    weight += 1;
    const difference = score - mean;
    mean += difference / weight;
    differences += difference * (score - mean);
  }
  const passed = verdicts.filter(Boolean).length;
  const equal = scores.length > 1 && scores.every((score) => score === scores[0]);
  return {
    weight,
    squares: before.squares * decay ** 2 + scores.length,
    mean,
    differences,
    judged: before.judged * decay + verdicts.length,
    solved: before.solved * decay + passed,
    firstSolved: before.firstSolved ?? (verdicts.length > 0 ? passed / verdicts.length : undefined),
    groups: before.groups + 1,
    equalInARow: equal ? before.equalInARow + 1 : scores.length > 1 ? 0 : before.equalInARow,
  };
}

/** The unbiased estimate (of weighted scores: by the sum of weights less that of their squares over it); undefined for less than two scores. */
export function varianceOf({ weight, squares, differences }: PromptStatistics): number | undefined {
  const freedom = weight - squares / weight;
  return freedom > 0 ? Math.max(0, differences / freedom) : undefined;
}

/** Share of verdicts that are a pass; undefined where there is none. */
export function solveRateOf({ judged, solved }: PromptStatistics): number | undefined {
  return judged > 0 ? solved / judged : undefined;
}
