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
