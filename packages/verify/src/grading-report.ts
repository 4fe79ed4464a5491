/** What many verdicts come to: by verifier, with times, the slowest, and the first that did not pass. */
import { asDouble, type Outcome, outcomes } from "@posttrain/data";
import type { GradedResponse } from "./registry.js";

export interface GradedPlace {
  readonly line: number;
  /** Of several responses in a row, counted from 0. */
  readonly sample: number;
}

export type PlacedVerdict = GradedPlace & Omit<GradedResponse, "details">;

export interface VerifierSummary {
  readonly verifier: string;
  readonly responses: number;
  readonly outcomes: Readonly<Record<Outcome, number>>;
  readonly seconds: { readonly mean: number; readonly median: number; readonly most: number };
  /** Mean of the scores, for verifiers that give one. */
  readonly score?: number;
}

export interface GradingReport {
  readonly responses: number;
  readonly outcomes: Readonly<Record<Outcome, number>>;
  readonly verifiers: readonly VerifierSummary[];
  /** Passed or failed with tests that ran beside the candidate, which it could have looked for. */
  readonly unsealed: number;
  readonly slowest: readonly PlacedVerdict[];
  readonly failures: readonly PlacedVerdict[];
  /** The first of those that could not be graded. */
  readonly ungraded: readonly PlacedVerdict[];
}

export interface ReportBuilder {
  add(verdict: GradedResponse, place: GradedPlace): void;
  report(): GradingReport;
}

const SHOWN = 5;

const noOutcomes = (): Record<Outcome, number> =>
  Object.fromEntries(outcomes.map((outcome) => [outcome, 0])) as Record<Outcome, number>;

interface Tally {
  readonly outcomes: Record<Outcome, number>;
  readonly seconds: number[];
  scores: number;
  score: number;
}

export function createReport(): ReportBuilder {
  const tallies = new Map<string, Tally>();
  const all = noOutcomes();
  let responses = 0;
  let unsealed = 0;
  let slowest: PlacedVerdict[] = [];
  const failures: PlacedVerdict[] = [];
  const ungraded: PlacedVerdict[] = [];
  return {
    add(verdict, place) {
      const { outcome, verifier, seconds, evidence, details } = verdict;
      const placed = { ...place, outcome, verifier, seconds, evidence };
      responses++;
      all[outcome]++;
      const tally = tallies.get(verifier) ?? { outcomes: noOutcomes(), seconds: [], scores: 0, score: 0 };
      tallies.set(verifier, tally);
      tally.outcomes[outcome]++;
      tally.seconds.push(seconds);
      const score = asDouble(details?.["score"]);
      if (typeof score === "number") {
        tally.scores++;
        tally.score += score;
      }
      if (details?.["sealed"] === false) unsealed++;
      if (slowest.length < SHOWN || seconds > slowest.at(-1)!.seconds)
        slowest = [...slowest, placed].sort((a, b) => b.seconds - a.seconds).slice(0, SHOWN);
      const list = outcome === "infrastructure-error" ? ungraded : outcome === "pass" ? undefined : failures;
      if (list !== undefined && list.length < SHOWN) list.push(placed);
    },
    report: () => ({
      responses,
      outcomes: all,
      verifiers: [...tallies].map(([verifier, tally]) => summaryOf(verifier, tally)),
      unsealed,
      slowest,
      failures,
      ungraded,
    }),
  };
}

function summaryOf(verifier: string, { outcomes: counts, seconds, scores, score }: Tally): VerifierSummary {
  const sorted = seconds.toSorted((a, b) => a - b);
  const total = sorted.reduce((sum, one) => sum + one, 0);
  return {
    verifier,
    responses: sorted.length,
    outcomes: counts,
    seconds: {
      mean: total / sorted.length,
      median: sorted[Math.floor(sorted.length / 2)]!,
      most: sorted.at(-1)!,
    },
    ...(scores > 0 && { score: score / scores }),
  };
}
