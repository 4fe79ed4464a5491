/**
 * PPE. Human preferences: two responses and who won; ties say nothing and are counted. Correctness: 32 responses a prompt with their true scores, and pairs that
 * were drawn to compare; a benchmark is the share of its pairs where the truly better one scores higher, the objective score the plain mean of the five (the
 * Qwen2.5 report's table 15 agrees). The true scores also tell what best-of-n is worth. Data: lmarena-ai/PPE-Human-Preference-V1, PPE-*-Best-of-K.
 */
import { basename, dirname } from "node:path";
import { asDouble, type RowPlace, rowError } from "@posttrain/data";
import {
  answerTo,
  came,
  type EvalItem,
  givenScores,
  newItem,
  type Pair,
  promptOf,
  type Row,
  type ScoredItem,
  textOf,
} from "./item.js";
import { groupBy, type Part, pairShare, part } from "./report.js";
import { mean } from "./statistics.js";

export const isPpeHuman = (row: Row): boolean =>
  "winner" in row && "response_1" in row && "response_2" in row;
export const isPpeCorrectness = (row: Row): boolean =>
  "sampled_conflict_pairs" in row && "scores" in row && "response_1" in row;

const ppeBenchmarks = ["MMLU-Pro", "MATH", "GPQA", "IFEval", "MBPP-Plus"] as const;

export function parsePpeHuman(row: Row, place: RowPlace): EvalItem {
  const prompt = promptOf(row, place, "prompt");
  const candidates = [1, 2].map((i) => answerTo(prompt, textOf(row, `response_${i}`, place)));
  const winner = textOf(row, "winner", place);
  if (!["model_a", "model_b"].includes(winner) && !winner.startsWith("tie")) {
    throw rowError("bad_row", place, `winner: expected model_a, model_b or tie, came ${came(winner)}.`);
  }
  const { language } = row;
  return newItem(place, {
    candidates,
    pairs: winner === "model_a" ? [[0, 1]] : winner === "model_b" ? [[1, 0]] : [],
    ties: winner.startsWith("tie") ? 1 : 0,
    groups: typeof language === "string" ? { language } : {},
    given: givenScores(row, 2, place),
  });
}

export function parsePpeCorrectness(row: Row, place: RowPlace): EvalItem {
  const prompt = promptOf(row, place, "prompt");
  const truth = row["scores"];
  const values = Array.isArray(truth)
    ? truth.map((score) => (typeof score === "boolean" ? Number(score) : asDouble(score)))
    : [];
  if (
    values.length === 0 ||
    !values.every((score) => typeof score === "number" && score >= 0 && score <= 1)
  ) {
    throw rowError(
      "bad_row",
      place,
      `scores: expected the true score of each response, from 0 to 1, came ${came(truth)}.`,
    );
  }
  const candidates = values.map((_, i) => answerTo(prompt, textOf(row, `response_${i + 1}`, place)));
  const listed = row["sampled_conflict_pairs"];
  const isPlace = (i: unknown): boolean =>
    typeof i === "number" && Number.isInteger(i) && i >= 0 && i < values.length;
  if (
    !Array.isArray(listed) ||
    !listed.every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every(isPlace))
  ) {
    throw rowError(
      "bad_row",
      place,
      `sampled_conflict_pairs: expected pairs of places from 0 to ${values.length - 1}, came ${came(listed)}.`,
    );
  }
  const truths = values as readonly number[];
  const differing = (listed as readonly Pair[]).filter(([i, j]) => truths[i] !== truths[j]);
  return newItem(place, {
    candidates,
    pairs: differing.map(([i, j]) => ((truths[i] as number) > (truths[j] as number) ? [i, j] : [j, i])),
    ties: listed.length - differing.length,
    groups: { benchmark: benchmarkOf(row, place) },
    values: truths,
    given: givenScores(row, values.length, place, ["reward_scores"]),
  });
}

/** The row's `benchmark`, else what its file or folder is called after. */
function benchmarkOf(row: Row, { path }: RowPlace): string {
  const plain = (text: string): string => text.toLowerCase().replace(/[^a-z]/g, "");
  const named = row["benchmark"] ?? row["domain"];
  const name = typeof named === "string" ? named : `${basename(dirname(path))}/${basename(path)}`;
  const found = ppeBenchmarks.filter((benchmark) => plain(name).includes(plain(benchmark)));
  return found.length === 1 ? (found[0] as string) : typeof named === "string" ? named : basename(path);
}

export function ppeCorrectnessParts(items: readonly ScoredItem[]): {
  readonly parts: readonly Part[];
  readonly score: number;
  readonly missing: readonly string[];
} {
  const byBenchmark = groupBy(items, ({ item }) => item.groups["benchmark"] as string);
  const parts = [...byBenchmark].map(([benchmark, own]) => part(benchmark, pairShare(own), own));
  return {
    parts,
    score: mean(parts.map(({ value }) => value)),
    missing: ppeBenchmarks.filter((benchmark) => !byBenchmark.has(benchmark)),
  };
}
