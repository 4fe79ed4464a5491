// The table of lm-evaluation-harness, in its layout, with one column more on the right: the 95 % interval of Wilson.
import type { Accuracy } from "@posttrain/data";
import type { Score, Summary } from "./summary.js";

export interface TableSettings {
  /** Of the harness's own rules; raised when they change a number. */
  readonly version: number;
  readonly filter: string;
  readonly shots: number;
}

/** Markdown; where there are groups, they stand below the task, and a second table has the task alone. */
export function resultTable({ all, groups }: Summary, settings: TableSettings): string {
  const lines = [
    ...rowsOf(all, "", settings, true),
    ...groups.flatMap((group) => rowsOf(group, " - ", settings, false)),
  ];
  const tables = [render("Tasks", lines)];
  if (groups.length > 0) tables.push(render("Groups", rowsOf(all, "", settings, true)));
  return tables.join("\n\n");
}

/** What a result was made with, as lm-evaluation-harness says it above its table. */
export function settingsLine(settings: {
  readonly model: string;
  readonly dtype: string;
  readonly generation: Readonly<Record<string, unknown>>;
  readonly limit: number | undefined;
  readonly shots: number;
}): string {
  const generation = Object.entries(settings.generation).map(
    ([name, value]) => `${name}=${JSON.stringify(value)}`,
  );
  return `posttrain (pretrained=${settings.model},dtype=${settings.dtype}), gen_kwargs: (${generation.join(",")}), limit: ${settings.limit ?? "None"}, num_fewshot: ${settings.shots}, batch_size: auto`;
}

type Row = readonly string[];

function rowsOf(
  score: Score,
  indent: string,
  { version, filter, shots }: TableSettings,
  whole: boolean,
): readonly Row[] {
  const metric = (first: boolean, name: string, arrow: string, value: Accuracy | null): Row => [
    first ? indent + score.name : "",
    first ? String(version) : "",
    filter,
    String(shots),
    name,
    arrow,
    value === null ? "N/A" : value.share.toFixed(4),
    "±",
    value?.stderr == null ? "N/A" : value.stderr.toFixed(4),
    value === null ? "N/A" : `${value.low.toFixed(4)}-${value.high.toFixed(4)}`,
  ];
  const rows = score.metrics.map(({ name, value }, i) => metric(i === 0, name, "↑", value));
  return whole ? [...rows, metric(false, "unended", "↓", score.unended)] : rows;
}

function render(title: string, rows: readonly Row[]): string {
  const heads = [title, "Version", "Filter", "n-shot", "Metric", "", "Value", "", "Stderr", "95 % interval"];
  const numbers = heads.map((head) =>
    ["Version", "n-shot", "Value", "Stderr", "95 % interval"].includes(head),
  );
  const widths = heads.map((head, i) => Math.max(3, head.length, ...rows.map((row) => [...row[i]!].length)));
  // A bar within a name would be read as the edge of a cell.
  const cell = (text: string, i: number): string =>
    numbers[i] ? text.padStart(widths[i]!) : text.replaceAll("|", "/").padEnd(widths[i]!);
  const centred = (text: string, i: number): string => {
    const left = Math.floor((widths[i]! - text.length) / 2);
    return " ".repeat(left) + text.padEnd(widths[i]! - left);
  };
  const line = (cells: readonly string[]): string => `|${cells.join("|")}|`;
  return [
    line(heads.map(centred)),
    line(widths.map((width, i) => (numbers[i] ? `${"-".repeat(width - 1)}:` : "-".repeat(width)))),
    ...rows.map((row) => line(row.map(cell))),
  ].join("\n");
}
