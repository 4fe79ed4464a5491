/** The one door: a task, what a model wrote, and a verdict. Never throws for anything that the candidate did. */

import type { Verdict } from "@posttrain/data";
import { UserError } from "@posttrain/data";
import { openChecker } from "./checker.js";
import { infrastructure } from "./code-verdict.js";
import { gradeNative } from "./grade-native.js";
import { gradeWasm, wasmLanguage } from "./grade-wasm.js";
import { type Interpreter, openNative } from "./interpreter.js";
import { type Limits, withDefaults } from "./limits.js";
import { refusal, UnprovenLimits, unproven } from "./needed-limits.js";
import { encodeJson } from "./plain.js";
import { prepareProgram } from "./run-program.js";
import { layoutFor, nativeSelfTest } from "./self-test.js";
import type { Checker, CodeTask, GradeOptions, Language } from "./task.js";
import { type Containment, canUnshare, openWasm } from "./wasm.js";

/** Longer than any solution, short enough to pass around. */
const maxSourceBytes = 1 << 20;

export async function gradeCode(
  task: CodeTask,
  candidate: string,
  options: GradeOptions = {},
): Promise<Verdict> {
  const limits = withDefaults(options.limits);
  if (candidate.trim() === "") return { outcome: "unparseable", evidence: "The answer has no program." };
  if (Buffer.byteLength(candidate) > maxSourceBytes) {
    return { outcome: "unparseable", evidence: `The program is longer than ${maxSourceBytes} bytes.` };
  }
  if (options.signal?.aborted) return infrastructure("cancelled");
  try {
    const verdict = await route(task, candidate, limits, options);
    // Whatever its processes' ends looked like from here, they were ended on request.
    return options.signal?.aborted ? infrastructure("cancelled") : verdict;
  } catch (error) {
    return couldNot(error);
  }
}

/** The machine's lack, said with its remedy; anything else is a bug of ours, and nobody's lesson either. */
function couldNot(error: unknown): Verdict {
  if (error instanceof UserError) {
    const { message, code } = error;
    const unproven = error instanceof UnprovenLimits ? { unproven: error.limits } : {};
    return infrastructure(message.replace(/\.$/, ""), { fault: "machine", code, ...unproven });
  }
  return infrastructure(
    `the grader failed: ${error instanceof Error ? (error.stack ?? error.message) : error}`,
  );
}

async function route(
  task: CodeTask,
  candidate: string,
  limits: Limits,
  options: GradeOptions,
): Promise<Verdict> {
  const canBeWasm = wasmLanguage(task) !== undefined;
  const checker = "checker" in task ? task.checker : undefined;
  const needed = [task.language, ...(checker === undefined ? [] : [checker.language])];
  const missing = options.route === "wasm" ? [] : unproven((await nativeSelfTest()).proofs, needed);
  const wanted = options.route ?? (missing.length > 0 && canBeWasm ? "wasm" : "native");
  if (wanted === "native") return gradeNative(task, candidate, await layoutFor(...needed), limits, options);
  if (!canBeWasm) {
    return infrastructure(
      `${task.language} does not run in WebAssembly: apt-get install bubblewrap, and the language's tools`,
      { fault: "machine" },
    );
  }
  const verdict = await gradeWasm(task, candidate, await wasmContainment(), limits, options);
  const isLacking = verdict.outcome === "infrastructure-error" && verdict.details?.["fault"] === "machine";
  if (missing.length === 0 || !isLacking) return verdict;
  return {
    ...verdict,
    evidence: `${verdict.evidence} ${refusal(missing, needed)}`,
    details: { ...verdict.details, unproven: missing.map(({ limit }) => limit) },
  };
}

export interface ProgramRun {
  /** What the program did; `refused` by its compiler, or `stopped` by a limit. */
  readonly status: "exited" | "refused" | "stopped";
  readonly exitCode: number | null;
  readonly stopped: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
}

