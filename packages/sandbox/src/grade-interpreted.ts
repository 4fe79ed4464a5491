/** What both routes do with programs that an interpreter runs; a route says how it opens one, and what it lacks. */
import type { Verdict } from "@posttrain/data";
import { gradeAsserts, type Unsupported } from "./asserts.js";
import { gradeCalls } from "./calls.js";
import { crash } from "./code-verdict.js";
import type { Interpreter, Role } from "./interpreter.js";
import { type Limits, testsLimits } from "./limits.js";
import { gradeQuery } from "./query.js";
import type { AssertsTask, CallsTask, GradeOptions, QueryTask } from "./task.js";
import { interpreted, interpretedTests, NotTranspiled } from "./transpile.js";

export type InterpreterLanguage = "python" | "javascript";

export type Open = (language: InterpreterLanguage, role: Role) => Promise<Interpreter>;

export interface Route {
  readonly open: Open;
  readonly unsupported: Unsupported;
  /** The verdict on tests that the route cannot run. */
  readonly refuse?: (language: InterpreterLanguage, tests: string) => Verdict | undefined;
}

export async function gradeInterpreted(
  task: AssertsTask | CallsTask | QueryTask,
  source: string,
  { open, unsupported, refuse }: Route,
  limits: Limits,
  { objects = "allow" }: GradeOptions,
): Promise<Verdict> {
  if (task.mode === "query") return gradeQuery(task, source, () => open("python", "query"), limits);
  const { language, code } = await interpreted(task.language, source);
  if (task.mode === "calls") {
    return gradeCalls(task, code, await open(language, "candidate"), limits, unsupported, (other) =>
      open(other, "candidate"),
    );
  }
  const [candidate, own] = await Promise.all([open(language, "candidate"), open(language, "tests")]);
  // While they start.
  const { tests, reading } = await interpretedTests(task.language, task.tests, task.entryPoint);
  const refused = refuse?.(language, tests);
  if (refused !== undefined) return refused;
  const pair = { candidate, tests: own };
  return gradeAsserts({ ...task, tests, reading }, code, pair, limits, objects, unsupported);
}

/** Ends all that `grade` opened. A text that is no program of its language is the candidate's crash. */
export async function withInterpreters(
  start: (language: InterpreterLanguage, role: Role, limits: Limits) => Promise<Interpreter>,
  limits: Limits,
  grade: (open: Open) => Promise<Verdict>,
): Promise<Verdict> {
  const opened: Interpreter[] = [];
  try {
    return await grade(async (language, role) => {
      const interpreter = await start(language, role, role === "tests" ? testsLimits(limits) : limits);
      opened.push(interpreter);
      return interpreter;
    });
  } catch (error) {
    if (error instanceof NotTranspiled) return crash(`It is no program of its language: ${error.message}`);
    throw error;
  } finally {
    for (const interpreter of opened) interpreter.stop("done");
    await Promise.all(opened.map(({ exit }) => exit));
  }
}
