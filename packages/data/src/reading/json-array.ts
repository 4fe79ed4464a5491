/**
 * A JSON array of rows, split into its elements as it streams: no more than one of them is held. A file of that name which begins with no
 * bracket is JSON Lines, as pandas and others write it.
 */

import { UserError } from "../user-error.js";
import type { FileReader, RawRow } from "./file-reader.js";
import { readJsonLines } from "./jsonl.js";
import { type ByteWatch, bytesOf, unreadable } from "./packing-bytes.js";
import { badText, type RowPlace } from "./place.js";
import { decodeText, MAX_ROW_BYTES, parseText } from "./text.js";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN = new Set([0x5b, 0x7b]);
const CLOSE = new Set([0x5d, 0x7d]);
const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

export const readJson: FileReader = async function* (path, watch, after) {
  if (await beginsWithBracket(path)) yield* elementsOf(path, watch);
  else yield* readJsonLines(path, watch, after);
};

async function beginsWithBracket(path: string): Promise<boolean> {
  try {
    let isFirst = true;
    for await (const chunk of bytesOf(path, { hash: undefined, onBytes: () => undefined })) {
      const start = isFirst && chunk.length >= 3 && chunk.readUIntBE(0, 3) === 0xefbbbf ? 3 : 0;
      isFirst = false;
      const first = chunk.subarray(start).find((byte) => !isSpace(byte));
      if (first !== undefined) return first === 0x5b;
    }
    return false;
  } catch (error) {
    throw unreadable(path, error, 1);
  }
}

async function* elementsOf(path: string, watch: ByteWatch): AsyncGenerator<readonly RawRow[]> {
  const splitter = createSplitter(path);
  try {
    for await (const chunk of bytesOf(path, watch)) yield splitter.add(chunk);
  } catch (error) {
    throw unreadable(path, error, splitter.line());
  }
  splitter.end();
}

/** Where between elements it is. */
type Expected = "start" | "element or end" | "element" | "comma or end" | "nothing";

function createSplitter(path: string) {
  let expected: Expected = "start";
  let element = 0;
  let line = 1;
  /** Of the element that is open: what came of it, its depth, whether a string is open, whether the next byte is escaped. */
  let parts: Buffer[] = [];
  let held = 0;
  let inside = false;
  let depth = 0;
  let inString = false;
  let escaped = false;

  const place = (): RowPlace => ({ path, line: element, unit: "element" });
  const refuse = (rest: string): UserError =>
    new UserError("bad_line", `${path}, line ${line}: ${rest}`, { place: { path, line } });
  const rowOf = (bytes: Buffer): RawRow => {
    const own = place();
    const at = line;
    return {
      place: own,
      read: () =>
        parseText(decodeText(bytes, { ...own }), own, `Expected one JSON object (it ends on line ${at}).`),
    };
  };

  const add = (chunk: Buffer): readonly RawRow[] => {
    const rows: RawRow[] = [];
    let start = 0;
    const close = (end: number): void => {
      const last = chunk.subarray(start, end);
      rows.push(rowOf(parts.length === 0 ? last : Buffer.concat([...parts, last])));
      parts = [];
      held = 0;
      inside = false;
      expected = "comma or end";
    };
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]!;
      if (byte === 0x0a) line++;
      if (inside) {
        if (inString) {
          if (escaped) escaped = false;
          else if (byte === BACKSLASH) escaped = true;
          else if (byte === QUOTE) inString = false;
        } else if (byte === QUOTE) inString = true;
        else if (OPEN.has(byte)) depth++;
        else if (depth > 0 && CLOSE.has(byte)) depth--;
        else if (depth === 0 && (byte === COMMA || byte === 0x5d)) {
          close(at);
          expected = byte === COMMA ? "element" : "nothing";
        }
        continue;
      }
      if (isSpace(byte) || (element === 0 && expected === "start" && byte !== 0x5b)) continue;
      if (expected === "start") expected = "element or end";
      else if (expected === "nothing") {
        throw refuse("more follows the end of the array. Remove it: the file holds one array.");
      } else if (byte === 0x5d && expected !== "element") expected = "nothing";
      else if (byte === COMMA || byte === 0x5d) {
        throw refuse(`expected an element after element ${element}, came ${String.fromCharCode(byte)}.`);
      } else {
        element++;
        inside = true;
        start = at;
        depth = OPEN.has(byte) ? 1 : 0;
        inString = byte === QUOTE;
      }
    }
    if (inside) {
      parts.push(chunk.subarray(start));
      held += chunk.length - start;
      if (held > MAX_ROW_BYTES) {
        throw badText(
          place(),
          `is longer than ${MAX_ROW_BYTES} bytes: rows are shorter. Is a quote or bracket missing?`,
        );
      }
    }
    return rows;
  };

  const end = (): void => {
    if (expected === "nothing" || expected === "start") return;
    const where = inside ? `inside element ${element}` : `after element ${element}`;
    throw refuse(
      `the array ends ${where}, without its closing bracket: the file is cut. Copy or write it again.`,
    );
  };
  return { add, end, line: () => line };
}
