/** What data holds, row by row: forms, columns, roles, lengths, rows that are there twice, and what is wrong with which. */
import { hash } from "node:crypto";
import { type DataFormat, detectFormat } from "./data-format.js";
import { isJsonObject } from "./lossless-json.js";
import { type RowPlace, rowError } from "./reading/place.js";
import { type ReadRowsOptions, readRows } from "./reading/read-rows.js";
import { canonicalJson } from "./record-id.js";
import { checkRow } from "./row-content.js";
import { UserError, userErrorOr } from "./user-error.js";

export interface RowProblem {
  readonly code: string;
  readonly count: number;
  /** The first few, with their places. */
  readonly examples: readonly string[];
}

export interface Survey {
  readonly rows: number;
  readonly formats: Readonly<Partial<Record<DataFormat | "unknown", number>>>;
  /** Rows that have each column, not counting null. */
  readonly columns: Readonly<Record<string, number>>;
  /** Turns by role, in any column. */
  readonly roles: Readonly<Record<string, number>>;
  /** Of the texts of a row together. */
  readonly characters: {
    readonly min: number;
    readonly median: number;
    readonly p95: number;
    readonly max: number;
    readonly total: number;
  };
  /** Rows that say what one before them says, id, parents and evidence apart. */
  readonly duplicates: number;
  /** Rows that no stage would take, by what is wrong; the most frequent first. */
  readonly problems: readonly RowProblem[];
  readonly bad: number;
}

const EXAMPLES = 3;

/** Throws UserError for data that cannot be read at all. */
export async function surveyRows(
  data: string,
  options: Pick<ReadRowsOptions, "onProgress" | "naming"> = {},
): Promise<Survey> {
  const formats: Partial<Record<DataFormat | "unknown", number>> = {};
  const columns = new Map<string, number>();
  const roles = new Map<string, number>();
  const lengths: number[] = [];
  const seen = new Set<string>();
  const problems = new Map<string, { count: number; examples: string[] }>();
  let [rows, duplicates, bad] = [0, 0, 0];
  const complain = (error: UserError): void => {
    bad++;
    const entry = problems.get(error.code) ?? { count: 0, examples: [] };
    problems.set(error.code, entry);
    if (entry.count++ < EXAMPLES) entry.examples.push(error.message);
  };
  const onBadRow = (error: UserError): void => {
    rows++;
    complain(error);
  };
  for await (const { value, place } of readRows(data, { ...options, onBadRow })) {
    rows++;
    const format = detectFormat(value);
    formats[format ?? "unknown"] = (formats[format ?? "unknown"] ?? 0) + 1;
    const problem = userErrorOr(() => checkKnown(value, format, place));
    if (problem instanceof UserError) complain(problem);
    if (isJsonObject(value))
      for (const [name, content] of Object.entries(value)) if (content !== null) add(columns, name);
    lengths.push(charactersOf(value, roles));
    const digest = hash("sha256", canonicalJson(contentOnly(value)), "base64").slice(0, 22);
    if (seen.has(digest)) duplicates++;
    seen.add(digest);
  }
  lengths.sort((a, b) => a - b);
  const at = (share: number): number =>
    lengths[Math.min(lengths.length - 1, Math.floor(share * lengths.length))] ?? 0;
  return {
    rows,
    formats,
    columns: Object.fromEntries(columns),
    roles: Object.fromEntries(roles),
    characters: {
      min: at(0),
      median: at(0.5),
      p95: at(0.95),
      max: at(1),
      total: lengths.reduce((sum, length) => sum + length, 0),
    },
    duplicates,
    problems: [...problems].map(([code, found]) => ({ code, ...found })).sort((a, b) => b.count - a.count),
    bad,
  };
}

function checkKnown(value: unknown, format: DataFormat | undefined, place: RowPlace): void {
  if (format !== undefined) checkRow(value as Readonly<Record<string, unknown>>, format, place);
  else {
    const found = isJsonObject(value)
      ? `its columns are ${Object.keys(value).join(", ") || "none"}`
      : "it is no object";
    throw rowError(
      "unknown_row",
      place,
      `this kind of row is not known: ${found}. Say with --columns which of them is which.`,
    );
  }
}

function contentOnly(value: unknown): unknown {
  if (!isJsonObject(value)) return value;
  const { id: _, parents: __, evidence: ___, ...content } = value;
  return content;
}

function add(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

/** Of all texts in a value; turns are counted on the way. */
function charactersOf(value: unknown, roles: Map<string, number>): number {
  if (typeof value === "string") return value.length;
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + charactersOf(item, roles), 0);
  if (!isJsonObject(value)) return 0;
  const role = value["role"] ?? value["from"];
  const isTurn = typeof role === "string" && ["content", "value", "tool_calls"].some((key) => key in value);
  if (isTurn) add(roles, role);
  return Object.entries(value).reduce(
    (sum, [key, inner]) =>
      isTurn && (key === "role" || key === "from") ? sum : sum + charactersOf(inner, roles),
    0,
  );
}
