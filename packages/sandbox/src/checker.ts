/**
 * Programs that judge: a function on plain data in a sandbox of its own, fresh from its source. It is the grader's, so what
 * it raises or cannot finish is an infrastructure-error; only its answer counts.
 */
import type { Verdict } from "@posttrain/data";
import { loadCandidate } from "./asserts.js";
import { callFunction, findFunction } from "./call-function.js";
import { crash, fail, infrastructure, pass } from "./code-verdict.js";
import type { Interpreter } from "./interpreter.js";
import { withDefaults } from "./limits.js";
import type { Checker } from "./task.js";

export interface OpenChecker {
  /** Arguments as encodeJson gives them. */
  readonly judge: (args: readonly unknown[]) => Promise<Verdict>;
}

export async function openChecker(
  { language, source, entryPoint = "check" }: Checker,
  open: (language: "python" | "javascript") => Promise<Interpreter>,
): Promise<OpenChecker | { readonly problem: string }> {
  const interpreter = await open(language);
  const loaded = await loadCandidate(interpreter, source, withDefaults(), () => undefined);
  if (loaded !== undefined) return { problem: `the checker does not load: ${loaded.evidence}` };
  const number = await findFunction(interpreter, entryPoint);
  if (number === undefined) return { problem: `the checker has no function ${entryPoint}` };
  return {
    judge: async (args) => {
      const called = await callFunction(interpreter, number, { args, only: "result" }, true);
      if (called.kind === "gone") return infrastructure("the checker ended before it answered");
      if (called.kind === "malformed") return crash("What came from the program is no value.");
      if (called.kind === "raised") return infrastructure(`the checker raised ${called.raised.text}`);
      const { value } = called;
      if (typeof value === "boolean")
        return value ? pass("The checker agreed.") : fail("The checker refused it.");
      if (typeof value === "object" && value !== null && (value.kind === "tuple" || value.kind === "list")) {
        const [verdict, message] = value.items;
        const evidence = typeof message === "string" ? message.slice(0, 1000) : "The checker gave no reason.";
        if (typeof verdict === "boolean" && value.items.length === 2)
          return verdict ? pass(evidence) : fail(evidence);
      }
      return infrastructure("the checker returned neither true nor false, nor a pair of that and a message");
    },
  };
}
