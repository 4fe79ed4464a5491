// A parent for containment.test.ts to kill: runs a program that never ends, natively or in WebAssembly inside the containment that it is told,
// and writes which processes it has started.
import { readdirSync, readFileSync } from "node:fs";
import { gradeCode } from "../src/grade.js";
import { withDefaults } from "../src/limits.js";
import { usageOf } from "../src/process-tree.js";
import { nativeSelfTest } from "../src/self-test.js";
import { type Containment, openWasm } from "../src/wasm.js";

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

const [, , kind = ""] = process.argv;
const source = "for (;;);";
if (kind === "native") {
  await nativeSelfTest(); // Its programs are busy too.
  const task = { mode: "asserts", language: "javascript", tests: "f()" } as const;
  void gradeCode(task, `function f() { ${source} }`, { route: "native", limits: { cpuSeconds: 600 } });
} else {
  const limits = withDefaults({ cpuSeconds: 600 });
  const interpreter = await openWasm("javascript", "candidate", kind as Containment, limits, undefined);
  interpreter.send(`input ${JSON.stringify({ stdin: "", outputBytes: 1 })}`);
  interpreter.send(JSON.stringify({ op: "program", source }));
}

// Once something has run for longer than it takes to start: the candidate is at it.
const busySeconds = 1;
const timer = setInterval(() => {
  const pids = descendants(process.pid);
  const busy = pids.some((pid) => (usageOf(pid)?.cpuSeconds ?? 0) > busySeconds);
  if (!busy) return;
  clearInterval(timer);
  process.stdout.write(JSON.stringify(pids));
}, 100);
