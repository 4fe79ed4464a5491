// Programs that go around a limit (hoards.ts): what the kernel holds or spends for them counts as theirs.
import { gradeCode, nativeSelfTest, type ProgramRun, runProgram } from "@posttrain/verify";
import { describe, expect, test } from "vitest";
import { controlled } from "../../src/code/cgroup.js";
import { kernelHoards, memoryHoards, timeHoards } from "./hoards.js";
import { needsSandbox } from "./support.js";

await nativeSelfTest();
const groups = controlled();
const limits = { memoryMb: 192, cpuSeconds: 10, processes: 40 };

/** What it held at once, if it came to its end. */
function held({ status, stdout }: ProgramRun): number {
  if (status === "stopped") return 0;
  return Math.max(0, ...[...stdout.matchAll(/HELD (\d+)/g)].map(([, mib]) => Number(mib)));
}

describe("native", { ...needsSandbox, timeout: 240_000 }, () => {
  test.each(Object.entries({ ...memoryHoards, ...(groups.memory ? kernelHoards : {}) }))(
    "%s: no more memory than the limit",
    async (_name, source) => {
      const run = await runProgram({ language: "python", source }, { limits });
      expect(held(run)).toBeLessThan(limits.memoryMb);
    },
  );

  test.each(Object.entries(timeHoards))("%s: no more time than the limit", async (_name, source) => {
    const task = { mode: "stdio", language: "python", cases: [{ stdin: "", stdout: "" }] } as const;
    const verdict = await gradeCode(task, source, {
      route: "native",
      limits: { ...limits, cpuSeconds: 1, wallSeconds: 60 },
    });
    expect(verdict).toMatchObject({ outcome: "timeout" });
    expect(verdict.details!["cpuSeconds"]).toBeLessThan(2);
  });
});
