/** When a row and a test item are the same: the rule of Qwen2.5's report (arXiv 2412.15115, section 5), and how it is looked for. */

export interface ContaminationRule {
  /** A common subsequence of so many words (13 in the report) ... */
  readonly minWords: number;
  /** ... and of this share of the shorter of both (0.6). */
  readonly minShare: number;
  /** strict: every pair is looked at; fast: pairs that share `ngram` words in a row. */
  readonly mode: "strict" | "fast";
  readonly ngram: number;
  /** strict: rows of up to so many words are taken whole; longer ones, and all in fast mode, in windows of twice the item. */
  readonly wholeUpTo: number;
}

/** Words that a row and an item of these lengths must have in common, in order. */
export function wordsNeeded({ minWords, minShare }: ContaminationRule, row: number, item: number): number {
  // 0.6 x 15 is 9, however a double spells it.
  return Math.max(minWords, Math.ceil(minShare * Math.min(row, item) - 1e-9));
}

/** Items of fewer words match nothing. */
export function fewestWords({ minWords, mode, ngram }: ContaminationRule): number {
  return mode === "fast" ? Math.max(minWords, ngram) : minWords;
}

/** In a window of so many words an item is looked for where rows are long. */
export const windowOf = (item: number): number => 2 * item;
