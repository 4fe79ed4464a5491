// Grades many small programs and says what the memory of this process and of all below it does meanwhile.
//
//     node packages/sandbox/scripts/code-soak.mjs [native|wasm] [programs, default 10000]
import { readdirSync, readFileSync } from "node:fs";
import { closeSandboxes, gradeCode } from "@posttrain/sandbox";
import PQueue from "p-queue";

const route = process.argv[2] === "wasm" ? "wasm" : "native";
const total = Number(process.argv[3] ?? 10_000);

/** Resident MiB of a process and all below it. @param {number} pid @returns {number} */
function residentMb(pid) {
  try {
    const own = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? 0) / 1024;
    const below = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, "latin1").split(" ").filter(Boolean).map(Number),
    );
    return below.reduce((sum, child) => sum + residentMb(child), own);
  } catch {
    return 0; // It ended in between.
  }
}

const queue = new PQueue({ concurrency: 2 });
const begun = performance.now();
let done = 0;
/** @type {Record<string, number>} */
const counts = {};
await Promise.all(
  Array.from({ length: total }, async (_, i) => {
    const task = /** @type {const} */ ({
      mode: "asserts",
      language: "python",
      tests: `assert f(${i}) == ${i + 1}`,
    });
    const source = `def f(x):\n    return x + ${1 + Number(i % 10 === 9)}`;
    const { outcome } = await queue.add(() => gradeCode(task, source, { route }));
    counts[outcome] = (counts[outcome] ?? 0) + 1;
    if (++done % Math.ceil(total / 10) === 0) {
      const seconds = ((performance.now() - begun) / 1000).toFixed(0);
      const own = (process.memoryUsage().rss / 2 ** 20).toFixed(0);
      console.log(
        `${done} programs, ${seconds} s, ${own} MiB here, ${residentMb(process.pid).toFixed(0)} MiB in all`,
      );
    }
  }),
);
console.log(route, JSON.stringify(counts));
await closeSandboxes();
