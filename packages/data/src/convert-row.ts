/**
 * A row of one form as a row of another. What the row says moves, all other columns stay as they are. Where the way back would not give the same row, the row
 * as it was goes along in a column `original`, and the way back takes it from there: nothing is lost. What a form cannot say at all is an error.
 */
import { type DataFormat, detectFormat } from "./data-format.js";
import { isJsonObject } from "./lossless-json.js";
import { type RowPlace, rowError } from "./reading/place.js";
import { canonicalJson } from "./record-id.js";
import { readContent } from "./row-content.js";
import { writeContent } from "./row-content-writers.js";

export type JsonRow = Readonly<Record<string, unknown>>;

/** The column that holds a row as it was, {format, row}. */
export const originalColumn = "original";

export interface ConvertOptions {
  readonly to: DataFormat;
  /** Else each row's columns tell. */
  readonly from?: DataFormat | undefined;
}

export interface Converted {
  readonly from: DataFormat;
  readonly rows: readonly JsonRow[];
}

/** Converts rows one after the other. Throws UserError naming the place: `unknown_row`, `cannot_convert`, and what readers of the form throw. */
export function createConverter({ to, from }: ConvertOptions): (row: unknown, place: RowPlace) => Converted {
  const restored = createRestorer();
  return (value, place) => {
    const format = from ?? detectFormat(value);
    if (format === undefined || !isJsonObject(value)) {
      const columns = isJsonObject(value) ? Object.keys(value).join(", ") || "none" : "no object";
      throw rowError(
        "unknown_row",
        place,
        `this kind of row is not known; its columns are ${columns}. Name them with --columns.`,
      );
    }
    if (format === to) return { from: format, rows: [value] };
    const before = restored(value, format, to, place);
    if (before !== undefined) return { from: format, rows: before };
    if (
      (format === "preference" && to === "unpaired") ||
      (format.startsWith("preference") && to.startsWith("unpaired"))
    ) {
      return { from: format, rows: unpair(value, format, to, place) };
    }
    const row = convert(value, format, to, place);
    refuseOther(row, to, place);
    return {
      from: format,
      rows: [isWhole(row, value, format, to, place) ? row : keeping(row, format, value)],
    };
  };
}

function convert(row: JsonRow, from: DataFormat, to: DataFormat, place: RowPlace): JsonRow {
  const { content, rest } = readContent(row, from, place);
  return { ...writeContent(content, rest, to, place), ...rest };
}

/** Whether the way back gives the row again. */
function isWhole(row: JsonRow, before: JsonRow, from: DataFormat, to: DataFormat, place: RowPlace): boolean {
  try {
    return canonicalJson(convert(row, to, from, place)) === canonicalJson(before);
  } catch {
    return false;
  }
}

const keeping = (row: JsonRow, format: DataFormat, original: JsonRow, part?: number): JsonRow => ({
  ...row,
  [originalColumn]: { format, row: original, ...(part !== undefined && { part }) },
});

/** A column that stays may make the row look like another form. */
function refuseOther(row: JsonRow, to: DataFormat, place: RowPlace): void {
  const found = detectFormat(row);
  if (found === to) return;
  throw rowError(
    "cannot_convert",
    place,
    `as ${to} its columns would be ${Object.keys(row).join(", ")}, which is read as ${found ?? "no known form"}. Rename the column that is in the way.`,
  );
}

/** Both sides, each with the whole pair. */
function unpair(value: JsonRow, format: DataFormat, to: DataFormat, place: RowPlace): readonly JsonRow[] {
  const { content, rest } = readContent(value, format, place);
  return [content.chosen, content.rejected].map((completion, part) => {
    const row = {
      ...writeContent({ prompt: content.prompt, completion, label: part === 0 }, rest, to, place),
      ...rest,
    };
    refuseOther(row, to, place);
    return keeping(row, format, value, part);
  });
}

/** Rows that were kept when they were converted, each once however many rows it became. */
function createRestorer() {
  const seen = new Map<string, { parts: number[]; given: number }>();
  return (
    row: JsonRow,
    format: DataFormat,
    to: DataFormat,
    place: RowPlace,
  ): readonly JsonRow[] | undefined => {
    const original = row[originalColumn];
    if (!isJsonObject(original) || original["format"] !== to || !isJsonObject(original["row"]))
      return undefined;
    const { row: before, part } = original as { readonly row: JsonRow; readonly part?: unknown };
    const number = part === 0 || part === 1 ? part : undefined;
    // A row that was changed since is no copy of what is kept.
    const again = createConverter({ to: format, from: to })(before, place).rows[number ?? 0];
    if (again === undefined || canonicalJson(again) !== canonicalJson(row)) return undefined;
    if (number === undefined) return [before];
    const key = canonicalJson(before);
    const entry = seen.get(key) ?? { parts: [0, 0], given: 0 };
    seen.set(key, entry);
    entry.parts[number]!++;
    if (Math.max(...entry.parts) <= entry.given) return [];
    entry.given++;
    return [before];
  };
}
