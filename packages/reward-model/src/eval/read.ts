// Files of benchmarks in any form that rows are read from, such as the JSON arrays that RMB comes as, and folders of them.
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import {
  isJsonObject,
  type OnProgress,
  type RowPlace,
  readRows,
  rowError,
  UserError,
  withDoubles,
} from "@posttrain/data";
import { type EvalFormat, evalFormats, formatOf, formats } from "./formats.js";
import type { EvalItem, Row } from "./item.js";
import { came } from "./item.js";

/** Items by what they are of. */
export type EvalSets = ReadonlyMap<EvalFormat, readonly EvalItem[]>;

/** Reads all of `paths`. UserError for a row of no known kind, or wrong in itself, with its place; `missing_file` for a folder without rows. */
export async function readEvalSets(
  paths: readonly string[],
  options: { readonly format?: EvalFormat | undefined; readonly onProgress?: OnProgress } = {},
): Promise<EvalSets> {
  const found = new Map<EvalFormat, EvalItem[]>();
  for (const path of paths) {
    for (const file of await filesOf(path)) {
      for await (const { value, place } of readRows(file, { onProgress: options.onProgress })) {
        if (!isJsonObject(value))
          throw rowError("bad_row", place, `expected an object, came ${came(value)}.`);
        const row: Row = withDoubles(value);
        const format = options.format ?? formatOf(row);
        if (format === undefined) throw unknown(row, place);
        const items = found.get(format) ?? [];
        items.push(formats[format].parse(row, place));
        found.set(format, items);
      }
    }
  }
  return new Map(
    evalFormats.flatMap((format) => {
      const items = found.get(format);
      return items === undefined ? [] : [[format, formats[format].gather?.(items) ?? items] as const];
    }),
  );
}

async function filesOf(path: string): Promise<readonly string[]> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory() !== true) return [path];
  const names = (await readdir(path, { recursive: true }))
    .filter((name) => /\.(jsonl?|ndjson|csv|tsv|parquet)(\.(gz|zst))?$/.test(name))
    .sort();
  if (names.length > 0) return names.map((name) => join(path, name));
  throw new UserError(
    "missing_file",
    `${path} is a folder without .jsonl, .json, .csv or .parquet files. Give files, or a folder that has some.`,
  );
}

function unknown(row: Row, place: RowPlace): UserError {
  return rowError(
    "unknown_row",
    place,
    `this is no row of a benchmark that is known (${evalFormats.map((name) => formats[name].title).join(", ")}): its columns are ${Object.keys(row).join(", ") || "none"}.`,
  );
}
