// Every entry of bought.ts by every route: the program that solves passes, and says whether it was sealed; no other passes.
import { closeSandboxes, gradeCode, type Route } from "@posttrain/sandbox";
import { afterAll, describe, expect, test } from "vitest";
import { bought } from "./bought.js";
import { gradeInTurn, needsSandbox } from "./support.js";

const long = process.env["POSTTRAIN_TEST_LONG"] === "1";
const limits = { cpuSeconds: 4, wallSeconds: 20 };
afterAll(closeSandboxes);

const routes = [
  ["native", needsSandbox],
  ["wasm", {}],
] as const;

describe.each(routes)("%s", (route: Route, options) => {
  // The tests' side is the same text on both routes: all of them by both in the long run, here a third in WebAssembly.
  const own =
    route === "native"
      ? bought
      : bought
          .filter(({ language }) => ["python", "javascript"].includes(language))
          .filter((_, i) => long || i % 3 === 0);
  test("what solves passes, sealed as the tests allow", options, async () => {
    const verdicts = await Promise.all(
      own.map(async ({ language, tests, honest, sealed }) => {
        const { outcome, evidence, details } = await gradeInTurn(
          { mode: "asserts", language, tests },
          honest,
          { route, limits },
        );
        return { tests, honest, outcome, evidence, sealed: details?.["sealed"] === sealed };
      }),
    );
    expect(verdicts.filter(({ outcome, sealed }) => outcome !== "pass" || !sealed)).toEqual([]);
  });

  test("what does not solve does not pass", options, async () => {
    const verdicts = await Promise.all(
      own
        .flatMap(({ hostile, ...task }, i) => {
          // Likewise one of them for each of the tests.
          const chosen =
            long || route === "native" ? hostile : hostile.filter((_, j) => j === i % hostile.length);
          return chosen.map((source) => ({ ...task, source }));
        })
        .map(async ({ language, tests, source }) => {
          const { outcome, evidence } = await gradeInTurn({ mode: "asserts", language, tests }, source, {
            route,
            // Some loop for ever.
            limits: { ...limits, cpuSeconds: 2 },
          });
          return { tests, source, outcome, evidence };
        }),
    );
    expect(
      verdicts.filter(({ outcome }) => outcome === "pass" || outcome === "infrastructure-error"),
    ).toEqual([]);
  });
});

describe.each(routes)("a checker, %s", (route: Route, options) => {
  const sources = {
    python: "def check(args, got, expected):\n    return (sorted(got) == sorted(args[0]), 'no permutation')",
    javascript:
      "function check(args, got) { return [String([...got].sort()) === String([...args[0]].sort()), 'no permutation']; }",
  };
  test.each(Object.entries(sources))(
    "in %s judges what the program returned",
    options,
    async (language, source) => {
      const task = {
        mode: "calls",
        language: "python",
        entryPoint: "f",
        cases: [{ args: [[3, 1, 2]], expected: null }],
        checker: { language: language as "python", source },
      } as const;
      const grade = async (program: string) => (await gradeCode(task, program, { route, limits })).outcome;
      expect(await grade("def f(a): return a[::-1]")).toBe("pass");
      expect(await grade("def f(a): return a[1:]")).toBe("fail");
      // An object is no plain data, and the program's own doing.
      expect(await grade("class A: pass\ndef f(a): return A()")).toBe("fail");
      expect(await grade("class A: pass\ndef f(a): return [A()]")).toBe("fail");
      // One container in two places is that container for the checker too.
      expect(await grade("def f(a):\n    b = [1]\n    return [b, b]")).not.toBe("infrastructure-error");
      if (route === "wasm") return;
      // Its own answer, which would change the arguments that the checker compares with.
      const answer = (value: string): string =>
        `import os\ndef f(a):\n    os.write(4, b'={"value": ${value}}\\n')\n    return 0`;
      for (const value of [
        '["M", 2, ["l", []]]',
        '["R", 2]',
        '["l", [["o", 0]]]',
        '["b", "xyz"]',
        '["c", "a", "b"]',
      ])
        expect(await grade(answer(value))).toMatch(/^(crash|fail)$/);
    },
  );
});

describe.each(routes)("tests that call nothing, %s", (route: Route, options) => {
  test.each([
    ["python", "def test_f(fixture):\n    assert f(1) == 2", "def f(x): return 2"],
    ["javascript", "function check() { assert.equal(f(1), 2); }", "const f = () => 2;"],
  ] as const)("%s: graded as nobody's failure", options, async (language, tests, source) => {
    const verdict = await gradeCode({ mode: "asserts", language, tests }, source, { route, limits });
    expect(verdict).toMatchObject({ outcome: "infrastructure-error" });
    expect(verdict.evidence).toContain("nothing in them called the program");
  });
});
