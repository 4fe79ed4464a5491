/** Grades under bubblewrap: every mode, every language whose tool is here. */
import type { Verdict } from "@posttrain/data";
import { gradeBeside, testsRunBeside } from "./asserts-beside.js";
import type { Layout } from "./bubblewrap.js";
import { ended } from "./code-verdict.js";
import { gradeInterpreted, type Open, withInterpreters } from "./grade-interpreted.js";
import { type Interpreter, openNative } from "./interpreter.js";
import type { Limits } from "./limits.js";
import { prepareProgram } from "./run-program.js";
import { gradeStdio } from "./stdio.js";
import type { CodeTask, GradeOptions } from "./task.js";

/** Native programs meet no module, thread or call that only a route lacks. */
const nothing = (): undefined => undefined;

export async function gradeNative(
  task: CodeTask,
  source: string,
  layout: Layout,
  limits: Limits,
  options: GradeOptions,
): Promise<Verdict> {
  const { signal } = options;
  const candidates: Interpreter[] = [];
  return withInterpreters(
    async (language, role, within) => {
      const interpreter = await openNative(language, role, layout, within, signal);
      if (role !== "tests") candidates.push(interpreter);
      return interpreter;
    },
    limits,
    async (open) => {
      const verdict = await grade(open);
      if (verdict.outcome !== "pass") return verdict;
      // The last account counts too: what was spent since the last look.
      for (const candidate of candidates) {
        candidate.stop("done");
        const exit = await candidate.exit;
        if (exit.stopped !== "done" && exit.stopped !== undefined) return ended(exit, limits, "by its end");
      }
      return verdict;
    },
  );

  async function grade(open: Open): Promise<Verdict> {
    if (task.mode === "stdio") {
      const prepared = await prepareProgram(task.language, source, layout, limits, signal);
      return gradeStdio(task, prepared, limits, (language) => open(language, "candidate"));
    }
    if (task.mode === "asserts" && testsRunBeside(task.language))
      return gradeBeside({ ...task, language: task.language }, source, layout, limits, signal);
    return gradeInterpreted(task, source, { open, unsupported: nothing }, limits, options);
  }
}
