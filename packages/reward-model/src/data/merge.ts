// Preferences of other files behind those that were made, such as the pairs of DPO.
import { canonicalJson, isJsonObject, readRows, rowError } from "@posttrain/data";
import { came } from "../eval/item.js";

export type MergedRow = Readonly<Record<string, unknown>>;

export async function readMerged(paths: readonly string[]): Promise<readonly MergedRow[]> {
  const rows: MergedRow[] = [];
  for (const path of paths) {
    for await (const { place, value } of readRows(path)) {
      const isPair = isJsonObject(value) && "chosen" in value && "rejected" in value;
      if (!isPair)
        throw rowError(
          "bad_row",
          place,
          `expected a preference with chosen and rejected, came ${came(value)}.`,
        );
      rows.push({ source: "pairs", ...value });
    }
  }
  return rows;
}

/** What a row says, whatever it knows about it. */
export const sidesOf = ({ prompt, chosen, rejected }: MergedRow): string =>
  canonicalJson([prompt ?? null, chosen, rejected]);

export async function merge(
  rows: readonly MergedRow[],
  written: Set<string>,
  file: { write(row: object): Promise<void> },
): Promise<readonly [number, number, number]> {
  let [repeated, contradicting, added] = [0, 0, 0];
  for (const row of rows) {
    if (written.has(sidesOf(row))) repeated++;
    else if (written.has(sidesOf({ ...row, chosen: row["rejected"], rejected: row["chosen"] })))
      contradicting++;
    else {
      written.add(sidesOf(row));
      await file.write(row);
      added++;
    }
  }
  return [repeated, contradicting, added];
}
