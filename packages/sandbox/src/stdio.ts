/** Whole programs on standard input: each case is a process of its own; what it wrote is compared here. */
import type { Verdict } from "@posttrain/data";
import { type OpenChecker, openChecker } from "./checker.js";
import { crash, ended, fail, infrastructure, pass } from "./code-verdict.js";
import { outputDifference } from "./compare.js";
import type { Interpreter } from "./interpreter.js";
import type { Limits } from "./limits.js";
import type { Prepared } from "./run-program.js";
import type { StdioTask } from "./task.js";

export async function gradeStdio(
  task: StdioTask,
  prepared: Prepared,
  limits: Limits,
  open: (language: "python" | "javascript") => Promise<Interpreter>,
): Promise<Verdict> {
  if (prepared.kind === "refused") {
    const { exit, text } = prepared;
    if (exit && (exit.stopped !== undefined || !exit.started))
      return ended(exit, limits, "while it was compiled");
    return crash(`It does not compile: ${text}`);
  }
  let checker: OpenChecker | undefined;
  if (task.checker) {
    const opened = await openChecker(task.checker, open);
    if ("problem" in opened) return infrastructure(opened.problem);
    checker = opened;
  }
  const count = task.cases.length;
  if (count === 0) return infrastructure("the task has no cases", { fault: "row" });
  for (const [i, { stdin, stdout }] of task.cases.entries()) {
    const exit = await prepared.run(stdin);
    const details = { sealed: true, case: i, cases: count };
    if (exit.missing !== undefined) return infrastructure(exit.missing, { ...details, fault: "machine" });
    if (exit.code !== 0 || exit.stopped !== undefined || !exit.started)
      return ended(exit, limits, `in case ${i + 1} of ${count}`);
    const got = exit.stdout.toString("utf8");
    if (checker) {
      const judged = await checker.judge([stdin, got, stdout]);
      if (judged.outcome === "pass") continue;
      return judged.outcome === "fail" ? fail(`Case ${i + 1}: ${judged.evidence}`, details) : judged;
    }
    const difference = outputDifference(got, stdout, task.comparison ?? { kind: "tokens" });
    if (difference !== undefined) return fail(`Case ${i + 1} of ${count}: ${difference}.`, details);
  }
  return pass(`The output of all ${count} cases agrees.`, { sealed: true, cases: count });
}
