/** Where a row stands, and the errors that say so. */
import { UserError } from "../user-error.js";

export interface RowPlace {
  readonly path: string;
  /** Counted from 1. */
  readonly line: number;
  /** What is counted, where it is no line: a `row` of Parquet, an `element` of a JSON array. */
  readonly unit?: string;
}

/** "FILE, line 3" */
export function placeText({ path, line, unit = "line" }: RowPlace): string {
  return `${path}, ${unit} ${line}`;
}

/** A UserError `code` about one row: "FILE, line N: ...". */
export function rowError(code: string, place: RowPlace, text: string, cause?: unknown): UserError {
  return new UserError(code, `${placeText(place)}: ${text}`, { cause, place });
}

/** UserError `bad_line` about the text of a row: "FILE, line N is ...". */
export function badText(place: RowPlace, rest: string, cause?: unknown): UserError {
  return new UserError("bad_line", `${placeText(place)} ${rest}`, { cause, place });
}
