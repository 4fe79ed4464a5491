// How long rows are, before any cut: percentiles and a histogram in the terminal.
import { count } from "../format.js";

export interface Bar {
  /** Lengths of `from` to `to`; without an end: and more. */
  readonly from: number;
  readonly to: number | null;
  readonly rows: number;
}

export interface Lengths {
  readonly shortest: number;
  readonly median: number;
  readonly p90: number;
  readonly p99: number;
  readonly longest: number;
  readonly bars: readonly Bar[];
}

/** Of at least one row. A percentile is the length of a row: that share of all is no longer. */
export function summarizeLengths(lengths: readonly number[]): Lengths {
  const sorted = [...lengths].sort((a, b) => a - b);
  const percentile = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
  const [shortest, longest] = [sorted[0]!, sorted.at(-1)!];
  const p99 = percentile(0.99);
  return {
    shortest,
    median: percentile(0.5),
    p90: percentile(0.9),
    p99,
    longest,
    bars: barsOf(sorted, shortest, p99),
  };
}

const mostBars = 12;

/** Bars of one width up to the 99th percentile, and one for the few that are longer: a single long row must not flatten the others. */
function barsOf(lengths: readonly number[], shortest: number, p99: number): readonly Bar[] {
  const width = roundWidth((p99 - shortest + 1) / mostBars);
  const first = Math.floor((shortest - 1) / width);
  const last = Math.floor((p99 - 1) / width);
  const rows = new Array<number>(last - first + 1).fill(0);
  let longer = 0;
  for (const length of lengths) {
    const bar = Math.floor((length - 1) / width) - first;
    if (bar < rows.length) rows[bar]!++;
    else longer++;
  }
  const bars: Bar[] = rows.map((own, i) => ({
    from: (first + i) * width + 1,
    to: (first + i + 1) * width,
    rows: own,
  }));
  return longer === 0 ? bars : [...bars, { from: (last + 1) * width + 1, to: null, rows: longer }];
}

/** The least of 1, 2, 5, 10, 20, 50, ... that is not below `least`. */
function roundWidth(least: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  return power * ([1, 2, 5, 10].find((step) => step * power >= least) ?? 10);
}

const eighths = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** One line a bar, the longest as wide as there is room; bars above `limit` say so. */
export function histogram(
  { bars }: Lengths,
  columns: number,
  limit: { readonly name: string; readonly value: number },
): readonly string[] {
  const labels = bars.map(({ from, to }) =>
    to === null ? `from ${count(from)}` : from === to ? count(from) : `${count(from)}-${count(to)}`,
  );
  const notes = bars.map(
    ({ from, rows }) => `${count(rows)}${from > limit.value ? `  over ${limit.name}` : ""}`,
  );
  const labelWidth = Math.max(...labels.map(({ length }) => length));
  const most = Math.max(...bars.map(({ rows }) => rows));
  const room = Math.max(8, columns - labelWidth - 2 - Math.max(...notes.map(({ length }) => length)) - 3);
  return bars.map(({ rows }, i) => {
    const cells = (rows / most) * room;
    const bar = "█".repeat(Math.floor(cells)) + eighths[Math.floor((cells % 1) * 8)];
    // A few rows beside many are still some.
    return `${labels[i]!.padStart(labelWidth)}  ${rows > 0 && bar === "" ? "▏" : bar} ${notes[i]}`;
  });
}
