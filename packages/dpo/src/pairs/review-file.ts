// Pairs for people to judge, as a file: both sides under letters that say nothing, and a verdict to fill in, here or in any editor.
import { existsSync } from "node:fs";
import {
  canonicalJson,
  isJsonObject,
  permutation,
  placeText,
  readRows,
  stringifyJson,
  UserError,
} from "@posttrain/data";
import { openRowFile } from "@posttrain/run";
import type { Pair } from "./pair.js";
import { isChosenFirst, type Opinion, type Review } from "./reviews.js";

export const REVIEW_SCHEMA = "pair-review@1";

export const letterVerdicts = ["a", "b", "tie"] as const;
export type LetterVerdict = (typeof letterVerdicts)[number];

export interface ReviewRow {
  readonly schema: typeof REVIEW_SCHEMA;
  /** The pair's id. */
  readonly pair: string;
  readonly prompt?: unknown;
  readonly a: unknown;
  readonly b: unknown;
  /** null: not judged yet. */
  readonly verdict: LetterVerdict | null;
  readonly [more: string]: unknown;
}

/** What of a pair a review looks at: also pairs of other origin have it. */
export type ReviewedPair = Pick<Pair, "id" | "chosen" | "rejected"> & {
  readonly prompt?: Pair["prompt"];
  readonly evidence?: { readonly reviews?: readonly Review[]; readonly [more: string]: unknown };
  readonly [more: string]: unknown;
};

/** UserError naming file and line for rows that are no pairs of `posttrain dpo pairs`. */
export async function* readReviewedPairs(path: string): AsyncGenerator<ReviewedPair> {
  for await (const { place, value } of readRows(path)) {
    const isPair =
      isJsonObject(value) &&
      typeof value["id"] === "string" &&
      value["chosen"] != null &&
      value["rejected"] != null;
    if (!isPair) {
      throw new UserError(
        "bad_row",
        `${placeText(place)}: expected a pair with id, chosen and rejected, as posttrain dpo pairs writes it, came ${stringifyJson(value).slice(0, 60)}.`,
      );
    }
    yield value as unknown as ReviewedPair;
  }
}

/** Writes `count` of the pairs, which the seed draws, in the order of their file. UserError `output_used`. */
export async function writeReviewFile(
  path: string,
  pairs: string,
  { count, seed }: { readonly count: number; readonly seed: number },
): Promise<number> {
  if (existsSync(path)) throw reviewUsed(path);
  let total = 0;
  for await (const _ of readReviewedPairs(pairs)) total++;
  const drawn = new Set(permutation(seed, "dataBuilding", REVIEW_VISIT, total).slice(0, count));
  const rows: ReviewRow[] = [];
  let place = 0;
  for await (const pair of readReviewedPairs(pairs)) if (drawn.has(place++)) rows.push(reviewRow(pair));
  await saveReviewFile(path, rows);
  return rows.length;
}

export const reviewUsed = (path: string): UserError =>
  new UserError(
    "output_used",
    `review ${path} already exists. Remove it or give another name, so that no verdict is lost.`,
  );

/** Files that are mixed in draw with their place. */
const REVIEW_VISIT = 2 ** 31;

function reviewRow({ id, prompt, chosen, rejected }: ReviewedPair): ReviewRow {
  const [a, b] = isChosenFirst(id) ? [chosen, rejected] : [rejected, chosen];
  return { schema: REVIEW_SCHEMA, pair: id, ...(prompt !== undefined && { prompt }), a, b, verdict: null };
}

/** Reads a file of reviews, as it was written or edited. UserError naming file, line and field. */
export async function readReviewFile(path: string): Promise<readonly ReviewRow[]> {
  const rows: ReviewRow[] = [];
  const seen = new Set<string>();
  for await (const { place, value } of readRows(path)) {
    const refuse = (text: string): UserError => new UserError("bad_review", `${placeText(place)}: ${text}`);
    if (
      !isJsonObject(value) ||
      typeof value["pair"] !== "string" ||
      value["a"] == null ||
      value["b"] == null
    ) {
      throw refuse(
        `expected a review with pair, a, b and verdict, as posttrain dpo pairs --review writes it, came ${stringifyJson(value).slice(0, 60)}.`,
      );
    }
    const { pair } = value;
    if (seen.has(pair as string)) throw refuse(`pair ${String(pair)} is there twice. Remove one.`);
    seen.add(pair as string);
    const said = value["verdict"] ?? null;
    const verdict =
      said === null ? null : letterVerdicts.find((one) => one === String(said).trim().toLowerCase());
    if (verdict === undefined) {
      throw refuse(
        `verdict: expected a, b, tie or null (not judged yet), came ${stringifyJson(said).slice(0, 60)}.`,
      );
    }
    rows.push({ ...(value as unknown as ReviewRow), verdict });
  }
  return rows;
}

/** Writes or replaces `path` as a whole; what a killed process left of that is written over. */
export async function saveReviewFile(path: string, rows: readonly ReviewRow[]): Promise<void> {
  const file = await openRowFile(`${path}.partial`, path);
  try {
    for (const row of rows) await file.write(row);
    await file.commit();
  } finally {
    await file.discard();
  }
}

/** What the verdicts say of the pairs. UserError for rows whose pair is not there, or whose texts are no longer the pair's. */
export function opinionsOf(
  rows: readonly ReviewRow[],
  pairs: ReadonlyMap<string, { readonly chosen: string; readonly rejected: string }>,
  { path, pairsPath }: { readonly path: string; readonly pairsPath: string },
): ReadonlyMap<string, Opinion> {
  const opinions = new Map<string, Opinion>();
  const unknown = rows.filter(({ pair }) => !pairs.has(pair));
  if (unknown.length > 0) {
    const listed = unknown.slice(0, LISTED).map(({ pair }) => pair);
    throw new UserError(
      "unknown_pair",
      `${path}: ${unknown.length} of ${rows.length} reviews are of pairs that ${pairsPath} does not have: ${listed.join(", ")}${unknown.length > LISTED ? ", ..." : ""}. Give the file of pairs that was reviewed, or remove these lines.`,
    );
  }
  for (const { pair, a, b, verdict } of rows) {
    if (verdict === null) continue;
    const { chosen, rejected } = pairs.get(pair)!;
    const [first, second] = [canonicalJson(a), canonicalJson(b)];
    const isFirst = first === chosen && second === rejected;
    if (!isFirst && !(first === rejected && second === chosen)) {
      throw new UserError(
        "bad_review",
        `${path}: the texts of pair ${pair} are no longer those of ${pairsPath}, so nobody knows what its verdict is about. Only verdict may be edited: put the texts back, or remove the line.`,
      );
    }
    opinions.set(pair, verdict === "tie" ? "tie" : (verdict === "a") === isFirst ? "chosen" : "rejected");
  }
  return opinions;
}

const LISTED = 5;
