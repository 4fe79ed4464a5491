/**
 * Rows for training and rows for evaluation, as a function of (rows, size, seed). Rows that train the same
 * tokens stay together: one on each side would make the evaluation measure memory. The order in which rows
 * are chosen is that of a hash of seed and row id, so adding rows to a file moves few of the others.
 */
import { createHash } from "node:crypto";
import type { TokenizedPair } from "./preference-dataset.js";
import type { TokenizedRow } from "./sft-dataset.js";
import { UserError } from "./user-error.js";

export interface Split<T> {
  /** Both in the order of `rows`. */
  readonly train: T[];
  readonly validation: T[];
}

/**
 * `valSize` as LLaMA-Factory has it: from 1 a number of rows, below 1 a share of them (rounded up), 0 none.
 * Groups of equal rows are taken while they fit, so there may be fewer validation rows than asked for.
 * Throws UserError `bad_val_size` when either side would be empty.
 */
export function splitRows<T extends Pick<TokenizedRow, "id" | "inputIds">>(
  rows: readonly T[],
  valSize: number,
  seed: number,
): Split<T> {
  if (!(valSize >= 0) || (valSize >= 1 && !Number.isInteger(valSize))) {
    throw new UserError(
      "bad_val_size",
      `val_size: expected a whole number of rows, or a share between 0 and 1, came ${valSize}.`,
    );
  }
  // A share times a count may come out a hair above a whole number.
  const wanted = valSize >= 1 ? valSize : Math.ceil(valSize * rows.length - 1e-6);
  if (valSize === 0) return { train: [...rows], validation: [] };

  const groups = new Map<string, { rank: string; rows: number[] }>();
  for (const [i, { id, inputIds }] of rows.entries()) {
    const content = createHash("sha256").update(inputIds).digest("base64");
    const group = groups.get(content);
    if (group) group.rows.push(i);
    else groups.set(content, { rank: rank(seed, id), rows: [i] });
  }
  const chosen = new Set<number>();
  for (const group of [...groups.values()].sort((a, b) => (a.rank < b.rank ? -1 : 1))) {
    if (chosen.size + group.rows.length > wanted) continue;
    for (const i of group.rows) chosen.add(i);
    if (chosen.size === wanted) break;
  }
  if (chosen.size === 0 || chosen.size === rows.length) {
    throw new UserError(
      "bad_val_size",
      `val_size ${valSize} of ${rows.length} rows (${groups.size} different ones) leaves nothing to ${chosen.size === 0 ? "evaluate on" : "train on"}: ` +
        "choose another size, or give a file for evaluation.",
    );
  }
  return {
    train: rows.filter((_, i) => !chosen.has(i)),
    validation: rows.filter((_, i) => chosen.has(i)),
  };
}

/** The same of pairs: those that answer one prompt stay together. Where there is none, those of the same tokens. */
export function splitPairs<T extends Pick<TokenizedPair, "id" | "promptIds" | "chosenIds" | "rejectedIds">>(
  pairs: readonly T[],
  valSize: number,
  seed: number,
): Split<T> {
  const rows = pairs.map((pair) => {
    const { id, promptIds, chosenIds, rejectedIds } = pair;
    const inputIds = promptIds.length > 0 ? promptIds : Int32Array.from([...chosenIds, -1, ...rejectedIds]);
    return { id, inputIds, pair };
  });
  const { train, validation } = splitRows(rows, valSize, seed);
  return { train: train.map(({ pair }) => pair), validation: validation.map(({ pair }) => pair) };
}

function rank(seed: number, id: string): string {
  return createHash("sha256").update(`${seed}\n${id}`).digest("hex");
}
