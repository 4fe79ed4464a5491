// How far two sources of labels agree on what both have judged. Pure.
import type { Preference } from "@posttrain/rollout";

export interface Agreement {
  /** Comparisons that both have judged. */
  readonly comparisons: number;
  /** Where they say the same, ties included. */
  readonly share: number;
  /** Cohen's kappa over first, second and tie: agreement beyond what their frequencies give by chance. Null where chance alone agrees always. */
  readonly kappa: number | null;
}

/** Of pairs of what two sources say; undefined of none. */
export function agreementOf(pairs: readonly (readonly [Preference, Preference])[]): Agreement | undefined {
  const n = pairs.length;
  if (n === 0) return undefined;
  const share = pairs.filter(([a, b]) => a === b).length / n;
  const frequency = (side: 0 | 1, label: Preference): number =>
    pairs.filter((pair) => pair[side] === label).length / n;
  const labels: readonly Preference[] = ["first", "second", "tie"];
  const chance = labels.reduce((sum, label) => sum + frequency(0, label) * frequency(1, label), 0);
  return { comparisons: n, share, kappa: chance === 1 ? null : (share - chance) / (1 - chance) };
}
