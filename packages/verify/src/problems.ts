/** Rows that leave out what they are graded with: samples beside a file of problems, and lm-evaluation-harness's samples. */
import {
  asDouble,
  isJsonNumber,
  isJsonObject,
  type JsonNumber,
  placeText,
  readRows,
  stringifyJson,
  UserError,
} from "@posttrain/data";
import type { Row } from "./verifier.js";

/** By the problem's own name: evalplus and the benchmarks call it task_id. */
const keys = ["task_id", "id", "question_id", "key", "name"] as const;

export interface Problems {
  readonly path: string;
  /** The column that names them in both files. */
  readonly key: string;
  find(row: Row): Row | undefined;
}

/** UserError `bad_problem` for a problem without a name, or two of one. */
export async function readProblems(path: string): Promise<Problems> {
  const problems = new Map<string, Row>();
  let key: string | undefined;
  for await (const { place, value } of readRows(path)) {
    const row: Row = isJsonObject(value) ? value : {};
    key ??= keys.find((name) => isName(row[name]));
    const name = key === undefined ? undefined : row[key];
    if (!isName(name)) {
      throw new UserError(
        "bad_problem",
        `${placeText(place)}: a problem needs ${key ?? keys.join(", ")}, by which responses name it; its columns are ${Object.keys(row).join(", ") || "none"}.`,
      );
    }
    if (problems.has(nameText(name))) {
      throw new UserError(
        "bad_problem",
        `${placeText(place)}: ${key} ${String(name)} is there twice. Remove one.`,
      );
    }
    problems.set(nameText(name), row);
  }
  const column = key!;
  return { path, key: column, find: (row) => problems.get(nameText(row[column])) };
}

function isName(value: unknown): value is string | JsonNumber {
  return typeof value === "string" || isJsonNumber(value);
}

/** 7 and 7.0 are one name. */
const nameText = (name: unknown): string => String(asDouble(name));

/** A row whose problem is not among them. */
export class Unnamed {
  constructor(readonly problem: string) {}
}

/**
 * The row as verifiers read it: with what its problem has, where there are problems; of a samples file of lm-evaluation-harness its
 * doc and all of its resps.
 */
export function wholeRow(row: Row, problems?: Problems): Row | Unnamed {
  if (problems !== undefined) {
    const found = problems.find(row);
    if (found !== undefined) return { ...found, ...row };
    return new Unnamed(
      `${problems.key}: ${stringifyJson(row[problems.key]) ?? "none"} is no problem of ${problems.path}.`,
    );
  }
  const { doc, resps } = row;
  if (typeof doc !== "object" || doc === null || !Array.isArray(resps)) return row;
  const {
    responses: _,
    response: __,
    completions: ___,
    completion: ____,
    prediction: _____,
    ...question
  } = doc as Row;
  return { ...question, responses: resps.flat(3) as unknown[] };
}
