// Tables of text on a terminal.
import { visibleLine } from "./visible.js";

/** Columns as wide as their widest cell; the first `left` to the left, the others to the right. */
export function columns(given: readonly (readonly string[])[], left = 1): string {
  const rows = given.map((row) => row.map(visibleLine));
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => [...(row[i] ?? "")].length)));
  const cell = (text: string, i: number): string =>
    i < left ? text.padEnd(widths[i]!) : text.padStart(widths[i]!);
  return rows.map((row) => row.map(cell).join("  ").trimEnd()).join("\n");
}
