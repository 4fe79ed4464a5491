// Grades the benchmark fixtures by both routes and lists every verdict that is not the expected one.
//
//     node packages/sandbox/scripts/code-sweep.mjs [native] [wasm] [humaneval] [candidates] [mbpp]
//
// Needs a build (npm test makes one). Expected verdicts are those of CPython 3.11: test/fixtures/code/SOURCE.md.
import { readFileSync } from "node:fs";
import { closeSandboxes, gradeCode, humanEvalTask, mbppTask, nativeSelfTest } from "@posttrain/sandbox";
import PQueue from "p-queue";

/** @param {string} name */
const rows = (name) =>
  readFileSync(new URL(`../test/fixtures/${name}.jsonl`, import.meta.url), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

const humaneval = rows("humaneval");
const byId = new Map(humaneval.map((row) => [row.task_id, row]));
const suites = {
  humaneval: humaneval.map((row) => ({
    id: row.task_id,
    task: humanEvalTask(row),
    candidate: row.prompt + row.canonical_solution,
    passes: true,
  })),
  candidates: rows("humaneval_candidates").map((row) => {
    const task = byId.get(row.task_id);
    return {
      id: row.id,
      task: humanEvalTask(task),
      candidate: task.prompt + row.completion,
      passes: row.expected === "pass",
    };
  }),
  mbpp: rows("mbpp_sanitized").map((row) => ({
    id: `mbpp/${row.task_id}`,
    task: mbppTask(row),
    candidate: row.code,
    passes: true,
  })),
};

const asked = process.argv.slice(2);
/** @param {readonly string[]} names */
const chosen = (names) =>
  names.some((name) => asked.includes(name)) ? names.filter((name) => asked.includes(name)) : names;

console.log(`layout: ${(await nativeSelfTest()).layout ?? "none"}`);
for (const route of /** @type {("native" | "wasm")[]} */ (chosen(["native", "wasm"]))) {
  for (const suite of /** @type {(keyof typeof suites)[]} */ (chosen(Object.keys(suites)))) {
    const queue = new PQueue({ concurrency: 2 });
    const begun = performance.now();
    /** @type {Record<string, number>} */
    const counts = {};
    let unsealed = 0;
    const lines = await Promise.all(
      suites[suite].map(async ({ id, task, candidate, passes }) => {
        const verdict = await queue.add(() =>
          gradeCode(task, candidate, { route, limits: { cpuSeconds: 5 } }),
        );
        counts[verdict.outcome] = (counts[verdict.outcome] ?? 0) + 1;
        if (verdict.details?.["sealed"] === false) unsealed++;
        const agrees = (verdict.outcome === "pass") === passes && verdict.outcome !== "infrastructure-error";
        return agrees ? [] : [`  ${id}: ${verdict.outcome}: ${verdict.evidence.slice(0, 300)}`];
      }),
    );
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    console.log(`${route} ${suite}: ${JSON.stringify(counts)}, ${unsealed} not sealed, ${seconds} s`);
    for (const line of lines.flat()) console.log(line);
  }
}
await closeSandboxes();
