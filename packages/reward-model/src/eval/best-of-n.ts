/**
 * What choosing the best-scored of n responses is worth where a verifier knows the truth. Benchmarks of preferences do not predict what reinforcement learning
 * makes of a reward model (Qwen2.5 report, section 5.2.3); this is nearer to it.
 *
 * Of a question with k responses the expectation over all subsets of n is exact: in order of scores, the chance that the best of a subset is among the t equal
 * ones behind b better ones is (C(k - b, n) - C(k - b - t, n)) / C(k, n), and its value then their mean. No sampling, no bias (as pass@k of Chen et
 * al., arXiv 2107.03374, of which this is the form with a chooser).
 */
import { uniform } from "@posttrain/data";
import { mean } from "./statistics.js";

/** A question's responses that have both a score and a value (from 0 to 1). */
export interface Judged {
  readonly scores: readonly number[];
  readonly values: readonly number[];
}

export interface BestOf {
  readonly n: number;
  /** Questions with at least n responses. */
  readonly questions: number;
  /** The value of the best-scored of n. */
  readonly value: number;
  /** What the same questions give without a choice. */
  readonly random: number;
  /** What a perfect choice gives: the best value of n. */
  readonly oracle: number;
  /** `value` - `random`, with its 95 % interval over questions (bootstrap). */
  readonly gain: number;
  readonly low: number;
  readonly high: number;
}

const resamples = 1000;

/** The expected value of the response with the highest of `keys` among n of them, equal ones being as likely each. */
export function expectedBest(keys: readonly number[], values: readonly number[], n: number): number {
  const k = keys.length;
  const order = [...keys.keys()].sort((a, b) => (keys[b] as number) - (keys[a] as number));
  let expected = 0;
  for (let start = 0; start < k; ) {
    let end = start;
    while (end < k && keys[order[end] as number] === keys[order[start] as number]) end++;
    const equal = order.slice(start, end).map((i) => values[i] as number);
    expected += (noneOfFirst(k, start, n) - noneOfFirst(k, end, n)) * mean(equal);
    start = end;
  }
  return expected;
}

/** C(k - first, n) / C(k, n): the chance that n of k hold none of the `first`. */
function noneOfFirst(k: number, first: number, n: number): number {
  if (k - first < n) return 0;
  let chance = 1;
  for (let i = 0; i < n; i++) chance *= (k - first - i) / (k - i);
  return chance;
}

/** For each n that some question has enough responses for. Same seed, same intervals. */
export function bestOfN(
  questions: readonly Judged[],
  ns: readonly number[],
  seed: number,
): readonly BestOf[] {
  return ns.flatMap((n) => {
    const enough = questions.filter(({ scores }) => scores.length >= n);
    if (enough.length === 0) return [];
    const value = enough.map(({ scores, values }) => expectedBest(scores, values, n));
    const random = enough.map(({ values }) => mean(values));
    const oracle = enough.map(({ values }) => expectedBest(values, values, n));
    const gains = value.map((best, q) => best - (random[q] as number));
    const [low, high] = bootstrap(gains, seed);
    return [
      {
        n,
        questions: enough.length,
        value: mean(value),
        random: mean(random),
        oracle: mean(oracle),
        gain: mean(gains),
        low,
        high,
      },
    ];
  });
}

/** The middle 95 % of means over resampled questions. */
function bootstrap(values: readonly number[], seed: number): readonly [number, number] {
  const means = Float64Array.from({ length: resamples }, (_, b) => {
    let sum = 0;
    for (let i = 0; i < values.length; i++) {
      sum += values[Math.floor(uniform(seed, "evaluation", [i, b, 0, 0]) * values.length)] as number;
    }
    return sum / values.length;
  }).sort();
  return [means[Math.floor(0.025 * resamples)] as number, means[Math.ceil(0.975 * resamples) - 1] as number];
}
