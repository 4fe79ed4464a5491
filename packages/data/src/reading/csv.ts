/**
 * CSV and TSV with a header: RFC 4180 as csv-parse reads it, quoted fields with line feeds in them too. A cell is text and an empty one null, but in the columns
 * that never hold text: there lists, objects, numbers and truth values are JSON, as pandas writes them.
 */

import { Readable } from "node:stream";
import { type CsvError, type Info, parse } from "csv-parse";
import { parseStrictJson } from "../strict-json.js";
import { UserError } from "../user-error.js";
import type { FileReader, RawRow } from "./file-reader.js";
import { bytesOf, unreadable } from "./packing-bytes.js";
import { badText, type RowPlace } from "./place.js";
import { decodeText, MAX_ROW_BYTES } from "./text.js";

const delimiters = [",", "\t", ";", "|"] as const;

/** Columns that hold lists or objects, or text. */
const nested: ReadonlySet<string> = new Set([
  ...["messages", "conversations", "prompt", "completion", "chosen", "rejected", "context", "completions"],
  ...["responses", "history", "tools", "chat_template_kwargs", "reward_model", "extra_info", "parents"],
  ...["input_ids", "labels", "completion_mask", "attention_mask", "prompt_ids", "chosen_ids", "rejected_ids"],
  ...["test_list", "tests", "instruction_id_list", "kwargs", "evidence", "verdict", "verdicts", "criteria"],
]);
const scalars: ReadonlySet<string> = new Set(["label", "kto_tag", "margin"]);
const words: Readonly<Record<string, unknown>> = { true: true, false: false, nan: null, none: null };

interface Parsed {
  readonly record: readonly string[];
  readonly info: Info;
}

export const readCsv: FileReader = async function* (path, watch) {
  let line = 1;
  const start = await firstLine(path);
  const delimiter = path.toLowerCase().includes(".tsv") ? "\t" : delimiterOf(start);
  const parser = parse({
    bom: true,
    delimiter,
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: MAX_ROW_BYTES,
  });
  const texts = Readable.from(strictText(path, watch), { objectMode: false });
  texts.on("error", (error) => parser.destroy(error)).pipe(parser);
  let header: readonly string[] | undefined;
  let rows: RawRow[] = [];
  try {
    for await (const { record, info } of parser as AsyncIterable<Parsed>) {
      // csv-parse counts the lines up to the end of a record; a row is named by where it begins.
      const place: RowPlace = { path, line };
      line = info.lines + 1;
      if (header === undefined) {
        header = checkHeader(record, place);
        continue;
      }
      const names = header;
      rows.push({ place, read: () => rowOf(record, names, delimiter, place) });
      if (rows.length < rowsAtOnce) continue;
      yield rows;
      rows = [];
    }
  } catch (error) {
    if (!isCsvError(error)) throw unreadable(path, error, line);
    throw badText(
      { path, line },
      `is no CSV: ${error.message.replace(/\.$/, "")}. Quote fields that hold ${delimiter === "\t" ? "tabs" : delimiter}, quotes or line feeds, and double the quotes in them.`,
      error,
    );
  } finally {
    texts.destroy();
    parser.destroy();
  }
  yield rows;
};

const rowsAtOnce = 64;

const isCsvError = (error: unknown): error is CsvError =>
  error instanceof Error && "code" in error && String(error.code).startsWith("CSV_");

/** Decoded strictly, chunk by chunk. */
async function* strictText(path: string, watch: Parameters<FileReader>[1]): AsyncGenerator<Buffer> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let line = 1;
  let tail: Buffer = Buffer.alloc(0);
  const check = (bytes: Buffer, isLast: boolean): void => {
    try {
      decoder.decode(bytes, { stream: !isLast });
    } catch {
      // The line says which byte it is.
      for (const part of Buffer.concat([tail, bytes]).toString("latin1").split("\n")) {
        decodeText(Buffer.from(part, "latin1"), { path, line });
        line++;
      }
    }
    const nul = bytes.indexOf(0);
    if (nul >= 0) decodeText(bytes, { path, line: line + countFeeds(bytes.subarray(0, nul)) });
  };
  for await (const chunk of bytesOf(path, watch)) {
    check(chunk, false);
    line += countFeeds(chunk);
    tail = chunk.subarray(chunk.lastIndexOf(0x0a) + 1);
    yield chunk;
  }
  check(Buffer.alloc(0), true);
}

function countFeeds(bytes: Buffer): number {
  let feeds = 0;
  for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) feeds++;
  return feeds;
}

async function firstLine(path: string): Promise<string> {
  let text = "";
  try {
    for await (const chunk of bytesOf(path, { hash: undefined, onBytes: () => undefined })) {
      text += chunk.toString("latin1");
      if (text.includes("\n") || text.length > MAX_ROW_BYTES) break;
    }
  } catch (error) {
    throw unreadable(path, error, 1);
  }
  return text.split("\n", 1)[0] ?? "";
}

/** The delimiter that the header has most of, outside its quotes. */
function delimiterOf(header: string): string {
  const bare = header.replace(/"(?:[^"]|"")*"/g, "");
  const count = (delimiter: string): number => bare.split(delimiter).length;
  return delimiters.reduce((best, one) => (count(one) > count(best) ? one : best));
}

function checkHeader(names: readonly string[], place: RowPlace): readonly string[] {
  const seen = new Set<string>();
  for (const [i, name] of names.entries()) {
    if (name.trim() === "") {
      // pandas writes its index under no name.
      if (i === 0 && names.length > 1) continue;
      throw badText(place, `names no column ${i + 1}: the first line of CSV names them all.`);
    }
    if (name === "__proto__")
      throw badText(place, "has a column __proto__, which no row may have: rename it.");
    if (seen.has(name))
      throw badText(place, `names the column ${JSON.stringify(name)} twice: rename one of the two.`);
    seen.add(name);
  }
  return names;
}

function rowOf(
  cells: readonly string[],
  names: readonly string[],
  delimiter: string,
  place: RowPlace,
): unknown {
  if (cells.length !== names.length) {
    throw badText(
      place,
      `has ${cells.length} fields, the header names ${names.length} columns (${names.join(", ")}), separated by ${delimiter === "\t" ? "tabs" : JSON.stringify(delimiter)}. Quote fields that hold the separator, or mend the row.`,
    );
  }
  return Object.fromEntries(
    names.flatMap((name, i) => (name === "" ? [] : [[name, cellOf(name, cells[i]!, place)]])),
  );
}

function cellOf(name: string, cell: string, place: RowPlace): unknown {
  if (cell === "") return null;
  if (cell.includes("\0")) throw badText(place, `holds a NUL byte in column ${name}: write the file again.`);
  const isNested = nested.has(name) && /^\s*[[{]/.test(cell);
  if (!isNested && !scalars.has(name)) return cell;
  const word = cell.trim().toLowerCase();
  if (!isNested && Object.hasOwn(words, word)) return words[word];
  try {
    return parseStrictJson(cell);
  } catch (error) {
    // A prompt of text may begin with a bracket.
    if (["prompt", "completion", "chosen", "rejected", "label"].includes(name)) return cell;
    throw new UserError(
      "bad_line",
      `${place.path}, line ${place.line}: column ${name} ${(error as Error).message.replace(/\.$/, "")}. Lists and objects in CSV are JSON; Python's repr ('...' in place of "...") is none.`,
      { cause: error, place },
    );
  }
}
