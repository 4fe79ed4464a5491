/**
 * The identity of a row: SHA-256 of its canonical JSON without `id`, `parents` and `evidence`, plus an
 * occurrence number for repeats, so that every row of a file has its own id and keeps it when other rows
 * move. Canonical JSON is RFC 8785: keys sorted by UTF-16 code units, numbers and strings as JSON.stringify
 * writes them.
 */
import { hash } from "node:crypto";
import { z } from "zod";
import { isJsonObject, LosslessNumber, normalDecimal, sameDecimal } from "./lossless-json.js";
import type { RowPlace } from "./reading/place.js";
import { check, optional } from "./row-check.js";

const NOT_CONTENT: ReadonlySet<string> = new Set(["id", "parents", "evidence"]);

/** RFC 8785 form of a JSON value. Throws TypeError on what JSON cannot hold. */
export function canonicalJson(value: unknown): string {
  if (typeof value === "string" || typeof value === "boolean" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (value instanceof LosslessNumber) return canonicalNumber(value);
  if (typeof value === "object") {
    const record = value as Readonly<Record<string, unknown>>;
    const members = Object.keys(record).sort();
    return `{${members.map((key) => `${JSON.stringify(key)}:${canonicalJson(record[key])}`).join(",")}}`;
  }
  if (Number.isFinite(value)) return JSON.stringify(value);
  throw new TypeError(`canonicalJson: ${String(value)} is no JSON value`);
}

/** As the double that RFC 8785 makes of it; what no double is, RFC 8785 does not know: an exact form of ours, so that it is no other's. */
function canonicalNumber({ written: text, isInteger }: LosslessNumber): string {
  const double = Number(text);
  if (isInteger ? Number.isSafeInteger(double) : Number.isFinite(double) && (double !== 0 || isZero(text)))
    return JSON.stringify(double);
  return isInteger ? text : normalDecimal(text);
}

const isZero = (text: string): boolean => sameDecimal(text, "0");

/**
 * A counter of rows: call it once for each row of a file, in order.
 * The first row with some content gets the 64 hex digits, its repeats the same with `#2`, `#3`, ...
 */
export function createRecordIds(): (row: unknown) => string {
  const seen = new Map<string, number>();
  return (row) => {
    const digest = hash("sha256", canonicalJson(contentOf(row)));
    const occurrence = (seen.get(digest) ?? 0) + 1;
    seen.set(digest, occurrence);
    return occurrence === 1 ? digest : `${digest}#${occurrence}`;
  };
}

const parentsSchema = z.looseObject({ parents: optional(z.array(z.string().min(1))) });

/** The ids of the rows that a row was made from: its column `parents`. Throws UserError `bad_row`. */
export function parentsOf(row: unknown, place: RowPlace): readonly string[] | undefined {
  if (typeof row !== "object" || row === null || !("parents" in row)) return undefined;
  return check(parentsSchema, row, place).parents;
}

function contentOf(row: unknown): unknown {
  if (!isJsonObject(row) || !Object.keys(row).some((key) => NOT_CONTENT.has(key))) return row;
  return Object.fromEntries(Object.entries(row).filter(([key]) => !NOT_CONTENT.has(key)));
}
