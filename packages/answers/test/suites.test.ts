// Agreement with published graders, and the list of all cases in which we differ: docs/answer-matching.md names them.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { gradeAnswer } from "../src/index.js";
import { answerSuites, disagrees, readSuite } from "./support/answer-suites.js";

const suites = answerSuites();

test("at least 97 % of all cases agree, and 95 % of each suite of 50 or more", () => {
  const all = suites.flatMap((suite) => suite.cases);
  expect(all.length).toBeGreaterThan(800);
  expect(all.filter((one) => !disagrees(one)).length / all.length).toBeGreaterThanOrEqual(0.97);
  for (const { name, cases } of suites.filter((suite) => suite.cases.length >= 50)) {
    const agreed = cases.filter((one) => !disagrees(one)).length / cases.length;
    expect(agreed, name).toBeGreaterThanOrEqual(0.95);
  }
});

test("docs/answer-matching.md lists every disagreement, and none that is gone", () => {
  const found = suites.flatMap(({ name, cases }) =>
    cases.filter(disagrees).map((one) => `${name} ${one.id}: ${one.expected}, we say ${one.ours}`),
  );
  const document = readFileSync(new URL("../../../docs/answer-matching.md", import.meta.url), "utf8");
  const rows = [...document.matchAll(/^\| `(\w+)` \| `([^`]+)` \| (\S+) \| (\S+) \| .{20,} \|$/gm)];
  const listed = rows.map(([, name, id, expected, ours]) => `${name} ${id}: ${expected}, we say ${ours}`);
  expect(found.sort()).toEqual(listed.sort());
});

test("our own mode gives the verdicts of the Qwen grader and of Math-Verify on a real model's outputs", () => {
  for (const row of readSuite("qwen25_math_outputs_graded")) {
    const verdict = gradeAnswer(String(row["gold"]), String(row["prediction"]));
    expect(verdict.outcome === "pass", `${row["id"]}: ${verdict.evidence}`).toBe(row["expected"]);
    const [gold, response] = [`$${row["gold"]}$`, String(row["prediction"])];
    const theirs = gradeAnswer(gold, response, { mode: "math-verify" }).outcome === "pass";
    expect(theirs, `${row["id"]} in math-verify mode`).toBe(row["math_verify"]);
  }
});

test("Qwen's percent rule holds in Qwen's mode alone", () => {
  const hundredfold = (mode: "own" | "qwen2.5-math" | "hendrycks" | "math-verify" | "gsm8k") =>
    gradeAnswer("50", "5000", { mode, extracted: true }).outcome;
  expect(hundredfold("qwen2.5-math")).toBe("pass");
  for (const mode of ["own", "hendrycks", "math-verify", "gsm8k"] as const)
    expect(hundredfold(mode), mode).toBe("fail");
});

test("what is peculiar to each grader", () => {
  const outcome = (
    mode: "qwen2.5-math" | "hendrycks" | "math-verify" | "gsm8k",
    gold: string,
    response: string,
  ) => gradeAnswer(gold, response, { mode, extracted: true }).outcome;
  // A hundredth, and one part in ten thousand.
  expect(outcome("qwen2.5-math", "50", "0.5")).toBe("pass");
  expect(outcome("qwen2.5-math", "50", "50.004")).toBe("pass");
  expect(outcome("qwen2.5-math", "50", "50.01")).toBe("fail");
  // Six decimals, but whole numbers are not rounded to; 28% is 28, and 28.5% is not 28.5.
  expect(outcome("math-verify", "$0.333333$", "$1/3$")).toBe("pass");
  expect(outcome("math-verify", "$0.33333$", "$1/3$")).toBe("fail");
  expect(outcome("math-verify", "$1000$", "$999.9999999$")).toBe("fail");
  expect(outcome("math-verify", "$28\\%$", "$28$")).toBe("pass");
  expect(outcome("math-verify", "$28.5\\%$", "$28.5$")).toBe("fail");
  // The reference comes first: an inequality is a set, a set is no inequality.
  expect(outcome("math-verify", "$x<3$", "$(-\\infty,3)$")).toBe("pass");
  expect(outcome("math-verify", "$(-\\infty,3)$", "$x<3$")).toBe("fail");
  expect(outcome("hendrycks", "0.5", "\\frac12")).toBe("pass");
  expect(outcome("hendrycks", "\\frac{1}{2}", "\\frac{2}{4}")).toBe("fail");
  expect(outcome("hendrycks", "1, 2", "2, 1")).toBe("fail");
  expect(gradeAnswer("1234", "so\n#### 1,234", { mode: "gsm8k" }).outcome).toBe("pass");
  expect(gradeAnswer("3", "#### 3.0", { mode: "gsm8k" }).outcome).toBe("fail");
});
