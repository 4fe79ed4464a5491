// Things that are to bear each other out, made by the same teacher: functions and their test cases, programs and their tests. Neither is known to be right;
// what most of the others agree with stays.

export interface CrossRule {
  /** Of a case: the share of functions that agree with it is above, or at least, so much. */
  readonly cases: Bound;
  /** Of a function: the share of the cases that stay which it passes. */
  readonly functions: Bound;
}

export interface Bound {
  readonly share: number;
  /** Whether the share itself is enough. */
  readonly itself: boolean;
}

export interface CrossChecked {
  readonly cases: readonly number[];
  readonly functions: readonly { readonly index: number; readonly accuracy: number }[];
}

const meets = (share: number, { share: bound, itself }: Bound): boolean =>
  share > bound || (itself && share === bound);

/** `agrees[f][c]`: function f passes case c. Those that stay, by their index: first the cases, then functions by those. Without cases no function. */
export function crossCheck(agrees: readonly (readonly boolean[])[], rule: CrossRule): CrossChecked {
  const none = { cases: [], functions: [] };
  const cases = [...(agrees[0] ?? []).keys()];
  const kept = cases.filter((c) => meets(shareOf(agrees.map((row) => row[c] === true)), rule.cases));
  if (kept.length === 0) return none;
  const scored = agrees.map((row, index) => ({ index, accuracy: shareOf(kept.map((c) => row[c] === true)) }));
  return { cases: kept, functions: scored.filter(({ accuracy }) => meets(accuracy, rule.functions)) };
}

const shareOf = (held: readonly boolean[]): number => held.filter(Boolean).length / held.length;
