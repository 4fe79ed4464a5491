// Runs the hoards as whoever started it: a user who may make no control group. Prints what came of them.
import { gradeCode, nativeSelfTest, runProgram } from "@posttrain/sandbox";
import { controlled } from "../src/cgroup.js";
import { memoryHoards, timeHoards } from "./hoards.js";

const { layout, proofs } = await nativeSelfTest();
const limits = { memoryMb: 192, cpuSeconds: 10, processes: 40 };
const runs: Record<string, unknown> = {};
if (layout !== undefined) {
  for (const [name, source] of Object.entries(memoryHoards)) {
    runs[name] = await runProgram({ language: "python", source }, { limits });
  }
  for (const [name, source] of Object.entries(timeHoards)) {
    const within = { ...limits, cpuSeconds: 1, wallSeconds: 60 };
    const task = { mode: "stdio", language: "python", cases: [{ stdin: "", stdout: "" }] } as const;
    runs[name] = await gradeCode(task, source, { route: "native", limits: within });
  }
}
process.stdout.write(JSON.stringify({ layout, proofs, groups: controlled(), runs }));
