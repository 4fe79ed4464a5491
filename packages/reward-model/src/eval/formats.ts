// The benchmarks that a row may be of, told by its columns, in this order.
import type { RowPlace } from "@posttrain/data";
import type { EvalItem, Row, ScoredItem } from "./item.js";
import { gatherPrompts, isPairs, isVerified, parsePairs, parseVerified } from "./pairs.js";
import {
  isPpeCorrectness,
  isPpeHuman,
  parsePpeCorrectness,
  parsePpeHuman,
  ppeCorrectnessParts,
} from "./ppe.js";
import { groupBy, type Part, pairShare, part } from "./report.js";
import { isRewardBench, parseRewardBench, rewardBenchParts } from "./rewardbench.js";
import { isRewardBench2, parseRewardBench2, rewardBench2Parts } from "./rewardbench2.js";
import { isRmb, parseRmb, rmbParts } from "./rmb.js";

export interface Aggregate {
  readonly parts: readonly Part[];
  /** What the benchmark is known by, from 0 to 1. */
  readonly score: number;
  /** Parts of the benchmark of which no row is there: the score is no benchmark's then. */
  readonly missing?: readonly string[];
}

interface Format {
  readonly title: string;
  readonly matches: (row: Row) => boolean;
  readonly parse: (row: Row, place: RowPlace) => EvalItem;
  readonly gather?: (items: readonly EvalItem[]) => readonly EvalItem[];
  readonly aggregate: (items: readonly ScoredItem[]) => Aggregate;
}

export const evalFormats = [
  "rewardbench",
  "rewardbench2",
  "rmb",
  "ppe_human",
  "ppe_correctness",
  "pairs",
  "verified",
] as const;
export type EvalFormat = (typeof evalFormats)[number];

/** Pairs by their subset, where they have one. */
const plainAggregate = (items: readonly ScoredItem[]): Aggregate => {
  const named = items.filter(({ item }) => item.groups["subset"] !== undefined);
  const groups = groupBy(named, ({ item }) => item.groups["subset"] as string);
  return {
    parts: [...groups].map(([name, own]) => part(name, pairShare(own), own)),
    score: pairShare(items),
  };
};

export const formats: Readonly<Record<EvalFormat, Format>> = {
  rewardbench: {
    title: "RewardBench",
    matches: isRewardBench,
    parse: parseRewardBench,
    aggregate: rewardBenchParts,
  },
  rewardbench2: {
    title: "RewardBench 2",
    matches: isRewardBench2,
    parse: parseRewardBench2,
    aggregate: rewardBench2Parts,
  },
  rmb: { title: "RMB", matches: isRmb, parse: parseRmb, aggregate: rmbParts },
  ppe_human: {
    title: "PPE, human preferences",
    matches: isPpeHuman,
    parse: parsePpeHuman,
    aggregate: plainAggregate,
  },
  ppe_correctness: {
    title: "PPE, correctness",
    matches: isPpeCorrectness,
    parse: parsePpeCorrectness,
    aggregate: ppeCorrectnessParts,
  },
  verified: {
    title: "responses with verdicts",
    matches: isVerified,
    parse: parseVerified,
    gather: gatherPrompts,
    aggregate: plainAggregate,
  },
  pairs: { title: "pairs", matches: isPairs, parse: parsePairs, aggregate: plainAggregate },
};

export function formatOf(row: Row): EvalFormat | undefined {
  return evalFormats.find((name) => formats[name].matches(row));
}
