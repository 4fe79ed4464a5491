/** Calls of one function with plain arguments; results are compared here, or judged by a checker in its own sandbox. */
import type { Verdict } from "../verdict.js";
import {
  loadCandidate,
  type Raised,
  raisedVerdict,
  responseOf,
  stopped,
  type Unsupported,
} from "./asserts.js";
import { type OpenChecker, openChecker } from "./checker.js";
import { crash, ended, fail, infrastructure, pass } from "./code-verdict.js";
import { plainEqual, plainText } from "./compare.js";
import type { Interpreter } from "./interpreter.js";
import type { Limits } from "./limits.js";
import { decodePlain, encodeJson, type Plain, plainOfJson } from "./plain.js";
import type { CallsTask } from "./task.js";

/** Finds a function in a loaded interpreter: its number there, or undefined if there is no such function. */
export async function findFunction(interpreter: Interpreter, name: string): Promise<number | undefined> {
  interpreter.send(JSON.stringify({ op: "names", names: [name] }));
  const names = responseOf((await interpreter.receive()) ?? "")["names"];
  const found =
    typeof names === "object" && names !== null ? (names as Record<string, unknown>)[name] : undefined;
  const value =
    typeof found === "object" && found !== null ? (found as { value?: unknown }).value : undefined;
  return Array.isArray(value) && value[0] === "o" && typeof value[1] === "number" ? value[1] : undefined;
}

export interface Call {
  readonly args: readonly unknown[];
  readonly kwargs?: Readonly<Record<string, unknown>> | undefined;
  readonly only: "result" | "arguments";
}

export type Called =
  | { readonly kind: "value"; readonly value: Plain; readonly code: unknown }
  | { readonly kind: "raised"; readonly raised: Raised }
  | { readonly kind: "gone" };

/** `args` are JSON values, or values already encoded when `encoded` is set. */
export async function callFunction(
  interpreter: Interpreter,
  number: number,
  call: Call,
  encoded = false,
): Promise<Called> {
  const args = ["l", encoded ? call.args : call.args.map(encodeJson)];
  const kwargs = encodeJson(call.kwargs ?? {});
  interpreter.send(
    JSON.stringify({ op: "operate", do: "call", on: ["o", number], args, kwargs, only: call.only }),
  );
  const line = await interpreter.receive();
  if (!line?.startsWith("=")) return { kind: "gone" };
  const response = responseOf(line);
  if (response["raised"] !== undefined) return { kind: "raised", raised: response as unknown as Raised };
  try {
    return { kind: "value", value: decodePlain(response["value"]), code: response["value"] };
  } catch (error) {
    // A value that no encoder wrote, or one too deep to walk.
    return { kind: "raised", raised: { text: `what came is no answer: ${error}`, line: null, module: null } };
  }
}

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
  for (const [i, { args, kwargs, expected }] of task.cases.entries()) {
    const details = { sealed: true, case: i, cases: task.cases.length };
    const called = await callFunction(candidate, number, { args, kwargs, only });
    if (called.kind === "gone") return ended(await stopped(candidate), limits, `in case ${i + 1}`);
    if (called.kind === "raised") return raisedVerdict(called.raised, unsupported, `in case ${i + 1}`);
    if (checker) {
      const judged = await checker.judge([encodeJson(args), called.code, encodeJson(expected)]);
      if (judged.outcome !== "pass")
        return judged.outcome === "fail" ? fail(`Case ${i + 1}: ${judged.evidence}`, details) : judged;
      continue;
    }
    // In Python the arguments come back as the tuple that the function got.
    if (plainEqual(called.value, plainOfJson(expected), task.comparison)) continue;
    return fail(
      `Case ${i + 1} of ${task.cases.length}: expected ${plainText(plainOfJson(expected))}, got ${plainText(called.value)}.`,
      details,
    );
  }
  return pass(`All ${task.cases.length} cases agree.`, { sealed: true, cases: task.cases.length });
}
