// How far groups lie apart in a score: of the same questions under different system prompts this is how much the score depends on the prompt.
import type { Summary } from "./summary.js";

/** Of the main measure over groups that have it. */
export interface Spread {
  readonly metric: string;
  readonly groups: number;
  readonly mean: number;
  readonly lowest: { readonly group: string; readonly share: number };
  readonly highest: { readonly group: string; readonly share: number };
  /** Standard deviation of the groups' shares. */
  readonly deviation: number;
  /** What it would be about if all groups had the same true score: from the standard errors of the shares alone. */
  readonly byChance: number;
}

/** Undefined where fewer than two groups have a score. */
export function spreadOf({ all, groups }: Summary): Spread | undefined {
  const metric = all.metrics[0]?.name;
  const found = groups.flatMap(({ name, metrics: [main] }) => {
    const value = main?.value ?? null;
    return value === null ? [] : [{ group: name, share: value.share, stderr: value.stderr ?? 0 }];
  });
  if (metric === undefined || found.length < 2) return undefined;
  const mean = found.reduce((sum, { share }) => sum + share, 0) / found.length;
  const squares = found.reduce((sum, { share }) => sum + (share - mean) ** 2, 0);
  const ordered = found.map(({ group, share }) => ({ group, share })).toSorted((a, b) => a.share - b.share);
  return {
    ...{ metric, groups: found.length, mean },
    ...{ lowest: ordered[0]!, highest: ordered.at(-1)! },
    deviation: Math.sqrt(squares / (found.length - 1)),
    byChance: Math.sqrt(found.reduce((sum, { stderr }) => sum + stderr ** 2, 0) / found.length),
  };
}
