/** Bytes of a row as text, and text as a value: strict where leniency would change it. */
import { isUtf8 } from "node:buffer";
import { NotJson, parseStrictJson } from "../strict-json.js";
import { badText, type RowPlace } from "./place.js";

/** What a row has at most, in bytes. */
export const MAX_ROW_BYTES = 64 * 1024 * 1024;

/** Without a BOM at the start of the file and the carriage return of a line's end. Throws UserError `bad_line`. */
export function decodeText(bytes: Buffer, place: RowPlace): string {
  let start = 0;
  if (place.line === 1 && bytes.length >= 3 && bytes.readUIntBE(0, 3) === 0xefbbbf) start = 3;
  const end = bytes.length > start && bytes[bytes.length - 1] === 0x0d ? bytes.length - 1 : bytes.length;
  const body = bytes.subarray(start, end);
  const nul = body.indexOf(0);
  const utf16 = nul >= 0 || (place.line === 1 && (body[0] === 0xff || body[0] === 0xfe));
  const { unit = "line" } = place;
  if (nul >= 0 && isUtf8(body)) {
    throw badText(
      place,
      `holds a NUL byte, the ${start + nul + 1}th of the ${unit}: the file is UTF-16, no text, or was torn when its machine stopped. ` +
        "Convert it (iconv -t UTF-8) or write it again.",
    );
  }
  if (isUtf8(body)) return body.toString("utf8");
  const at = firstInvalidByte(body);
  const byte = `0x${(body[at] ?? 0).toString(16).padStart(2, "0")}`;
  throw badText(
    place,
    `is not UTF-8: byte ${start + at + 1} of the ${unit} is ${byte}. ${utf16 ? "It looks like UTF-16. " : ""}Convert the file, for example with iconv -t UTF-8.`,
  );
}

/** Decoding a prefix as a stream fails as soon as the prefix holds the first invalid byte: bisect for it. */
function firstInvalidByte(bytes: Buffer): number {
  let valid = 0;
  let invalid = bytes.length + 1;
  while (invalid - valid > 1) {
    const middle = (valid + invalid) >> 1;
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, middle), {
        stream: middle < bytes.length,
      });
      valid = middle;
    } catch {
      invalid = middle;
    }
  }
  return Math.min(invalid, bytes.length) - 1;
}

/** Throws UserError `bad_line`. `remedy`: what was expected. */
export function parseText(text: string, place: RowPlace, remedy: string): unknown {
  try {
    return parseStrictJson(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (!(error instanceof NotJson)) throw badText(place, reason, error);
    const number = /^\s*(?:-?Infinity|NaN)|[:[,]\s*(?:-?Infinity|NaN)\b/.test(text)
      ? "NaN and Infinity are no JSON: write null, or leave the column out. "
      : "";
    throw badText(place, `(${text.length} characters) ${reason}. ${number}${remedy}`, error);
  }
}
