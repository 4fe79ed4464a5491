// A parent for containment.test.ts to kill: grades a program that never ends, and writes which processes it has started.
import { readdirSync, readFileSync } from "node:fs";
import { gradeCode } from "../src/grade.js";
import { usageOf } from "../src/process-tree.js";
import type { Route } from "../src/task.js";

/** A process that ends in between has none. */
function descendants(pid: number): number[] {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, "latin1").split(" ").filter(Boolean).map(Number),
    );
    return children.flatMap((child) => [child, ...descendants(child)]);
  } catch {
    return [];
  }
}

const task = { mode: "asserts", language: "python", tests: "f()" } as const;
const source = "def f():\n    print('spinning', flush=True)\n    while True: pass";
void gradeCode(task, source, { route: process.argv[2] as Route, limits: { cpuSeconds: 600 } });

// Once something has run for longer than it takes to start: the candidate is at it.
const busySeconds = process.argv[2] === "wasm" ? 4 : 1;
const timer = setInterval(() => {
  const pids = descendants(process.pid);
  const busy = pids.some((pid) => (usageOf(pid)?.cpuSeconds ?? 0) > busySeconds);
  if (!busy) return;
  clearInterval(timer);
  process.stdout.write(JSON.stringify(pids));
}, 100);
