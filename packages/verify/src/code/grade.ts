/** The one door: a task, what a model wrote, and a verdict. Never throws for anything that the candidate did. */
import { UserError } from "@posttrain/data";
import type { Verdict } from "../verdict.js";
import { infrastructure } from "./code-verdict.js";
import { gradeNative } from "./grade-native.js";
import { gradeWasm, wasmLanguage } from "./grade-wasm.js";
import { type Limits, withDefaults } from "./limits.js";
import { nativeSelfTest, provenLayout } from "./self-test.js";
import type { CodeTask, GradeOptions } from "./task.js";
import { canUnshare, type Containment } from "./wasm.js";

/** Longer than any solution, short enough to pass around. */
const maxSourceBytes = 1 << 20;

export async function gradeCode(task: CodeTask, candidate: string, options: GradeOptions = {}): Promise<Verdict> {
  const limits = withDefaults(options.limits);
  if (candidate.trim() === "") return { outcome: "unparseable", evidence: "The answer has no program." };
  if (Buffer.byteLength(candidate) > maxSourceBytes) {
    return { outcome: "unparseable", evidence: `The program is longer than ${maxSourceBytes} bytes.` };
  }
  if (options.signal?.aborted) return infrastructure("cancelled");
  try {
    return await route(task, candidate, limits, options);
  } catch (error) {
    // The machine's lack, said with its remedy; anything else is a bug of ours, and nobody's lesson either.
    if (error instanceof UserError) return infrastructure(error.message.replace(/\.$/, ""), { code: error.code });
    return infrastructure(`the grader failed: ${error instanceof Error ? (error.stack ?? error.message) : error}`);
  }
}

async function route(task: CodeTask, candidate: string, limits: Limits, options: GradeOptions): Promise<Verdict> {
  const canBeWasm = task.mode !== "query" && wasmLanguage(task) !== undefined;
  const wanted = options.route ?? ((await nativeSelfTest()).layout === undefined && canBeWasm ? "wasm" : "native");
  if (wanted === "native") return gradeNative(task, candidate, await provenLayout(), limits, options);
  if (task.mode === "query" || !canBeWasm) {
    return infrastructure(`${task.language} does not run in WebAssembly: apt-get install bubblewrap, and the language's tools`);
  }
  return gradeWasm(task, candidate, await wasmContainment(), limits, options);
}

/** The strongest that this machine offers around the locked process. */
export async function wasmContainment(): Promise<Containment> {
  return (await nativeSelfTest()).layout ?? ((await canUnshare()) ? "unshare" : "process");
}
