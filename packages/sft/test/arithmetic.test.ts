// The arithmetic builder against a checker that knows nothing of how the steps are made: every step is read back and computed.
import { expect, test } from "vitest";
import {
  type ArithmeticOptions,
  arithmeticKinds,
  arithmeticProblem,
  arithmeticQuestion,
  arithmeticRow,
  distinctArithmeticProblems,
  extractArithmeticAnswer,
  isArithmeticCorrect,
  isHeldOut,
  longOperands,
  shortOperands,
} from "../src/index.js";

const training: ArithmeticOptions = { seed: 1, split: "training", lengths: shortOperands };
const heldOut: ArithmeticOptions = { ...training, split: "heldOut" };
const rows = Array.from({ length: 6000 }, (_, i) => arithmeticRow(arithmeticProblem(i, training)));

/** Of text like 8+4+1, or a single product. */
function evaluate(expression: string): number {
  const product = /^(\d+)\*(\d+)$/.exec(expression);
  if (product) return Number(product[1]) * Number(product[2]);
  return [...expression.matchAll(/([+-]?)(\d+)/g)].reduce(
    (sum, [, sign, n]) => sum + (sign === "-" ? -1 : 1) * Number(n),
    0,
  );
}

test("answers are true, and every worked step is a true equation that yields the answer's digits", () => {
  for (const row of rows) {
    const [a, b] = row.operands;
    const truth = { addition: a + b, subtraction: a - b, multiplication: a * b }[row.kind];
    expect(row.answer).toBe(truth);
    const lines = row.messages[1].content.split("\n");
    expect(lines.pop()).toBe(`Answer: ${truth}`);
    const values = lines.map((line) => {
      const [left = "", right] = line.split("=");
      expect(evaluate(left), line).toBe(Number(right));
      return Number(right);
    });
    // After the first column a multiplication takes two lines: the product, then the carry added.
    const columns = row.kind === "multiplication" ? values.filter((_, i) => i % 2 === 0) : values;
    const digits = columns.map((value, i) => (i === columns.length - 1 ? value : value % 10));
    expect(Number(digits.reverse().join("")), lines.join()).toBe(truth);
  }
});

test("steps as a person would write them", () => {
  const answerTo = (kind: (typeof arithmeticKinds)[number], a: number, b: number, answer: number) =>
    arithmeticRow({ kind, operands: [a, b], answer }).messages;
  expect(answerTo("addition", 385, 47, 432)).toEqual([
    { role: "user", content: "What is 385 + 47?" },
    { role: "assistant", content: "5+7=12\n8+4+1=13\n3+0+1=4\nAnswer: 432" },
  ]);
  expect(answerTo("subtraction", 385, 47, 338)[1].content).toBe("15-7=8\n8-4-1=3\n3-0-0=3\nAnswer: 338");
  expect(answerTo("subtraction", 400, 1, 399)[1].content).toBe("10-1=9\n10-0-1=9\n4-0-1=3\nAnswer: 399");
  expect(answerTo("multiplication", 47, 6, 282)[1].content).toBe("7*6=42\n4*6=24\n24+4=28\nAnswer: 282");
  expect(answerTo("addition", 0, 7, 7)[1].content).toBe("0+7=7\nAnswer: 7");
});

test("kinds in equal shares, every mix of lengths, subtraction never negative", () => {
  const seen = new Map<string, number>();
  for (const { kind, operands, answer, difficulty } of rows) {
    const lengths = operands.map((n) => String(n).length);
    const key = `${kind} ${lengths.join("x")}`;
    seen.set(key, (seen.get(key) ?? 0) + 1);
    expect(answer).toBeGreaterThanOrEqual(0);
    expect(difficulty).toBe(Math.max(...lengths));
  }
  const share = (kind: string) =>
    [...seen].filter(([key]) => key.startsWith(kind)).reduce((sum, [, n]) => sum + n, 0);
  expect(arithmeticKinds.map(share)).toEqual([2000, 2000, 2000]);
  expect([...seen.keys()].filter((key) => key.startsWith("addition"))).toHaveLength(9);
  expect([...seen.keys()].filter((key) => key.startsWith("subtraction")).sort()).toEqual([
    "subtraction 1x1",
    "subtraction 2x1",
    "subtraction 2x2",
    "subtraction 3x1",
    "subtraction 3x2",
    "subtraction 3x3",
  ]);
  expect([...seen.keys()].filter((key) => key.startsWith("multiplication"))).toEqual(["multiplication 2x1"]);
});

test("no pair of operands is in a training set and an evaluation, in whatever order, kind or seed", () => {
  const pairOf = ([a, b]: readonly [number, number]) => `${Math.min(a, b)} ${Math.max(a, b)}`;
  const trained = new Set(rows.map(({ operands }) => pairOf(operands)));
  for (const seed of [1, 2, 3]) {
    const asked = distinctArithmeticProblems(500, { ...heldOut, seed });
    expect(asked.filter(({ operands }) => trained.has(pairOf(operands)))).toEqual([]);
  }
  expect(isHeldOut([385, 47])).toBe(isHeldOut([47, 385]));
  let share = 0;
  for (let a = 0; a < 100; a++) for (let b = a; b < 100; b++) share += isHeldOut([a, b]) ? 1 : 0;
  expect(share / 5050).toBeGreaterThan(0.23);
  expect(share / 5050).toBeLessThan(0.27);
});

test("500 held-out problems are 500 different questions in equal shares", () => {
  const problems = distinctArithmeticProblems(500, heldOut);
  expect(new Set(problems.map(arithmeticQuestion)).size).toBe(500);
  expect(arithmeticKinds.map((kind) => problems.filter((p) => p.kind === kind).length)).toEqual([
    167, 167, 166,
  ]);
  expect(() => distinctArithmeticProblems(3000, heldOut)).toThrow(RangeError);
});

test("long operands are longer than any in training", () => {
  for (const { kind, operands } of distinctArithmeticProblems(300, { ...heldOut, lengths: longOperands })) {
    expect(String(Math.max(...operands))).toHaveLength(kind === "multiplication" ? 3 : 4);
  }
});

test("a problem is a function of seed and index", () => {
  expect(arithmeticProblem(4321, training)).toEqual(arithmeticProblem(4321, { ...training }));
  const other = Array.from({ length: 100 }, (_, i) => arithmeticProblem(i, { ...training, seed: 2 }));
  expect(other.filter((p, i) => p.operands.join() === rows[i]?.operands.join()).length).toBeLessThan(20);
});

test("only a finished response whose last line is the answer counts", () => {
  const problem = arithmeticProblem(0, heldOut);
  const right = arithmeticRow(problem).messages[1].content;
  const grade = (text: string, finish: "stop" | "length" = "stop") =>
    isArithmeticCorrect(problem, { text, finish });
  expect(grade(right)).toBe(true);
  expect(grade(`${right}\n`)).toBe(true);
  expect(grade(right, "length")).toBe(false);
  expect(grade(`${right}0`)).toBe(false);
  expect(grade(right.replace("Answer: ", ""))).toBe(false);
  expect(grade(right.replace("Answer: ", "Answer: 0"))).toBe(false);
  expect(grade(`${right} or so`)).toBe(false);
  expect(grade(`${right}\nAnswer: ${problem.answer + 1}`)).toBe(false);
  expect(grade(`Answer: ${problem.answer + 1}\n${right}`)).toBe(true);
  expect(extractArithmeticAnswer("The Answer: 12")).toBeUndefined();
  expect(extractArithmeticAnswer("")).toBeUndefined();
});
