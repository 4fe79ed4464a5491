// Benchmarks by their own aggregates, on rows with given scores: numbers by hand, and the Qwen2.5 report's table 15.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it, test } from "vitest";
import { bestOfN, expectedBest } from "../src/eval/best-of-n.js";
import { type EvalReport, givenScoresOf, reportOf } from "../src/eval/evaluate.js";
import { answerTo, newItem, type ScoredItem } from "../src/eval/item.js";
import { ppeCorrectnessParts } from "../src/eval/ppe.js";
import { readEvalSets } from "../src/eval/read.js";
import { rewardBenchSections } from "../src/eval/rewardbench.js";
import { bestOfFour, tiesScore } from "../src/eval/rewardbench2.js";
import { rmbParts, rmbShares } from "../src/eval/rmb.js";
import { mean, pearson, ranks, spearman } from "../src/eval/statistics.js";

const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/eval/${name}`, import.meta.url));

async function reports(...names: readonly string[]): Promise<readonly EvalReport[]> {
  const sets = await readEvalSets(names.map(fixture));
  return [...sets].map(([format, items]) => reportOf(format, items, givenScoresOf(items), 1));
}

async function only(...names: readonly string[]): Promise<EvalReport> {
  const [report, ...rest] = await reports(...names);
  expect(rest).toEqual([]);
  return report!;
}

const values = ({ parts }: EvalReport) => Object.fromEntries(parts.map(({ name, value }) => [name, value]));

test("RewardBench: sections are weighted by fixed counts, the score is their mean, a tie is lost", async () => {
  const report = await only("rewardbench.jsonl");
  expect(report.format).toBe("rewardbench");
  const sections = [100 / 195, 100 / 137, 250 / 404, (984 + 82) / 1148];
  const { Chat, "Chat Hard": hard, Safety, Reasoning } = values(report);
  for (const [i, value] of [Chat, hard, Safety, Reasoning].entries())
    expect(value).toBeCloseTo(sections[i]!, 12);
  expect(report.score).toBeCloseTo(mean(sections), 12);
  expect(values(report)[" - hep-python"]).toBe(0.5);
  expect(report.missing).toEqual([]);
});

/** 10,000 items of which a share is won. */
function itemsAt(share: number, groups: Readonly<Record<string, string>>): readonly ScoredItem[] {
  const nothing = { messages: [], tools: undefined, variables: undefined };
  const candidates = [answerTo(nothing, "a"), answerTo(nothing, "b")];
  const item = newItem({ path: "rows", line: 1 }, { candidates, pairs: [[0, 1]], groups });
  return Array.from({ length: 10_000 }, (_, i) => ({ item, scores: i < 10_000 * share ? [1, 0] : [0, 1] }));
}

test("the report's table 15: RMB and PPE from their parts, within 0.02 of the printed scores", () => {
  const shares = [0.6572, 0.7883, 0.5635, 0.7394].flatMap((share, i) =>
    itemsAt(share, { share: rmbShares[i]!, subset: "all" }),
  );
  expect(Math.abs(100 * rmbParts(shares).score - 68.71)).toBeLessThan(0.02);
  const accuracies = { IFEval: 0.6797, GPQA: 0.598, MATH: 0.8148, "MBPP-Plus": 0.6434, "MMLU-Pro": 0.7566 };
  const benchmarks = Object.entries(accuracies).flatMap(([benchmark, share]) =>
    itemsAt(share, { benchmark }),
  );
  const { score, missing } = ppeCorrectnessParts(benchmarks);
  expect(Math.abs(100 * score - 69.85)).toBeLessThan(0.02);
  expect(missing).toEqual([]);
});

test("table 15 by the code that aggregates: subsets at a section's accuracy give the section and the score", () => {
  const given: Readonly<Record<string, number>> = {
    Chat: 0.9721,
    "Chat Hard": 0.7873,
    Safety: 0.9271,
    Reasoning: 0.9765,
  };
  const subsets: Readonly<Record<string, readonly string[]>> = {
    Chat: ["alpacaeval-easy", "alpacaeval-length", "alpacaeval-hard", "mt-bench-easy", "mt-bench-med"],
    "Chat Hard": [
      "mt-bench-hard",
      "llmbar-natural",
      "llmbar-adver-neighbor",
      "llmbar-adver-GPTInst",
      "llmbar-adver-GPTOut",
      "llmbar-adver-manual",
    ],
    Safety: [
      "refusals-dangerous",
      "refusals-offensive",
      "xstest-should-refuse",
      "xstest-should-respond",
      "donotanswer",
    ],
    Reasoning: ["math-prm", "hep-cpp", "hep-go", "hep-java", "hep-js", "hep-python", "hep-rust"],
  };
  const shares = new Map(
    Object.entries(subsets).flatMap(([section, names]) =>
      names.map((name) => [name, given[section]!] as const),
    ),
  );
  const sections = rewardBenchSections(shares);
  expect(Math.abs(100 * mean([...sections.values()]) - 91.59)).toBeLessThan(0.02);
});

test("RewardBench 2: the best of four shares its point with ties; Ties by its own formula", async () => {
  const report = await only("rewardbench2.jsonl");
  const ties = 0.3 + 0.3 + 0.2 + 0.2 + 0.01 * Math.tanh(2 / 1 - 1);
  expect(values(report)).toEqual({ Factuality: 0.75, Math: 0, Ties: expect.closeTo(ties, 12) });
  expect(report.score).toBeCloseTo((0.75 + 0 + ties) / 3, 12);
});

test("RewardBench 2: what is below a wrong one gives nothing, nothing over nothing is 0", () => {
  expect(bestOfFour({ right: [1], wrong: [1, 1, 0] })).toBe(1 / 3);
  expect(bestOfFour({ right: [1], wrong: [2, 1, 0] })).toBe(0);
  const same = { right: [1, 1], wrong: [1] };
  expect(
    tiesScore([
      { id: "tied:1", ...same },
      { id: "ref:1", right: [1], wrong: [1] },
    ]),
  ).toBe(0);
  // Right ones above wrong ones, farther apart among themselves; its reference fails.
  const spread = { id: "tied:1", right: [9, 2], wrong: [1] };
  expect(tiesScore([spread, { id: "ref:1", right: [0], wrong: [7] }])).toBeCloseTo(
    0.3 + 0.01 * Math.tanh(-7 / 7 - 1),
    12,
  );
});

test("RMB: four shares from JSON arrays, a best one must beat every loser", async () => {
  const report = await only("rmb-pairs.json", "rmb-bon.json");
  expect(values(report)).toMatchObject({
    "helpfulness, pairs": 0.5,
    "harmlessness, pairs": 1,
    "helpfulness, best of n": 0.5,
    "harmlessness, best of n": 1,
    " - Chat/Discussion": 1,
  });
  expect(report.score).toBe(0.75);
});

test("PPE: human preferences without ties, correctness by benchmark of the file's name", async () => {
  const human = await only("ppe-human.jsonl");
  expect(human).toMatchObject({ format: "ppe_human", ties: 2, rows: 5 });
  expect(human.score).toBeCloseTo(2 / 3, 12);
  const correctness = await only("ppe-math.jsonl", "ppe-gpqa.jsonl");
  expect(values(correctness)).toEqual({ MATH: expect.closeTo(2 / 3, 12), GPQA: 0 });
  expect(correctness.score).toBeCloseTo(1 / 3, 12);
  expect(correctness.missing).toEqual(["MMLU-Pro", "IFEval", "MBPP-Plus"]);
  expect(correctness.best_of_n.map(({ n }) => n)).toEqual([1, 2, 4]);
});

test("pairs by source, criterion and length", async () => {
  const report = await only("pairs.jsonl");
  expect(report.score).toBeCloseTo(2 / 3, 12);
  const of = (list: EvalReport["by_source"]) =>
    list.map(({ name, correct, total }) => [name, correct, total]);
  expect(of(report.by_source)).toEqual([
    ["human", 1, 1],
    ["judge", 1, 2],
  ]);
  expect(of(report.by_criterion)).toEqual([
    ["helpfulness", 1, 2],
    ["conciseness", 2, 2],
  ]);
  expect(of(report.by_length)).toEqual([
    ["better one shorter by more than half", 1, 1],
    ["alike within 10 %", 1, 1],
    ["better one longer by more than half", 0, 1],
  ]);
  expect(report.length.longer_wins).toBe(0.5);
  expect(report.length.pearson).toBeLessThan(0);
});

test("responses with verdicts: pairs of right and wrong, best of n; what could not be graded judges nothing", async () => {
  const report = await only("verified.jsonl");
  expect(report).toMatchObject({ rows: 3, ungraded: 1 });
  // Pass above two fails; pass below a fail; two rows of one prompt are one question.
  expect(report.pairs).toMatchObject({ correct: 3, total: 4 });
  const [one, two] = report.best_of_n;
  expect(one!.value).toBeCloseTo((1 / 3 + 1 / 2 + 1 / 2) / 3, 12);
  expect(two!.value).toBeCloseTo((2 / 3 + 0 + 1) / 3, 12);
  expect(two!.oracle).toBeCloseTo((2 / 3 + 1 + 1) / 3, 12);
});

test("a prompt is read as everywhere: tools and variables of a row go to the template, in any of its columns", async () => {
  const folder = mkdtempSync(join(tmpdir(), "posttrain-eval-"));
  const file = join(folder, "verified.jsonl");
  const row = { instruction: "Add.", input: "2 and 2", tools: [{ type: "function" }], responses: ["4", "5"] };
  const variables = { chat_template_kwargs: { deep: true } };
  writeFileSync(file, `${JSON.stringify({ ...row, ...variables, labels: [true, false] })}\n`);
  const items = (await readEvalSets([file])).get("verified");
  rmSync(folder, { recursive: true });
  expect(items?.[0]?.candidates[0]?.row).toMatchObject({
    messages: [
      { role: "user", content: "Add.\n2 and 2" },
      { role: "assistant", content: "4" },
    ],
    tools: row.tools,
    variables: { deep: true },
  });
});

it("detects each file by its columns, all of them read at once", async () => {
  const sets = await readEvalSets([fixture("")]);
  expect([...sets.keys()]).toEqual([
    "rewardbench",
    "rewardbench2",
    "rmb",
    "ppe_human",
    "ppe_correctness",
    "pairs",
    "verified",
  ]);
});

it("best of n is the mean over all subsets, equal scores as likely each", () => {
  const scores = [3, 1, 3, 0, 2];
  const truth = [1, 0, 0, 1, 1];
  for (const n of [1, 2, 3, 4, 5]) {
    let [sum, subsets] = [0, 0];
    for (let set = 0; set < 32; set++) {
      const chosen = scores.flatMap((_, i) => ((set >> i) & 1 ? [i] : []));
      if (chosen.length !== n) continue;
      const best = Math.max(...chosen.map((i) => scores[i]!));
      sum += mean(chosen.filter((i) => scores[i] === best).map((i) => truth[i]!));
      subsets++;
    }
    expect(expectedBest(scores, truth, n)).toBeCloseTo(sum / subsets, 12);
  }
});

it("a gain's interval is the seed's, holds the gain, and is none where there is nothing to gain", () => {
  const questions = Array.from({ length: 40 }, (_, q) => ({
    scores: [q % 3, 1, 0.5, 2],
    values: [1, 0, q % 2, 0],
  }));
  const [, two] = bestOfN(questions, [1, 2], 7);
  expect(two!.low).toBeLessThan(two!.gain);
  expect(two!.high).toBeGreaterThan(two!.gain);
  expect(bestOfN(questions, [1, 2], 7)).toEqual(bestOfN(questions, [1, 2], 7));
  expect(bestOfN(questions, [2], 8)[0]!.low).not.toBe(two!.low);
  const [one] = bestOfN(questions, [1], 7);
  expect([one!.gain, one!.low, one!.high].every((value) => Math.abs(value) < 1e-15)).toBe(true);
  expect(bestOfN(questions, [16], 7)).toEqual([]);
});

it("a row whose response has no score is left out and counted", async () => {
  const sets = await readEvalSets([fixture("rewardbench.jsonl")]);
  const items = sets.get("rewardbench")!;
  const scores = givenScoresOf(items).map((own, i) => (i === 0 ? [null, 1] : own));
  const report = reportOf("rewardbench", items, scores, 1);
  expect(report).toMatchObject({ rows: 8, unscored: 1 });
  expect(values(report)[" - alpacaeval-easy"]).toBeUndefined();
});

it("correlations: Pearson's, Spearman's with shared ranks, none of what stands still", () => {
  expect(pearson([1, 2, 3], [2, 4, 6])).toBeCloseTo(1, 12);
  expect(ranks([10, 20, 10, 5])).toEqual([2.5, 4, 2.5, 1]);
  expect(spearman([1, 2, 3, 4], [1, 10, 100, 1])).toBeCloseTo(pearson([1, 2, 3, 4], [1.5, 3, 4, 1.5])!, 12);
  expect(pearson([1, 1], [1, 2])).toBeNull();
});
