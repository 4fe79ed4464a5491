/**
 * Rows that were left out or cut, each with its reason: what a user reads to mend a file, and what is written
 * beside a run so that no row is missing without a trace.
 */

export interface RejectPlace {
  /** Where the data is several files. */
  readonly file?: string;
  readonly line: number;
  /** What is counted, where it is no line: `row` of Parquet, `element` of a JSON array. */
  readonly unit?: string;
}

export interface Reject extends RejectPlace {
  /** Of the row, null when the line is not JSON. */
  readonly id: string | null;
  /**
   * A bad row's error code (`bad_row`, `prompt_not_prefix`, ...), or what happened to a long one: `dropped`,
   * `truncated` (kept, cut), `emptied` (left out: a cut, this one or an earlier one, left nothing to train).
   */
  readonly reason: string;
  /** Before a cut; null where the row was never tokenised. */
  readonly tokens: number | null;
  /** What is wrong and what to do. */
  readonly remedy: string;
}

/** After so many of one reason the paragraph is not repeated: a large file may be bad in every row. */
export const FULL_REMEDIES = 1000;

export interface RejectSummary {
  readonly reason: string;
  readonly count: number;
  /** The first few. */
  readonly examples: readonly Reject[];
}

/** Rejects by reason, the most frequent first, with the first few of each. */
export function summarizeRejects(rejects: readonly Reject[], examples = 3): readonly RejectSummary[] {
  const reasons = new Map<string, { reason: string; count: number; examples: Reject[] }>();
  for (const reject of rejects) {
    const summary = reasons.get(reject.reason) ?? { reason: reject.reason, count: 0, examples: [] };
    reasons.set(reject.reason, summary);
    summary.count++;
    if (summary.examples.length < examples) summary.examples.push(reject);
  }
  return [...reasons.values()].sort((a, b) => b.count - a.count);
}
