/** Calls of one function with plain arguments; results are compared here, or judged by a checker in its own sandbox. */
import type { Verdict } from "@posttrain/data";
import { loadCandidate, raisedVerdict, stopped, type Unsupported } from "./asserts.js";
import { callFunction, findFunction } from "./call-function.js";
import { type OpenChecker, openChecker } from "./checker.js";
import { crash, ended, fail, infrastructure, pass } from "./code-verdict.js";
import { plainEqual, plainText } from "./compare.js";
import type { Interpreter } from "./interpreter.js";
import type { Limits } from "./limits.js";
import { encodeJson, liveObject, type Plain, plainOfJson } from "./plain.js";
import type { CallsTask } from "./task.js";

/** What a case's expected value says. */
type Reading = (expected: unknown) => Plain;

const asItIs: Reading = plainOfJson;
const unwrapped: Reading = (expected) => plainOfJson((expected as readonly unknown[])[0]);

export async function gradeCalls(
  task: CallsTask,
  source: string,
  candidate: Interpreter,
  limits: Limits,
  unsupported: Unsupported,
  open: (language: "python" | "javascript") => Promise<Interpreter>,
): Promise<Verdict> {
  const loaded = await loadCandidate(candidate, source, limits, unsupported);
  if (loaded !== undefined) return loaded;
  const number = await findFunction(candidate, task.entryPoint);
  if (number === undefined) return crash(`Its program has no function ${task.entryPoint}.`);
  const only = task.inPlace ? "arguments" : "result";
  let checker: OpenChecker | undefined;
  if (task.checker) {
    const opened = await openChecker(task.checker, open);
    if ("problem" in opened) return infrastructure(opened.problem);
    checker = opened;
  }
  // JavaScript has one type of number, and no tuples.
  const comparison =
    task.language === "python" ? task.comparison : { ...task.comparison, strictTypes: false };
  let readings: readonly Reading[] = task.mayBeWrapped ? [unwrapped, asItIs] : [asItIs];
  for (const [i, { args, kwargs, expected }] of task.cases.entries()) {
    const details = { sealed: true, case: i, cases: task.cases.length };
    const called = await callFunction(candidate, number, { args, kwargs, only });
    if (called.kind === "gone") return ended(await stopped(candidate), limits, `in case ${i + 1}`);
    if (called.kind === "raised") return raisedVerdict(called.raised, unsupported, `in case ${i + 1}`);
    if (called.kind === "malformed") return crash(`What came is no value, in case ${i + 1}.`);
    if (checker) {
      const live = liveObject(called.value);
      if (live !== undefined) return fail(`Case ${i + 1}: it returned an ${live}, no plain data.`, details);
      const judged = await checker.judge([encodeJson(args), called.code, encodeJson(expected)]);
      if (judged.outcome !== "pass")
        return judged.outcome === "fail" ? fail(`Case ${i + 1}: ${judged.evidence}`, details) : judged;
      continue;
    }
    // In Python the arguments come back as the tuple that the function got.
    const agree = readings.filter((reading) => plainEqual(called.value, reading(expected), comparison));
    if (agree.length === 0) {
      const wanted = plainText(readings[0]!(expected));
      return fail(
        `Case ${i + 1} of ${task.cases.length}: expected ${wanted}, got ${plainText(called.value)}.`,
        details,
      );
    }
    readings = agree;
  }
  return pass(`All ${task.cases.length} cases agree.`, { sealed: true, cases: task.cases.length });
}
