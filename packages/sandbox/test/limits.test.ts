// Programs that go around a limit (hoards.ts): what the kernel holds or spends for them counts as theirs.
import { execFile, spawnSync } from "node:child_process";
import { promisify } from "node:util";
import { gradeCode, type ProgramRun, type Proof, runProgram } from "@posttrain/sandbox";
import { describe, expect, test } from "vitest";
import { skipUnless } from "../../../tests/support/skip.js";
import { ownFile } from "../src/packages.js";
import { kernelHoards, memoryHoards, timeHoards } from "./hoards.js";
import { needsSandbox } from "./support.js";

const limits = { memoryMb: 192, cpuSeconds: 10, processes: 40 };

/** What it held at once, if it came to its end. */
function held({ status, stdout }: ProgramRun): number {
  if (status === "stopped") return 0;
  return Math.max(0, ...[...stdout.matchAll(/HELD (\d+)/g)].map(([, mib]) => Number(mib)));
}

describe("native", needsSandbox, () => {
  test.each(Object.entries({ ...memoryHoards, ...kernelHoards }))(
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
      limits: { processes: 40, cpuSeconds: 1, wallSeconds: 60 },
    });
    expect(verdict).toMatchObject({ outcome: "timeout" });
    expect(verdict.details!["cpuSeconds"]).toBeLessThan(2);
  });
});

const asNobody = [
  "--reuid=65534",
  "--regid=65534",
  "--clear-groups",
  process.execPath,
  "--import",
  ownFile("../kernels/test/child/register.mjs"),
];
const canBeNobody =
  process.getuid?.() === 0 && spawnSync("setpriv", [...asNobody, "-e", ""], { env: {} }).status === 0;

describe(
  "a user who may make no control group",
  skipUnless(canBeNobody, "not root", "run the tests as root"),
  () => {
    test("has the same limits", async () => {
      const child = promisify(execFile)("setpriv", [...asNobody, ownFile("test/child-user.ts")], {
        env: { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: "/tmp" },
      });
      const { layout, proofs, groups: own, runs } = JSON.parse((await child).stdout);
      if (layout === undefined) return; // No user namespaces: nothing runs natively.
      expect(own).toEqual({ cpu: false, memory: false });
      expect(proofs.filter(({ holds }: Proof) => !holds)).toEqual([]);
      for (const name of Object.keys({ ...memoryHoards, ...kernelHoards })) {
        expect(held(runs[name]), name).toBeLessThan(limits.memoryMb);
      }
      for (const name of Object.keys(timeHoards)) {
        expect(runs[name], name).toMatchObject({ outcome: "timeout" });
      }
    });
  },
);
