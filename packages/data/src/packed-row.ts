/**
 * Rows that hold several tokenised sequences, as TRL's packing writes them: `seq_lengths` says where each ends.
 * They become one row for each sequence: packing is done later, for the run's own length, and without leaks.
 */
import { z } from "zod";
import { withDoubles } from "./lossless-json.js";
import { type RowPlace, rowError } from "./reading/place.js";
import { check } from "./row-check.js";

const packedSchema = z.looseObject({
  input_ids: z.array(z.unknown()),
  seq_lengths: z.array(z.int().min(1)).min(1),
});

/** The rows of a file's row: itself, or its sequences. Throws UserError `bad_row`. */
export function unpackRow(value: unknown, place: RowPlace): readonly unknown[] {
  if (typeof value !== "object" || value === null || !("input_ids" in value)) return [value];
  if (!("seq_lengths" in value) || value.seq_lengths === null) return [value];
  const { input_ids: ids, seq_lengths: lengths } = check(packedSchema, withDoubles(value), place);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  if (total !== ids.length) {
    throw rowError(
      "bad_row",
      place,
      `seq_lengths: its sum is ${total}, expected ${ids.length} as input_ids has.`,
    );
  }
  // One number or label for each token: cut with the tokens. Positions follow from the sequences.
  const { seq_lengths: _, position_ids: __, ...columns } = value as Readonly<Record<string, unknown>>;
  let end = 0;
  return lengths.map((length) => {
    end += length;
    const part = ([column, content]: [string, unknown]): [string, unknown] => [
      column,
      Array.isArray(content) && content.length === ids.length ? content.slice(end - length, end) : content,
    ];
    return Object.fromEntries(Object.entries(columns).map(part));
  });
}
