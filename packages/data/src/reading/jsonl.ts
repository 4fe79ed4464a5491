/** JSON Lines: one JSON value a line, UTF-8, `\n` or `\r\n`, a BOM at the start allowed, blank lines skipped. */
import type { FileReader, RawRow } from "./file-reader.js";
import { bytesOf, unreadable } from "./packing-bytes.js";
import { badText, type RowPlace } from "./place.js";
import { decodeText, MAX_ROW_BYTES, parseText } from "./text.js";

export const readJsonLines: FileReader = async function* (path, watch) {
  let line = 0;
  for await (const lines of linesOf(path, watch)) {
    yield rowsOf(path, lines, line);
    line += lines.length;
  }
};

function* rowsOf(path: string, lines: readonly Buffer[], before: number): Generator<RawRow> {
  let line = before;
  for (const bytes of lines) {
    const place: RowPlace = { path, line: ++line };
    yield { place, read: () => parseLine(bytes, place) };
  }
}

function parseLine(bytes: Buffer, place: RowPlace): unknown {
  const text = decodeText(bytes, place);
  if (text.trim() === "") return undefined;
  const isArray = place.line === 1 && text.trimStart().startsWith("[");
  return parseText(
    text,
    place,
    isArray
      ? "The file looks like one JSON array: name it .json, or write one object a line, for example with jq -c '.[]'."
      : "Expected one JSON object on one line.",
  );
}

/**
 * The lines that end in each chunk, as bytes without their line feed. A last line without one counts; nothing after the last feed does not.
 */
async function* linesOf(
  path: string,
  watch: Parameters<FileReader>[1],
): AsyncGenerator<readonly Buffer[], void, undefined> {
  let parts: Buffer[] = [];
  let held = 0;
  let line = 1;
  try {
    for await (const chunk of bytesOf(path, watch)) {
      const lines: Buffer[] = [];
      let start = 0;
      for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
        parts.push(chunk.subarray(start, end));
        lines.push(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts));
        parts = [];
        held = 0;
        start = end + 1;
      }
      line += lines.length;
      if (lines.length > 0) yield lines;
      if (start < chunk.length) parts.push(chunk.subarray(start));
      held += chunk.length - start;
      if (held > MAX_ROW_BYTES) {
        throw badText(
          { path, line },
          `is longer than ${MAX_ROW_BYTES} bytes: write one row a line, split at line feeds.`,
        );
      }
    }
  } catch (error) {
    throw unreadable(path, error, line);
  }
  if (held > 0) yield [Buffer.concat(parts)];
}
