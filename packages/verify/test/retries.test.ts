// What could not be graded is graded again, unless its verdict names whose fault that is; what the evidence says decides nothing.
import { gradeAnswer } from "@posttrain/answers";
import type { Verdict } from "@posttrain/data";
import { expect, test } from "vitest";
import { openVerifiers, type Row } from "../src/index.js";

test.each<[evidence: string, details: Verdict["details"], calls: number]>([
  ["Not graded: the connection was refused. Try apt-get install bubblewrap.", {}, 2],
  ["Not graded: the tests cannot run: out of memory", undefined, 2],
  ["Not graded.", { code: 137, instructions: 3 }, 2],
  ["Not graded.", { fault: "row" }, 1],
  ["Not graded.", { fault: "machine" }, 1],
  ["Not graded.", { fault: "verifier" }, 1],
])("%s %j: graded %d times", async (evidence, details, calls) => {
  let called = 0;
  const grade = async (): Promise<Verdict> => {
    called++;
    return { outcome: "infrastructure-error", evidence, ...(details && { details }) };
  };
  await using verifiers = openVerifiers({ concurrency: 1, verifier: { name: "own", grade } });
  await verifiers.grade("?", {});
  expect(called).toBe(calls);
});

test.each<[what: string, row: Row, response: string, fault: string]>([
  ["an unknown instruction", { instructions: [{ id: "no:such" }] }, "yes", "row"],
  [
    "tests that cannot run",
    { language: "python", tests: "import nothing_of_the_kind\nassert f() == 1" },
    "```python\ndef f():\n    return 1\n```",
    "row",
  ],
  [
    "no cases",
    { code_task: { mode: "stdio", language: "python", cases: [] }, verifier: "code" },
    "```python\nprint(input())\n```",
    "row",
  ],
  [
    "a language that WebAssembly has not",
    { code_task: { mode: "stdio", language: "go", cases: [{ stdin: "", stdout: "" }] }, verifier: "code" },
    "```go\npackage main\nfunc main() {}\n```",
    "machine",
  ],
  [
    "a module that WebAssembly has not",
    { language: "python", tests: "assert f() == 1" },
    "```python\nimport torch\ndef f():\n    return 1\n```",
    "machine",
  ],
])("%s has a fault", async (_what, row, response, fault) => {
  await using verifiers = openVerifiers({ concurrency: 1, route: "wasm" });
  const verdict = await verifiers.grade(response, row);
  expect(verdict).toMatchObject({ outcome: "infrastructure-error", details: { fault } });
});

test("a reference that is nothing is the row's fault", () => {
  expect(gradeAnswer(" ", "\\boxed{1}")).toMatchObject({
    outcome: "infrastructure-error",
    details: { fault: "row" },
  });
});
