/** Grades under bubblewrap: every mode, every language whose tool is here. */
import type { Verdict } from "@posttrain/data";
import { gradeAsserts } from "./asserts.js";
import { gradeBeside, testsRunBeside } from "./asserts-beside.js";
import type { Layout } from "./bubblewrap.js";
import { gradeCalls } from "./calls.js";
import { crash, ended } from "./code-verdict.js";
import { type Interpreter, openNative, type Role } from "./interpreter.js";
import { type Limits, testsLimits } from "./limits.js";
import { gradeQuery } from "./query.js";
import { prepareProgram } from "./run-program.js";
import { gradeStdio } from "./stdio.js";
import type { CodeTask, GradeOptions } from "./task.js";
import { interpreted, interpretedTests, NotTranspiled } from "./transpile.js";

/** Native programs meet no module, thread or call that only a route lacks. */
const nothing = (): undefined => undefined;

export async function gradeNative(
  task: CodeTask,
  source: string,
  layout: Layout,
  limits: Limits,
  options: GradeOptions,
): Promise<Verdict> {
  const { signal, objects = "allow" } = options;
  const opened: Interpreter[] = [];
  const candidates: Interpreter[] = [];
  const open = async (language: "python" | "javascript", role: Role): Promise<Interpreter> => {
    const within = role === "tests" ? testsLimits(limits) : limits;
    const interpreter = await openNative(language, role, layout, within, signal);
    opened.push(interpreter);
    if (role === "candidate" || role === "query") candidates.push(interpreter);
    return interpreter;
  };
  const grade = async (): Promise<Verdict> => {
    if (task.mode === "query") return await gradeQuery(task, source, () => open("python", "query"), limits);
    if (task.mode === "stdio") {
      const prepared = await prepareProgram(task.language, source, layout, limits, signal);
      return await gradeStdio(task, prepared, limits, (language) => open(language, "candidate"));
    }
    if (task.mode === "asserts" && testsRunBeside(task.language)) {
      return await gradeBeside({ ...task, language: task.language }, source, layout, limits, signal);
    }
    const { language, code } = await interpreted(task.language, source);
    if (task.mode === "calls") {
      return await gradeCalls(task, code, await open(language, "candidate"), limits, nothing, (other) =>
        open(other, "candidate"),
      );
    }
    const [candidate, own] = await Promise.all([open(language, "candidate"), open(language, "tests")]);
    const { tests, reading } = await interpretedTests(task.language, task.tests, task.entryPoint);
    const pair = { candidate, tests: own };
    return await gradeAsserts({ ...task, tests, reading }, code, pair, limits, objects, nothing);
  };
  try {
    const verdict = await grade();
    if (verdict.outcome !== "pass") return verdict;
    // The last account counts too: what was spent since the last look.
    for (const candidate of candidates) {
      candidate.stop("done");
      const exit = await candidate.exit;
      if (exit.stopped !== "done" && exit.stopped !== undefined) return ended(exit, limits, "by its end");
    }
    return verdict;
  } catch (error) {
    if (error instanceof NotTranspiled) return crash(`It is no program of its language: ${error.message}`);
    throw error;
  } finally {
    for (const interpreter of opened) interpreter.stop("done");
    await Promise.all(opened.map(({ exit }) => exit));
  }
}
