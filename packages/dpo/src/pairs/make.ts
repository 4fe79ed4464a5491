// Queries to pairs: responses come, are graded beside, and a query whose responses are all graded gives its pairs, in the order of the queries.
import { type Outcome, outcomes } from "@posttrain/data";
import type { JournalledGrader } from "@posttrain/verify";
import { type Candidate, type ChoiceOptions, choosePairs, type SkipReason } from "./choose.js";
import { createPairs, type GradedSide, type Pair } from "./pair.js";
import type { Query } from "./queries.js";
import type { Response } from "./responses.js";
import type { Source } from "./sources.js";

export interface MakeOptions {
  readonly queries: readonly Query[];
  readonly sources: readonly Source[];
  readonly grader: JournalledGrader;
  readonly choice: ChoiceOptions;
  /** The row's own answer to a query, where there is one and it may be chosen. */
  readonly referenceOf: (query: Query) => Response | undefined;
  /** Ends when there are so many pairs. */
  readonly target: number;
  readonly onPair: (pair: Pair) => Promise<void>;
  readonly onSkipped: (skipped: SkippedQuery) => Promise<void>;
  readonly onProgress?: ((progress: MakeProgress) => void) | undefined;
  /** Stops taking responses up. */
  readonly signal?: AbortSignal | undefined;
}

/** A query without a pair, and why. */
export interface SkippedQuery {
  readonly line: number;
  readonly parents: readonly string[];
  readonly reason: SkipReason;
  readonly responses: number;
  readonly outcomes: Readonly<Partial<Record<Outcome, number>>>;
}

export interface MakeProgress {
  readonly pairs: number;
  readonly target: number;
  /** Graded, and those that all queries will have. */
  readonly graded: number;
  readonly responses: number;
  readonly fromJournal: number;
  /** By verifier. */
  readonly yields: readonly VerifierYield[];
}

export interface VerifierYield {
  readonly verifier: string;
  /** Queries whose responses are all graded. */
  readonly queries: number;
  readonly responses: number;
  readonly outcomes: Readonly<Record<Outcome, number>>;
  /** Queries that gave a pair. */
  readonly paired: number;
  readonly pairs: number;
}

export interface Making {
  /** `target`: there are as many pairs as were asked for; `complete`: every query was asked. */
  readonly end: "complete" | "target" | "stopped";
  readonly pairs: number;
  /** Queries that were asked. */
  readonly queries: number;
  readonly skipped: Readonly<Partial<Record<SkipReason, number>>>;
  readonly yields: readonly VerifierYield[];
  /** Responses that repeat another of their side. */
  readonly duplicates: number;
  readonly ungraded: number;
  readonly graded: number;
  readonly fromJournal: number;
  /** Requests without a reply, and what was said of the first of them. */
  readonly unanswered: number;
  readonly reasons: readonly string[];
}

/** Queries that are sampled together: enough that their longest responses keep nobody waiting for long. */
const TOGETHER = 256;
const REASONS = 5;

type Graded = GradedSide & { readonly isReference: boolean };

