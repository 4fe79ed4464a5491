// Runs the hoards as whoever started it: a user who may make no control group. Prints what came of them.
import { gradeCode, nativeSelfTest, runProgram } from "@posttrain/sandbox";
import PQueue from "p-queue";
import { controlled } from "../src/cgroup.js";
import { kernelHoards, memoryHoards, timeHoards } from "./hoards.js";

const { layout, proofs } = await nativeSelfTest();
const limits = { memoryMb: 192, cpuSeconds: 10, processes: 40 };
const memory = Object.entries({ ...memoryHoards, ...kernelHoards }).map(
  ([name, source]) =>
    async () =>
      [name, await runProgram({ language: "python", source }, { limits })] as const,
);
const time = Object.entries(timeHoards).map(([name, source]) => async () => {
  const within = { processes: 40, cpuSeconds: 1, wallSeconds: 60 };
  const task = { mode: "stdio", language: "python", cases: [{ stdin: "", stdout: "" }] } as const;
  return [name, await gradeCode(task, source, { route: "native", limits: within })] as const;
});
const queue = new PQueue({ concurrency: 3 });
const runs: Record<string, unknown> =
  layout === undefined
    ? {}
    : Object.fromEntries(await queue.addAll<readonly [string, unknown]>([...memory, ...time]));
process.stdout.write(JSON.stringify({ layout, proofs, groups: controlled(), runs }));
