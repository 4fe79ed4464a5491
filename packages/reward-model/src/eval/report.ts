// What every evaluation says of a scorer, whatever the benchmark: accuracy on pairs by what they are and by how their lengths differ, and how scores go
// with length. Pure: from items and their scores.
import { type Accuracy, wilson } from "@posttrain/data";
import type { Pair, ScoredItem } from "./item.js";
import { mean, pearson, spearman } from "./statistics.js";

/** A line of a benchmark's own table. */
export interface Part {
  readonly name: string;
  /** From 0 to 1. */
  readonly value: number;
  readonly rows: number;
}

export const part = (name: string, value: number, items: readonly ScoredItem[]): Part => ({
  name,
  value,
  rows: items.length,
});

/** By key, in the order in which keys appear. */
export function groupBy<T>(
  values: readonly T[],
  keyOf: (value: T) => string,
): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const value of values) {
    const key = keyOf(value);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [value]);
    else group.push(value);
  }
  return groups;
}

const wins = (scores: readonly number[], [better, worse]: Pair): boolean =>
  (scores[better] as number) > (scores[worse] as number);

/** The share of items all of whose pairs are won; a tie is lost. */
export function shareOf(items: readonly ScoredItem[]): number {
  return mean(items.map(({ item, scores }) => Number(item.pairs.every((pair) => wins(scores, pair)))));
}

/** The share of pairs that are won, over all items together. */
export function pairShare(items: readonly ScoredItem[]): number {
  return mean(items.flatMap(({ item, scores }) => item.pairs.map((pair) => Number(wins(scores, pair)))));
}

export interface NamedAccuracy extends Accuracy {
  readonly name: string;
}

/** How scores go with the length of answers, in characters. Null where nothing varies. */
export interface LengthCorrelation {
  readonly pearson: number | null;
  readonly spearman: number | null;
  /** Pearson's within prompts: of what is above the prompt's mean score and mean length. */
  readonly within_prompts: number | null;
  /** The share of pairs that the rule "the longer one" wins. */
  readonly longer_wins: number | null;
}

export interface Common {
  readonly pairs: Accuracy | null;
  readonly by_length: readonly NamedAccuracy[];
  readonly by_source: readonly NamedAccuracy[];
  readonly by_criterion: readonly NamedAccuracy[];
  readonly length: LengthCorrelation;
}

interface Comparison {
  readonly won: boolean;
  /** Length of the better one less that of the worse, as a share of the longer. */
  readonly difference: number;
  readonly source: string | undefined;
}

const lengthBands: readonly (readonly [name: string, upTo: number])[] = [
  ["better one shorter by more than half", -0.5],
  ["better one shorter", -0.1],
  ["alike within 10 %", 0.1],
  ["better one longer", 0.5],
  ["better one longer by more than half", Number.POSITIVE_INFINITY],
];

export function commonReport(items: readonly ScoredItem[]): Common {
  const compared = items.flatMap(({ item, scores }) =>
    item.pairs.map((pair): Comparison => {
      const [better, worse] = pair.map((i) => item.candidates[i]?.length ?? 0) as [number, number];
      const difference = (better - worse) / Math.max(better, worse, 1);
      return { won: wins(scores, pair), difference, source: item.groups["source"] };
    }),
  );
  const criteria = items.flatMap(({ item, scores }) =>
    Object.entries(item.criteria).flatMap(([name, pairs]) =>
      pairs.map((pair) => ({ name, won: wins(scores, pair) })),
    ),
  );
  const withSource = compared.filter(({ source }) => source !== undefined);
  return {
    pairs: accuracyOf(compared),
    by_length: lengthBands.flatMap(([name, upTo], i) => {
      const from = lengthBands[i - 1]?.[1] ?? Number.NEGATIVE_INFINITY;
      return named(
        name,
        compared.filter(({ difference }) => difference > from && difference <= upTo),
      );
    }),
    by_source: [...groupBy(withSource, ({ source }) => source as string)].flatMap(([name, own]) =>
      named(name, own),
    ),
    by_criterion: [...groupBy(criteria, ({ name }) => name)].flatMap(([name, own]) => named(name, own)),
    length: lengthCorrelation(items, compared),
  };
}

function accuracyOf(compared: readonly { readonly won: boolean }[]): Accuracy | null {
  return compared.length === 0 ? null : wilson(compared.filter(({ won }) => won).length, compared.length);
}

function named(name: string, compared: readonly { readonly won: boolean }[]): readonly NamedAccuracy[] {
  const accuracy = accuracyOf(compared);
  return accuracy === null ? [] : [{ name, ...accuracy }];
}

function lengthCorrelation(items: readonly ScoredItem[], compared: readonly Comparison[]): LengthCorrelation {
  const lengthsOf = ({ item }: ScoredItem): readonly number[] => item.candidates.map(({ length }) => length);
  const centred = (values: readonly number[]): readonly number[] => {
    const middle = mean(values);
    return values.map((value) => value - middle);
  };
  const [scores, lengths] = [items.flatMap((one) => one.scores), items.flatMap(lengthsOf)];
  const differing = compared.filter(({ difference }) => difference !== 0);
  return {
    pearson: pearson(scores, lengths),
    spearman: spearman(scores, lengths),
    within_prompts: pearson(
      items.flatMap((one) => centred(one.scores)),
      items.flatMap((one) => centred(lengthsOf(one))),
    ),
    longer_wins:
      differing.length === 0 ? null : mean(differing.map(({ difference }) => Number(difference > 0))),
  };
}
