// Every entry of bought.ts by every route: the program that solves passes, and says whether it was sealed; no other passes.
import { closeSandboxes, gradingPool, nativeSelfTest, type Route } from "@posttrain/verify";
import { afterAll, describe, expect, test } from "vitest";
import { bought } from "./bought.js";
import { needsSandbox } from "./support.js";

const limits = { cpuSeconds: 4, wallSeconds: 20 };
await nativeSelfTest();
afterAll(closeSandboxes);

const routes = [
  ["native", needsSandbox],
  ["wasm", {}],
] as const;

describe.each(routes)("%s", { timeout: 300_000 }, (route: Route, options) => {
  const own = bought.filter(
    ({ language }) => route === "native" || ["python", "javascript"].includes(language),
  );
  test("what solves passes, sealed as the tests allow", options, async () => {
    const pool = gradingPool(2);
    const verdicts = await Promise.all(
      own.map(async ({ language, tests, honest, sealed }) => {
        const { outcome, evidence, details } = await pool.grade(
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
    const pool = gradingPool(2);
    const verdicts = await Promise.all(
      own
        .flatMap(({ hostile, ...task }) => hostile.map((source) => ({ ...task, source })))
        .map(async ({ language, tests, source }) => {
          const { outcome, evidence } = await pool.grade({ mode: "asserts", language, tests }, source, {
            route,
            limits,
          });
          return { tests, source, outcome, evidence };
        }),
    );
    expect(
      verdicts.filter(({ outcome }) => outcome === "pass" || outcome === "infrastructure-error"),
    ).toEqual([]);
  });
});
