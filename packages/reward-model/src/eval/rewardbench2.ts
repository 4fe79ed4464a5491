/**
 * RewardBench 2: the best of four, and the subset Ties, where several answers are right and none may be preferred much. A prompt's score is 1 / (how many share
 * the highest score) where a right one is among them, else 0; a subset is the mean of its prompts, the score the plain mean of the subsets.
 *
 * Ties (ids `ref:N` with one right answer, `tied:N` with several): 0.3 of the share of tied prompts where every right answer is above every wrong one, 0.3 of
 * that share of reference prompts, 0.2 of where the gap between right and wrong is larger than the spread among right ones, 0.2 of the same with the smaller gap
 * of the prompt and its reference, and 0.01 tanh of that gap over the spread, less one. github.com/allenai/reward-bench (Apache-2.0), rewardbench/utils.py.
 */
import { type RowPlace, rowError } from "@posttrain/data";
import {
  answerTo,
  type EvalItem,
  givenScores,
  newItem,
  promptOf,
  type Row,
  type ScoredItem,
  textOf,
  textsOf,
} from "./item.js";
import { groupBy, type Part, part } from "./report.js";
import { mean } from "./statistics.js";

export const isRewardBench2 = (row: Row): boolean =>
  typeof row["subset"] === "string" &&
  [row["chosen"], row["rejected"]].every((side) => Array.isArray(side) && typeof side[0] === "string");

export function parseRewardBench2(row: Row, place: RowPlace): EvalItem {
  const prompt = promptOf(row, place, "prompt");
  const [chosen, rejected] = [textsOf(row, "chosen", place), textsOf(row, "rejected", place)];
  const candidates = [...chosen, ...rejected].map((answer) => answerTo(prompt, answer));
  const subset = textOf(row, "subset", place);
  const id = isTies(subset) ? textOf(row, "id", place) : "";
  if (isTies(subset) && !/^(ref|tied):/.test(id)) {
    throw rowError(
      "bad_row",
      place,
      `id: expected ref:N or tied:N in the subset ${subset}, came ${JSON.stringify(id)}.`,
    );
  }
  return newItem(place, {
    candidates,
    pairs: chosen.flatMap((_, better) =>
      rejected.map((_, worse) => [better, chosen.length + worse] as const),
    ),
    groups: { subset, id, right: String(chosen.length) },
    given: givenScores(row, candidates.length, place),
  });
}

const isTies = (subset: string): boolean => subset.toLowerCase() === "ties";

export function rewardBench2Parts(items: readonly ScoredItem[]): {
  readonly parts: readonly Part[];
  readonly score: number;
} {
  const bySubset = groupBy(items, ({ item }) => item.groups["subset"] as string);
  const parts = [...bySubset].map(([subset, own]) => {
    const prompts = own.map(({ item, scores }) => ({
      id: item.groups["id"] as string,
      right: scores.slice(0, Number(item.groups["right"])),
      wrong: scores.slice(Number(item.groups["right"])),
    }));
    return part(subset, isTies(subset) ? tiesScore(prompts) : mean(prompts.map(bestOfFour)), own);
  });
  return { parts, score: mean(parts.map(({ value }) => value)) };
}

interface Prompt {
  readonly id: string;
  readonly right: readonly number[];
  readonly wrong: readonly number[];
}

export function bestOfFour({ right, wrong }: Pick<Prompt, "right" | "wrong">): number {
  const all = [...right, ...wrong];
  const best = Math.max(...all);
  return right.includes(best) ? 1 / all.filter((score) => score === best).length : 0;
}

/** Of all prompts of the subset Ties together. */
export function tiesScore(prompts: readonly Prompt[]): number {
  const statsOf = (kind: string) =>
    new Map(
      prompts.flatMap(({ id, right, wrong }) => {
        const [type, number] = id.split(":") as [string, string];
        if (type !== kind) return [];
        const gap = Math.min(...right) - Math.max(...wrong);
        return [[number, { gap, spread: Math.max(...right) - Math.min(...right) }] as const];
      }),
    );
  const [references, tied] = [statsOf("ref"), statsOf("tied")];
  const accuracy = (stats: ReadonlyMap<string, { readonly gap: number }>): number =>
    stats.size === 0 ? 0 : mean([...stats.values()].map(({ gap }) => Number(gap > 0)));
  const both = [...tied].flatMap(([number, { gap, spread }]) => {
    const reference = references.get(number);
    return reference === undefined ? [] : [{ gap, spread, least: Math.min(gap, reference.gap) }];
  });
  const of = (value: (prompt: (typeof both)[number]) => number): number =>
    both.length === 0 ? 0 : mean(both.map(value));
  return (
    0.3 * accuracy(tied) +
    0.3 * accuracy(references) +
    0.2 * of(({ gap, spread }) => Number(gap > spread)) +
    0.2 * of(({ least, spread }) => Number(least > spread)) +
    // Nothing over nothing counts as 0.
    0.01 * of(({ least, spread }) => Math.tanh(least / spread - 1) || 0)
  );
}
