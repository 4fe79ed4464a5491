// Which rows train, which are held out, and which were left out or cut and why: files beside the metrics of a run.
import { join } from "node:path";
import type { Reject } from "@posttrain/data";
import { writeDurably } from "@posttrain/run";

/** A row of rows.jsonl. */
export interface ListedRow {
  readonly line: number;
  readonly id: string;
  readonly parents?: readonly string[] | undefined;
  /** That go through the model. */
  readonly tokens: number;
}

export interface RowLists {
  readonly train: readonly ListedRow[];
  readonly eval: readonly ListedRow[];
  readonly rejects: readonly Reject[];
  readonly evalRejects: readonly Reject[];
}

/** rows.jsonl, rejects.jsonl and eval_rejects.jsonl of the run folder. */
export async function writeRowLists(dir: string, lists: RowLists): Promise<void> {
  const list = (rows: readonly ListedRow[], split: string): object[] =>
    rows.map(({ line, id, parents, tokens }) => ({ line, id, parents, tokens, split }));
  const write = (name: string, rows: readonly object[]): Promise<void> =>
    writeDurably(join(dir, name), linesOf(rows));
  await write("rows.jsonl", [...list(lists.train, "train"), ...list(lists.eval, "eval")]);
  if (lists.rejects.length > 0) await write("rejects.jsonl", lists.rejects);
  if (lists.evalRejects.length > 0) await write("eval_rejects.jsonl", lists.evalRejects);
}

/** A thousand lines at a time: of millions of rows, one text would be too long. */
function* linesOf(rows: readonly object[]): Generator<string> {
  for (let start = 0; start < rows.length; start += 1000) {
    const lines = rows.slice(start, start + 1000).map((row) => `${JSON.stringify(row)}\n`);
    yield lines.join("");
  }
}
