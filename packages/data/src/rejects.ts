/**
 * Rows that were left out or cut, each with its reason: what a user reads to mend a file, and what is written
 * beside a run so that no row is missing without a trace.
 */
import { open, rename, rm } from "node:fs/promises";
import { UserError } from "./user-error.js";

export interface Reject {
  readonly line: number;
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

/**
 * Writes one JSON object a line: whole or not at all, over an older file of that name. Throws UserError
 * `unwritable_file`.
 */
export async function writeRejects(path: string, rejects: readonly Reject[]): Promise<void> {
  const beside = `${path}.${process.pid}.tmp`;
  try {
    const file = await open(beside, "w");
    try {
      for (let start = 0; start < rejects.length; start += 1000) {
        const lines = rejects.slice(start, start + 1000).map((reject) => `${JSON.stringify(reject)}\n`);
        await file.write(lines.join(""));
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true }).catch(() => undefined);
    const reason = error instanceof Error ? error.message : String(error);
    throw new UserError("unwritable_file", `${path} cannot be written: ${reason}.`, { cause: error });
  }
}