/** Runs a whole program natively on one input. Throws a UserError where a limit that it needs cannot be proven. */
export async function runProgram(
  program: { readonly language: Exclude<Language, "sql">; readonly source: string; readonly stdin?: string },
  options: Pick<GradeOptions, "limits" | "signal"> = {},
): Promise<ProgramRun> {
  const limits = withDefaults(options.limits);
  const { language, source, stdin = "" } = program;
  const prepared = await prepareProgram(language, source, await layoutFor(language), limits, options.signal);
  if (prepared.kind === "refused") {
    const { exit, text } = prepared;
    return { ...nothingRan, exitCode: exit?.code ?? null, stopped: exit?.stopped, stderr: text };
  }
  const exit = await prepared.run(stdin);
  return {
    status: exit.stopped === undefined ? "exited" : "stopped",
    exitCode: exit.code,
    stopped: exit.stopped,
    stdout: exit.stdout.toString("utf8"),
    stderr: exit.stderr.toString("utf8"),
    cpuSeconds: exit.cpuSeconds,
    wallSeconds: exit.wallSeconds,
  };
}

const nothingRan = { status: "refused", stdout: "", cpuSeconds: 0, wallSeconds: 0 } as const;

/** A judging function's word on some arguments, such as AutoIF's `evaluate(response)`: plain JSON in. */
export async function judgeWith(
  checker: Checker,
  args: readonly unknown[],
  options: GradeOptions = {},
): Promise<Verdict> {
  const [verdict] = await judgeEach(checker, [args], options);
  return verdict!;
}

export interface CheckerTest {
  /** The share of unit tests that it passed; one that it could not judge is one that it failed. */
  readonly accuracy: number;
  readonly verdicts: readonly Verdict[];
}

/** A judging function on its own unit tests: which of them it answers as expected. */
export async function testChecker(
  checker: Checker,
  cases: readonly { readonly input: unknown; readonly expected: boolean }[],
  options: GradeOptions = {},
): Promise<CheckerTest> {
  const verdicts = await judgeEach(
    checker,
    cases.map(({ input }) => [input]),
    options,
  );
  const right = verdicts.filter(({ outcome }, i) => outcome === (cases[i]!.expected ? "pass" : "fail"));
  return { accuracy: cases.length === 0 ? 0 : right.length / cases.length, verdicts };
}

async function judgeEach(
  checker: Checker,
  calls: readonly (readonly unknown[])[],
  options: GradeOptions,
): Promise<readonly Verdict[]> {
  const opened: Interpreter[] = [];
  try {
    const open = await interpreterOpener(options);
    const judge = await openChecker(checker, async (language) => {
      const interpreter = await open(language);
      opened.push(interpreter);
      return interpreter;
    });
    if ("problem" in judge) return calls.map(() => infrastructure(judge.problem));
    const verdicts: Verdict[] = [];
    for (const args of calls) verdicts.push(await judge.judge(args.map(encodeJson)));
    return verdicts;
  } catch (error) {
    const verdict = couldNot(error);
    return calls.map(() => verdict);
  } finally {
    for (const interpreter of opened) interpreter.stop("done");
    await Promise.all(opened.map(({ exit }) => exit));
  }
}

async function interpreterOpener(
  options: GradeOptions,
): Promise<(language: "python" | "javascript") => Promise<Interpreter>> {
  const limits = withDefaults(options.limits);
  const { route = "native", signal } = options;
  const { proofs } = await nativeSelfTest();
  return async (language) =>
    options.route === "native" || (route === "native" && unproven(proofs, [language]).length === 0)
      ? openNative(language, "candidate", await layoutFor(language), limits, signal)
      : openWasm(language, "candidate", await wasmContainment(), limits, signal);
}

/** The strongest that this machine offers around the locked process. */
async function wasmContainment(): Promise<Containment> {
  return (await nativeSelfTest()).layout ?? ((await canUnshare()) ? "unshare" : "process");
}