/** Throws what a source throws; what was graded until then is in the grader's journal. */
export async function makePairs(options: MakeOptions): Promise<Making> {
  const { queries, sources, grader, choice, target, signal } = options;
  const perQuery = (query: Query): number => sources.reduce((sum, source) => sum + source.perQuery(query), 0);
  const responses = queries.reduce((sum, query) => sum + perQuery(query), 0);
  const pairOf = createPairs();
  const yields = new Map<string, { -readonly [K in keyof VerifierYield]: VerifierYield[K] }>();
  const skipped: Partial<Record<SkipReason, number>> = {};
  const reasons: string[] = [];
  const sum = { pairs: 0, queries: 0, duplicates: 0, ungraded: 0, graded: 0, unanswered: 0 };
  const ended = (end: Making["end"]): Making => ({
    ...{ end, ...sum, skipped, yields: [...yields.values()], reasons },
    fromJournal: grader.fromJournal(),
  });
  const tell = (): void =>
    options.onProgress?.({
      ...{ pairs: sum.pairs, target, graded: sum.graded, responses },
      fromJournal: grader.fromJournal(),
      yields: [...yields.values()],
    });

  const grade = async (query: Query, response: Response, isReference: boolean): Promise<Graded> => {
    const verdict = response.verdict ?? (await grader.grade(query, response));
    if (!isReference) sum.graded++;
    tell();
    return { response, verdict, isReference };
  };
  /** Starts grading what comes; resolves when all has come. */
  const take = async (block: readonly Query[]): Promise<ReadonlyMap<Query, readonly Promise<Graded>[]>> => {
    const grading = new Map<Query, Promise<Graded>[]>(block.map((query) => [query, []]));
    const begin = (query: Query, response: Response, isReference: boolean): void => {
      const graded = grade(query, response, isReference);
      // Looked at later; until then a failure is nobody's.
      graded.catch(() => undefined);
      grading.get(query)!.push(graded);
    };
    for (const source of sources) {
      for await (const arrival of source.respond(block)) {
        if (signal?.aborted) return grading;
        if ("response" in arrival) begin(arrival.query, arrival.response, false);
        else {
          sum.unanswered++;
          if (reasons.length < REASONS) reasons.push(`line ${arrival.query.line}: ${arrival.failed}`);
        }
      }
    }
    for (const query of block) {
      const reference = options.referenceOf(query);
      if (reference !== undefined) begin(query, reference, true);
    }
    return grading;
  };
  /** The pairs of a query, as far as the target goes. */
  const settle = async (query: Query, all: readonly Graded[]): Promise<void> => {
    const sides = all.map((side): Candidate & { readonly side: Graded } => ({
      ...{ id: side.response.id, text: side.response.text, outcome: side.verdict.outcome },
      isReference: side.isReference,
      side,
    }));
    const { pairs, skip, duplicates } = choosePairs(sides, query.number, choice);
    const counted = all.filter(({ isReference }) => !isReference);
    const kept = pairs.slice(0, target - sum.pairs);
    const own = yieldOf(yields, all[0]?.verdict.verifier ?? "none");
    own.queries++;
    own.responses += counted.length;
    own.outcomes = added(own.outcomes, counted);
    own.pairs += kept.length;
    if (kept.length > 0) own.paired++;
    sum.queries++;
    sum.duplicates += duplicates;
    sum.ungraded += counted.filter(({ verdict }) => verdict.outcome === "infrastructure-error").length;
    if (skip !== undefined) {
      skipped[skip] = (skipped[skip] ?? 0) + 1;
      const { line, parents } = query;
      const seen = added({}, counted);
      await options.onSkipped({ line, parents, reason: skip, responses: counted.length, outcomes: seen });
    }
    for (const { chosen, rejected } of kept) {
      sum.pairs++;
      await options.onPair(pairOf(query, chosen.side, rejected.side));
    }
  };

  // A block's last verdicts are given while the next one is sampled.
  const waiting: ReadonlyMap<Query, readonly Promise<Graded>[]>[] = [];
  const settleFirst = async (): Promise<boolean> => {
    for (const [query, grading] of waiting.shift()!) {
      const graded = await Promise.all(grading);
      if (signal?.aborted) return false;
      await settle(query, graded);
      tell();
      if (sum.pairs >= target) return false;
    }
    return true;
  };
  const end = (): Making => ended(signal?.aborted ? "stopped" : "target");
  for (let from = 0; from < queries.length; from += TOGETHER) {
    waiting.push(await take(queries.slice(from, from + TOGETHER)));
    if (signal?.aborted) return end();
    if (waiting.length > 1 && !(await settleFirst())) return end();
  }
  while (waiting.length > 0) if (!(await settleFirst())) return end();
  return ended("complete");
}

const noOutcomes = (): Record<Outcome, number> =>
  Object.fromEntries(outcomes.map((outcome) => [outcome, 0])) as Record<Outcome, number>;

function yieldOf<Y extends VerifierYield>(yields: Map<string, Y>, verifier: string): Y {
  const known = yields.get(verifier);
  if (known !== undefined) return known;
  const fresh = { verifier, queries: 0, responses: 0, outcomes: noOutcomes(), paired: 0, pairs: 0 } as Y;
  yields.set(verifier, fresh);
  return fresh;
}

function added<O extends Readonly<Partial<Record<Outcome, number>>>>(
  counts: O,
  graded: readonly Graded[],
): O {
  const sums: Partial<Record<Outcome, number>> = { ...counts };
  for (const { verdict } of graded) sums[verdict.outcome] = (sums[verdict.outcome] ?? 0) + 1;
  return sums as O;
}
