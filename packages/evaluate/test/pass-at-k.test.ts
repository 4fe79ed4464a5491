// pass@k against counting all choices, means and their intervals, majorities, and what the measures make of responses.

import { wilson } from "@posttrain/data";
import { expect, test } from "vitest";
import { type Answered, exactMatchMeasure, ifevalMeasure, passMeasure } from "../src/measures.js";
import { majorityOf, meanScore, passAtK } from "../src/pass-at-k.js";
import type { Graded } from "../src/respond.js";
import { findTask, taskNames } from "../src/tasks.js";

/** The share of all choices of k among n samples that hold one of the c that passed. */
function byCounting(n: number, c: number, k: number): number {
  let [with_, all] = [0, 0];
  for (let set = 0; set < 1 << n; set++) {
    const chosen = Array.from({ length: n }, (_, i) => (set >> i) & 1);
    if (chosen.reduce((sum, one) => sum + one, 0) !== k) continue;
    all++;
    if (chosen.slice(0, c).includes(1)) with_++;
  }
  return with_ / all;
}

test("pass@k is the share of all choices of k", () => {
  for (let n = 1; n <= 9; n++)
    for (let c = 0; c <= n; c++)
      for (let k = 1; k <= n; k++) expect(passAtK(n, c, k)).toBeCloseTo(byCounting(n, c, k), 12);
});

test("pass@k of many samples neither overflows nor leaves 0 to 1", () => {
  expect(passAtK(10_000, 1, 1)).toBeCloseTo(1e-4, 12);
  expect(passAtK(10_000, 1, 5_000)).toBeCloseTo(0.5, 9);
  expect(passAtK(10_000, 5_001, 5_000)).toBe(1);
  expect(passAtK(200, 0, 100)).toBe(0);
});

test("the mean of yes-or-no scores has Wilson's interval, to the last digit that matters", () => {
  for (const [passed, total] of [
    [3, 10],
    [0, 5],
    [5, 5],
    [1, 1],
    [50, 1000],
  ] as const) {
    const values = Array.from({ length: total }, (_, i) => (i < passed ? 1 : 0));
    const mean = meanScore(values)!;
    const expected = wilson(passed, total);
    for (const key of ["share", "low", "high"] as const) expect(mean[key]).toBeCloseTo(expected[key], 10);
    if (expected.stderr !== null) expect(mean.stderr).toBeCloseTo(expected.stderr, 10);
  }
});

test("scores that lie closer together leave a smaller interval", () => {
  const [spread, close] = [meanScore([0, 0, 1, 1])!, meanScore([0.4, 0.5, 0.5, 0.6])!];
  expect([spread.share, close.share]).toEqual([0.5, 0.5]);
  expect(close.high - close.low).toBeLessThan((spread.high - spread.low) / 2);
  expect(meanScore([])).toBeNull();
});

test("the majority: equal answers count together, the first of two as large wins, none has no vote", async () => {
  const same = (a: string, b: string): boolean => Number(a) === Number(b);
  expect(await majorityOf(["1", "2", "2.0", undefined], same)).toEqual({ answer: "2", votes: 2, sample: 1 });
  expect(await majorityOf(["1", "2"], same)).toEqual({ answer: "1", votes: 1, sample: 0 });
  expect(await majorityOf([undefined], same)).toBeUndefined();
});

const graded = (outcome: Graded["verdict"]["outcome"], details = {}): Graded => ({
  ...{ prompt: "?", text: "!", finish: "stop", tokens: 1 },
  verdict: { outcome, evidence: "", details },
});

test("pass@k and maj@k leave out what could not be graded", () => {
  const answered: Answered[] = [
    { samples: [graded("pass"), graded("fail")], majority: { answer: "1", votes: 1, outcome: "pass" } },
    { samples: [graded("crash"), graded("timeout")] },
    {
      samples: [graded("pass"), graded("infrastructure-error")],
      majority: { answer: "1", votes: 1, outcome: "pass" },
    },
    { samples: [graded("infrastructure-error"), graded("infrastructure-error")] },
  ];
  const [one, two, majority] = passMeasure([1, 2], true)(answered);
  expect([one!.name, one!.value]).toEqual(["pass@1", expect.objectContaining({ share: 0.5, total: 3 })]);
  expect([two!.name, two!.value]).toEqual(["pass@2", expect.objectContaining({ share: 0.5, total: 2 })]);
  expect([majority!.name, majority!.value]).toEqual([
    "maj@2",
    expect.objectContaining({ correct: 2, total: 3 }),
  ]);
  expect(exactMatchMeasure(answered)[0]!.value).toMatchObject({ correct: 2, total: 5 });
});

test("IFEval's four accuracies", () => {
  const results = (...outcomes: readonly string[]) => outcomes.map((outcome) => ({ outcome }));
  const answered = [
    {
      samples: [
        graded("pass", { instructions: results("pass"), loose: "pass", loose_instructions: results("pass") }),
      ],
    },
    {
      samples: [
        graded("fail", {
          instructions: results("pass", "fail", "fail"),
          loose: "pass",
          loose_instructions: results("pass", "pass", "pass"),
        }),
      ],
    },
    {
      samples: [
        graded("fail", { instructions: results("fail"), loose: "fail", loose_instructions: results("fail") }),
      ],
    },
  ];
  expect(ifevalMeasure(answered).map(({ name, value }) => [name, value!.correct, value!.total])).toEqual([
    ["prompt_level_strict_acc", 1, 3],
    ["inst_level_strict_acc", 2, 5],
    ["prompt_level_loose_acc", 2, 3],
    ["inst_level_loose_acc", 4, 5],
  ]);
});

test("tasks ask with the whole of what a row gives, and only of rows that are theirs", () => {
  const rows: Readonly<Record<string, Record<string, unknown>>> = {
    gsm8k: { question: "QQ", answer: "1\n#### 1" },
    math: { problem: "QQ", solution: "\\boxed{1}" },
    humaneval: { prompt: "QQ", entry_point: "f", test: "", canonical_solution: " 1" },
    mbpp: { text: "QQ", test_list: ["assert f()"], code: "def f(): pass" },
    ifeval: { prompt: "QQ", instruction_id_list: [], kwargs: [] },
  };
  expect(Object.keys(rows)).toEqual(taskNames);
  for (const [name, row] of Object.entries(rows)) {
    expect(findTask(name)!.ask(row)).toContain("QQ");
    expect(findTask(name)!.ask({})).toBeUndefined();
  }
  expect(findTask("mbpp")!.ask(rows["mbpp"]!)).toContain("assert f()");
  expect(findTask("mine")).toBeUndefined();
});
