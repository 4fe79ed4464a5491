// Which of a query's graded responses become pairs: a function of the responses, the seed and the options, whatever order they came in.
import { createHash } from "node:crypto";
import { type Outcome, uniform } from "@posttrain/data";
import { likeness, runsOf, sameButForSpace } from "./similarity.js";

export const chosenSources = ["policy", "reference", "either"] as const;

export interface ChoiceOptions {
  readonly pairsPerQuery: number;
  /** Most that the longer text of a pair may be of the shorter one; texts below 64 characters count as 64. */
  readonly maxLengthRatio: number;
  /** Share of runs of three words in common from which two responses count as one (`likeness`). */
  readonly similarity: number;
  /** Whether the reference answer may be chosen: `either` takes it where no response passes. */
  readonly chosenFrom: (typeof chosenSources)[number];
  readonly seed: number;
}

export interface Candidate {
  /** Of its own among those of the query: decides draws, and ties between them. */
  readonly id: string;
  readonly text: string;
  readonly outcome: Outcome;
  /** The row's own answer, not a model's. */
  readonly isReference?: boolean;
}

/** Why a query has no pair. */
export const skipReasons = [
  "no response",
  "not graded",
  "all right",
  "all wrong",
  "no reference",
  "reference not passed",
  "no text",
  "same words",
  "lengths apart",
] as const;
export type SkipReason = (typeof skipReasons)[number];

export interface Choice<C extends Candidate = Candidate> {
  readonly pairs: readonly { readonly chosen: C; readonly rejected: C }[];
  /** Where there is no pair. */
  readonly skip?: SkipReason;
  /** Responses that count as one with another of the same side. */
  readonly duplicates: number;
}

const SHORT = 64;

/**
 * Passing responses against failing ones. Each is in as few pairs as can be, then pairs of like lengths come first, then the draw decides.
 * What could not be graded, or says nothing, is on neither side. `query` is its number, for the draws.
 */
export function choosePairs<C extends Candidate>(
  candidates: readonly C[],
  query: number,
  options: ChoiceOptions,
): Choice<C> {
  const { pairsPerQuery, maxLengthRatio, similarity, chosenFrom, seed } = options;
  const own = candidates.filter(({ isReference }) => isReference !== true);
  const references = candidates.filter(({ isReference }) => isReference === true);
  const passing = own.filter(({ outcome }) => outcome === "pass");
  const passed = references.filter(({ outcome }) => outcome === "pass");
  const failing = own.filter(({ outcome }) => outcome !== "pass" && outcome !== "infrastructure-error");
  const none = (skip: SkipReason, duplicates = 0): Choice<C> => ({ pairs: [], skip, duplicates });
  if (own.length === 0) return none("no response");
  if (passing.length + failing.length === 0) return none("not graded");
  if (failing.length === 0) return none("all right");
  const better =
    chosenFrom === "policy" ? passing : chosenFrom === "either" && passing.length > 0 ? passing : passed;
  if (better.length === 0) {
    if (chosenFrom === "policy") return none("all wrong");
    return none(references.length === 0 ? "no reference" : "reference not passed");
  }
  const written = failing.filter(({ text }) => text.trim() !== "");
  if (written.length === 0) return none("no text");
  const left = distinct(drawn(better, query, seed), similarity);
  const right = distinct(drawn(written, query, seed), similarity);
  const duplicates = better.length - left.length + written.length - right.length;
  const different = left.flatMap((chosen) =>
    right.flatMap((rejected) =>
      sameButForSpace(chosen.item.text, rejected.item.text) ? [] : [{ chosen, rejected }],
    ),
  );
  if (different.length === 0) return none("same words", duplicates);
  const near = different
    .map((pair) => ({ ...pair, ratio: lengthRatio(pair.chosen.item.text, pair.rejected.item.text) }))
    .filter(({ ratio }) => ratio <= maxLengthRatio)
    .sort((a, b) => a.ratio - b.ratio || compare(a.chosen, b.chosen) || compare(a.rejected, b.rejected));
  if (near.length === 0) return none("lengths apart", duplicates);
  return { pairs: leastUsed(near, pairsPerQuery), duplicates };
}

interface Drawn<C> {
  readonly item: C;
  readonly draw: number;
}

/** By a draw that depends on the response's id alone; ties by id. */
function drawn<C extends Candidate>(
  candidates: readonly C[],
  query: number,
  seed: number,
): readonly Drawn<C>[] {
  return candidates
    .map((item) => {
      const digest = createHash("sha256").update(item.id).digest();
      const counter = [query, digest.readUInt32BE(0), digest.readUInt32BE(4), 0] as const;
      return { item, draw: uniform(seed, "dataBuilding", counter) };
    })
    .sort(compare);
}

const compare = <C extends Candidate>(a: Drawn<C>, b: Drawn<C>): number =>
  a.draw - b.draw || (a.item.id < b.item.id ? -1 : a.item.id > b.item.id ? 1 : 0);

/** The first of those that count as one. */
function distinct<C extends Candidate>(items: readonly Drawn<C>[], similarity: number): readonly Drawn<C>[] {
  const kept: (Drawn<C> & { readonly runs: ReadonlySet<string> })[] = [];
  for (const one of items) {
    const runs = runsOf(one.item.text);
    if (kept.every((other) => likeness(other.runs, runs) < similarity)) kept.push({ ...one, runs });
  }
  return kept;
}

/** At least 1. */
function lengthRatio(a: string, b: string): number {
  const [short, long] = [a, b].map(({ length }) => Math.max(SHORT, length)).sort((x, y) => x - y);
  return long! / short!;
}

/** The best `most` of the sorted `pairs`, each side used again only when no unused one is left. */
function leastUsed<C extends Candidate>(
  pairs: readonly { readonly chosen: Drawn<C>; readonly rejected: Drawn<C> }[],
  most: number,
): readonly { readonly chosen: C; readonly rejected: C }[] {
  const uses = new Map<C, number>();
  const usesOf = ({ item }: Drawn<C>): number => uses.get(item) ?? 0;
  const open = new Set(pairs);
  const picked: { readonly chosen: C; readonly rejected: C }[] = [];
  while (picked.length < most && open.size > 0) {
    let best: { readonly pair: (typeof pairs)[number]; readonly cost: number } | undefined;
    for (const pair of open) {
      const [a, b] = [usesOf(pair.chosen), usesOf(pair.rejected)];
      // First the more used side counts, then both.
      const cost = Math.max(a, b) * (2 * most + 1) + a + b;
      if (best === undefined || cost < best.cost) best = { pair, cost };
      if (cost === 0) break;
    }
    const { pair } = best!;
    open.delete(pair);
    for (const side of [pair.chosen, pair.rejected]) uses.set(side.item, usesOf(side) + 1);
    picked.push({ chosen: pair.chosen.item, rejected: pair.rejected.item });
  }
  return picked;
}
