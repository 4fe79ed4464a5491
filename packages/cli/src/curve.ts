// A curve over steps in lines of at most 78 columns.
import asciichart from "asciichart";
import { count } from "./format.js";

const mostColumns = 66;
const labelWidth = 8;

/** Means over as many values as share a column. */
export function columnsOf(values: readonly number[]): readonly number[] {
  const columns = Math.min(mostColumns, values.length);
  return Array.from({ length: columns }, (_, i) => {
    const from = Math.floor((i * values.length) / columns);
    const part = values.slice(from, Math.floor(((i + 1) * values.length) / columns));
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
}

/** `first` and `last`: the steps at the ends of its axis. */
export function curve(
  columns: readonly number[],
  { rows, first, last }: { readonly rows: number; readonly first: number; readonly last: number },
  label: (value: number) => string,
): readonly string[] {
  const chart = asciichart.plot([...columns], {
    height: rows,
    format: (value) => label(value).padStart(labelWidth),
  });
  const begin = `step ${count(first)}`;
  const end = `step ${count(last)}`;
  const gap = columns.length - begin.length;
  const axis = `${" ".repeat(labelWidth + 2)}${begin}${end.padStart(Math.max(end.length + 1, gap))}`;
  return [...chart.split("\n").map((line) => line.trimEnd()), axis];
}
