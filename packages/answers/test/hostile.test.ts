// Answers made to hang, to overflow or to fill the memory: a verdict in under a second, in this process and in the pool.
import { readFileSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { skipUnless } from "../../../tests/support/skip.js";
import {
  answerModes,
  createAnswerGrader,
  extractAnswer,
  gradeAnswer,
  openInstructScorers,
} from "../src/index.js";

const times = (text: string, count: number): string => text.repeat(count);
const roots = Array.from({ length: 390 }, (_, i) => `\\sqrt{${i}}`);

/** Name, reference, response. None of the responses is right. */
const hostile: readonly (readonly [string, string, string])[] = [
  ["tower", "10^{10^{10}}+1", "\\boxed{10^{10^{10}}}"],
  ["higher tower", "5", "\\boxed{9^{9^{9^{9}}}}"],
  ["exponential tower", "5", "\\boxed{e^{e^{e^{e^{e}}}}}"],
  ["negative tower", "5", "\\boxed{\\frac{1}{10^{-10^{10}}}}"],
  ["factorials of factorials", "5", "\\boxed{((((9!)!)!)!)!}"],
  ["5,000 braces", "5", `\\boxed{${times("{", 5000)}5${times("}", 5000)}}`],
  ["5,000 open braces", "5", `\\boxed{${times("{", 5000)}`],
  ["megabytes of phrases", "5", times("the answer is ", 300_000)],
  ["megabytes in a box", "5", `\\boxed{${times("1+", 1_000_000)}1}`],
  ["dollars", "5", times("$", 200_000)],
  ["boxes", "5", times("\\boxed{1} and ", 20_000)],
  ["nested fractions", "5", `\\boxed{${times("\\frac{1}{", 60)}2${times("}", 60)}}`],
  ["bare fractions", "5", `\\boxed{${times("\\frac1", 900)}}`],
  ["sums of sums", "5", "\\boxed{\\sum_{a=1}^{399}\\sum_{b=1}^{399}\\sum_{c=1}^{399}abc}"],
  ["large powers", "x", `\\boxed{${times("(x+1)^{999}", 300)}}`],
  ["nested sines", "5", `\\boxed{${times("\\sin(", 60)}x${times(")", 60)}}`],
  ["nested roots", "\\sqrt{2}", `\\boxed{${times("\\sqrt{2+", 62)}2${times("}", 62)}}`],
  ["lists in another order", roots.join(","), `\\boxed{${[...roots.slice(1), "7"].reverse().join(",")}}`],
  ["products of matrices", "5", `\\boxed{${times("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", 100)}}`],
  ["digits", "5", `\\boxed{${times("9", 3900)}}`],
  [
    "long coefficients",
    `${times("9", 1800)}x^{50}`,
    `\\boxed{${times("9", 1900)}x^{51}+${times("8", 1900)}}`,
  ],
  ["words", "7", `\\boxed{5 ${times("a ", 1900)}}`],
  ["words before a digit", "5", `\\boxed{5${times("a ", 1900)}7}`],
  ["texts", "5", `\\boxed{${times("\\text{a", 900)}}`],
  ["equations in brackets", "5", `\\boxed{${times("x=1,(", 60)}}`],
  ["equations of brackets", "x=1", `\\boxed{${times("(x=1,", 30)}2${times(")=2", 30)}}`],
  ["bars", "5", `\\boxed{${times("|", 500)}x${times("|", 500)}}`],
  ["signs", "7", `\\boxed{${times("-", 3000)}5}`],
  ["superscripts", "5", `\\boxed{${times("²", 3000)}}`],
  ["broken characters", "5", `\\boxed{\u0000\u0000${times("\ud800", 1000)}}`],
  ["binomial", "5", "\\boxed{\\binom{10^{9}}{1999}}"],
  ["logarithm", "5", "\\boxed{\\log_{2}{10^{10^{5}}}}"],
  ["root of digits", "5", `\\boxed{\\sqrt[64]{${times("7", 3000)}}}`],
  ["answer lines", "5", times("answer: ", 50_000)],
  ["final answers", "5", times("final answer ", 50_000)],
  ["brackets", "5", times(" [", 100_000)],
  ["backslashes", "5", times("\\", 200_000)],
  ["tags", "5", times("<answer>", 50_000)],
  ["numbers", "5", times("1,", 100_000)],
  ["spaced numbers", "5", times("1 000 ", 50_000)],
  ["operators", "5", times("1+", 100_000)],
  ["equals signs", "5", times("= 1+1", 40_000)],
  ["a heading of spaces", "5", `# answer${times(" ", 200_000)}x`],
  ["explanations", "73", `The answer is 72${times("; ", 100_000)}`],
  ["second answers", "73", `The answer is 72;${times(" 74", 50_000)}`],
  ["retractions", "73", `The answer is 72.${times("\nor 7 times.", 20_000)}`],
  ["choices between choices", "D", `\\boxed{(B) ${times("or ", 1_300)}C}`],
  ["scales", "5", `\\boxed{${times("3万", 1_900)}}`],
  ["thoughts", "5", times("<think></think>", 20_000)],
];

const LIMIT_MS = 1_000;

/** Processor time, since a busy machine says nothing about an answer. */
function spent(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

test.each(hostile)("%s: no pass, and in under a second, in every mode", (_, reference, response) => {
  for (const mode of answerModes) {
    for (const extraction of mode === "own" ? (["strict", "lenient"] as const) : (["strict"] as const)) {
      let outcome: string | undefined;
      const time = spent(() => {
        outcome = gradeAnswer(reference, response, { mode, extraction }).outcome;
      });
      expect(time, mode).toBeLessThan(LIMIT_MS);
      expect(["fail", "unparseable", "timeout"], mode).toContain(outcome);
    }
  }
  for (const scorer of Object.values(openInstructScorers)) {
    const time = spent(() => expect(scorer(response, reference)).toBeLessThanOrEqual(1));
    expect(time).toBeLessThan(LIMIT_MS);
  }
});

test.each([
  ["(1+i)e^{500000}", "(1+i)e^{400000}"],
  ["(1+i)\\cdot e^{500000}", "2e^{500000}i"],
  ["2^{999999.9}", "-2^{999999.9}+\\pi"],
])("at the end of the range of numbers %s is not %s, and says so", (reference, answer) => {
  for (const mode of ["own", "math-verify"] as const)
    expect(["fail", "unparseable"]).toContain(
      gradeAnswer(reference, answer, { mode, extracted: true }).outcome,
    );
});

test("10^10^10 overflows: it is itself and nothing else", () => {
  const outcome = (reference: string, answer: string) =>
    gradeAnswer(reference, answer, { extracted: true, mode: "own" }).outcome;
  expect(outcome("10^{10^{10}}", "10^{10^{10}}")).toBe("pass");
  for (const other of [
    "1",
    "10^{10^{10}}+1",
    "\\infty",
    "10^{10^{10}}-10^{10^{10}}",
    "2\\cdot10^{10^{10}}",
  ]) {
    expect(outcome("10^{10^{10}}", other), other).not.toBe("pass");
  }
});

test("extraction of a megabyte is linear", () => {
  const responses = [times("\\boxed{", 200_000), times("answer is $", 100_000), times("é", 1_000_000)];
  const time = spent(() => {
    for (const response of responses) extractAnswer(response, { extraction: "lenient" });
  });
  expect(time).toBeLessThan(2_000);
});

const grader = createAnswerGrader({ workers: 2 });
afterAll(() => grader.close());

test("the pool grades hostile and honest answers side by side, in order", async () => {
  const requests = hostile.flatMap(([, reference, response], i) => [
    { reference, response },
    { reference: `${i}`, response: `\\boxed{${i % 2 === 0 ? i : i + 1}}` },
  ]);
  const verdicts = await grader.gradeAll(requests);
  expect(verdicts).toHaveLength(requests.length);
  for (const [i, { outcome, evidence }] of verdicts.entries()) {
    if (i % 2 === 0)
      expect(["fail", "unparseable", "timeout"], `${hostile[i / 2]?.[0]}: ${evidence}`).toContain(outcome);
    else expect(outcome, evidence).toBe(((i - 1) / 2) % 2 === 0 ? "pass" : "fail");
  }
});

test("the pool gives the verdicts that the function gives", async () => {
  const request = {
    reference: "\\frac12",
    response: "\\boxed{50}",
    options: { mode: "qwen2.5-math" },
  } as const;
  expect(await grader.grade(request)).toEqual(
    gradeAnswer(request.reference, request.response, request.options),
  );
});

const childrenFile = `/proc/self/task/${process.pid}/children`;
const children = (): number[] =>
  readFileSync(childrenFile, "utf8")
    .split(" ")
    .filter((pid) => pid !== "")
    .map(Number);
const procfs = (() => {
  try {
    children();
    return true;
  } catch {
    return false;
  }
})();

test(
  "a process that is killed or hangs is replaced",
  skipUnless(procfs, "no list of children in /proc", ""),
  async () => {
    const before = children();
    await using own = createAnswerGrader({ timeoutMs: 200 });
    expect((await own.grade({ reference: "5", response: "\\boxed{5}" })).outcome).toBe("pass");
    const [pid] = children().filter((child) => !before.includes(child));
    if (pid === undefined) throw new Error("the grader started no process");

    // Stopped, it uses no CPU: tried again on a new process once the wall limit is over, and nothing behind it is lost.
    process.kill(pid, "SIGSTOP");
    const verdicts = own.gradeAll([
      { reference: "5", response: "\\boxed{5}" },
      { reference: "6", response: "\\boxed{5}" },
    ]);
    expect((await verdicts).map(({ outcome }) => outcome)).toEqual(["pass", "fail"]);
    expect(children()).not.toContain(pid);

    const [second] = children().filter((child) => !before.includes(child));
    if (second === undefined) throw new Error("the grader started no second process");
    process.kill(second, "SIGKILL");
    // One death is the machine's: everything is graded again.
    const requests = Array.from({ length: 40 }, (_, i) => ({ reference: `${i}`, response: `\\boxed{${i}}` }));
    const after = await own.gradeAll(requests);
    expect(after.map(({ outcome }) => outcome)).toEqual(requests.map(() => "pass"));
  },
);

test("a closed grader rejects, and a wrong option names itself", async () => {
  const closed = createAnswerGrader();
  await closed.close();
  await expect(closed.grade({ reference: "1", response: "1" })).rejects.toThrow("closed");
  expect(() => createAnswerGrader({ workers: 0 })).toThrow(/workers: .* and 0 came/);
  expect(() => createAnswerGrader({ timeoutMs: 1 })).toThrow(/timeoutMs: .* and 1 came/);
});

test("10,000 comparisons of real answers take under 5 seconds", () => {
  const path = new URL("./fixtures/math_references.json", import.meta.url);
  const references: string[] = JSON.parse(readFileSync(path, "utf8"));
  const time = spent(() => {
    for (let i = 0; i < 10_000; i++) {
      const reference = references[i % references.length] ?? "";
      const answer = i % 3 === 0 ? reference : (references[(i * 7) % references.length] ?? "");
      gradeAnswer(reference, `Therefore $\\boxed{ ${answer} }$.`);
    }
  });
  expect(time).toBeLessThan(5_000);
});
