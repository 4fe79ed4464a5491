/**
 * Tests of compiled languages and shells (join-tests.ts). The candidate shares the sandbox with them, and could look for the nonce: these
 * verdicts say `sealed: false`.
 */
import { randomBytes } from "node:crypto";
import type { Verdict } from "@posttrain/data";
import { shortened } from "@posttrain/data";
import type { Layout } from "./bubblewrap.js";
import { crash, ended, fail, pass } from "./code-verdict.js";
import type { Exit } from "./contained-process.js";
import { type Compiled, closeBrace, type Joined, joinTests, Redefined } from "./join-tests.js";
import type { Limits } from "./limits.js";
import { compileLimits, preprocess } from "./recipes.js";
import { prepareProgram, runOnce } from "./run-program.js";
import type { AssertsTask } from "./task.js";

export function testsRunBeside(language: string): language is Compiled {
  return Object.hasOwn(joinTests, language);
}

export async function gradeBeside(
  task: AssertsTask & { readonly language: Compiled },
  candidate: string,
  layout: Layout,
  limits: Limits,
  signal: AbortSignal | undefined,
): Promise<Verdict> {
  const details = { sealed: false };
  let joined: Joined;
  let preprocessed: Exit | undefined;
  try {
    joined = await joinTests[task.language]({
      ...closeBrace(candidate, task.tests),
      entryPoint: task.entryPoint,
      preprocess: async (text) => {
        preprocessed = await runOnce(await preprocess(text), layout, compileLimits(limits), signal);
        const { code, stdout, stderr } = preprocessed;
        if (code !== 0) throw new Redefined(stderr.toString("utf8").trim().slice(0, 4000));
        return stdout.toString("utf8");
      },
    });
  } catch (error) {
    if (!(error instanceof Redefined)) throw error;
    if (preprocessed && (preprocessed.stopped !== undefined || !preprocessed.started))
      return ended(preprocessed, limits, "while it was compiled");
    return crash(`It does not compile together with its tests: ${error.message}`, details);
  }
  const { source, more } = joined;
  const prepared = await prepareProgram(task.language, source, layout, limits, signal, more);
  if (prepared.kind === "refused") {
    const { exit, text } = prepared;
    if (exit && (exit.stopped !== undefined || !exit.started))
      return ended(exit, limits, "while it was compiled");
    return crash(`It does not compile together with its tests: ${text}`, details);
  }
  const nonce = randomBytes(16).toString("hex");
  const exit = await prepared.run(`${nonce}\n`);
  if (exit.stopped !== undefined || !exit.started) return ended(exit, limits, "in its tests");
  const said = shortened(exit.stderr.toString("utf8").trim() || exit.stdout.toString("utf8").trim(), 1000);
  const sealed = exit.stdout.toString("latin1").split("\n").includes(nonce);
  if (exit.code === 0 && sealed) return pass("All tests passed, beside the candidate.", details);
  if (exit.code === 0)
    return crash(`It ended before its tests did (exit code 0, no nonce). It had said: ${said}`, details);
  const outcome = ended(exit, limits, "in its tests");
  return outcome.outcome === "timeout"
    ? outcome
    : fail(`Its tests ended with exit code ${exit.code}. It had said: ${said}`, details);
}
