/**
 * Tests against a candidate, in two interpreters. The tests' side asks, this process passes lines on, the candidate's side
 * answers; the verdict comes from the tests' side, over a channel that the candidate does not have.
 */
import { randomBytes } from "node:crypto";
import type { Verdict } from "@posttrain/data";
import { shortened } from "@posttrain/data";
import { crash, ended, fail, infrastructure, pass } from "./code-verdict.js";
import type { Exit } from "./contained-process.js";
import type { Interpreter } from "./interpreter.js";
import type { Limits } from "./limits.js";
import type { AssertsTask } from "./task.js";

export interface Pair {
  readonly candidate: Interpreter;
  readonly tests: Interpreter;
}

/** How a program could not be run under a route: undefined if the error is the program's own. */
export type Unsupported = (raised: Raised) => string | undefined;

export interface Raised {
  readonly text: string;
  readonly line: number | null;
  readonly module: string | null;
}

interface Result {
  readonly outcome: "pass" | "fail" | "broken" | "closed" | "objects";
  readonly error?: string;
  readonly at?: { readonly line: number; readonly text: string } | null;
  readonly candidate?: Raised;
  readonly object?: string;
  readonly calls?: number;
  /** Of `objects`: which names are whose, for tests beside the candidate. */
  readonly beside?: unknown;
}

export async function gradeAsserts(
  task: AssertsTask & { readonly reading?: unknown },
  source: string,
  { candidate, tests }: Pair,
  limits: Limits,
  objects: "allow" | "refuse",
  unsupported: Unsupported,
): Promise<Verdict> {
  const loaded = await loadCandidate(candidate, source, limits, unsupported);
  if (loaded !== undefined) return loaded;

  if ((await tests.receive()) !== "ready")
    return infrastructure(await why(tests, "the tests' interpreter did not start"));
  const { preamble, entryPoint, reading } = task;
  tests.send(JSON.stringify({ tests: task.tests, preamble, entryPoint, reading }));
  for (;;) {
    const line = await tests.receive();
    if (line === undefined) return infrastructure(await why(tests, "the tests' interpreter ended"));
    if (line.startsWith("?")) {
      candidate.send(line.slice(1));
      const answer = await candidate.receive();
      tests.send(answer?.startsWith("=") ? answer.slice(1) : "");
      continue;
    }
    const result = JSON.parse(line.slice(1)) as Result;
    if (result.outcome === "objects") {
      return objects === "refuse"
        ? infrastructure(`${result.error}: they would have to run beside the candidate, which was refused`, {
            fault: "row",
          })
        : besideCandidate(task, candidate, limits, result, unsupported);
    }
    return verdictOf(result, candidate, limits, unsupported);
  }
}

/** Undefined once the program is loaded. */
export async function loadCandidate(
  candidate: Interpreter,
  source: string,
  limits: Limits,
  unsupported: Unsupported,
): Promise<Verdict | undefined> {
  if ((await candidate.receive()) !== "ready") {
    return infrastructure(await why(candidate, "the candidate's interpreter did not start"));
  }
  candidate.send(JSON.stringify({ op: "load", source }));
  const answer = await candidate.receive();
  if (!answer?.startsWith("="))
    return ended(await stopped(candidate), limits, "while its program was loaded");
  const response = responseOf(answer);
  return response["raised"] === undefined
    ? undefined
    : raisedVerdict(response as unknown as Raised, unsupported, "while its program was loaded");
}

export function responseOf(line: string): Record<string, unknown> {
  try {
    const response: unknown = JSON.parse(line.slice(1));
    if (typeof response === "object" && response !== null) return response as Record<string, unknown>;
  } catch {
    // Falls through: a candidate that writes to the channel itself.
  }
  return { raised: "", text: "what came is no answer", line: null, module: null };
}

export function raisedVerdict(raised: Raised, unsupported: Unsupported, when: string): Verdict {
  const missing = unsupported(raised);
  if (missing !== undefined) return infrastructure(missing, { fault: "machine" });
  const line = typeof raised.line === "number" ? `, line ${raised.line}` : "";
  return crash(`The candidate raised ${shortened(String(raised.text), 1000)}${line}, ${when}.`);
}

async function verdictOf(
  result: Result,
  candidate: Interpreter,
  limits: Limits,
  unsupported: Unsupported,
): Promise<Verdict> {
  const sealed = { sealed: true, calls: result.calls ?? 0 };
  switch (result.outcome) {
    case "pass":
      return pass(
        `All tests passed, in an interpreter apart from the candidate's (${sealed.calls} calls).`,
        sealed,
      );
    case "broken":
      return infrastructure(`the tests cannot run: ${result.error}`, { fault: "row" });
    case "closed": {
      if (result.candidate) return raisedVerdict(result.candidate, unsupported, "in a test");
      const exit = await stopped(candidate);
      return exit.stopped === "done" ? crash(`${result.error}.`) : ended(exit, limits, "in a test");
    }
    default: {
      const at = result.at ? `, at line ${result.at.line} of the tests: ${result.at.text}` : "";
      if (result.candidate) return raisedVerdict(result.candidate, unsupported, `in a test${at}`);
      const object = result.object
        ? ` It returned an object of type ${result.object}, which equals no plain data.`
        : "";
      const error = result.error ? ` (${result.error})` : "";
      return fail(`A test failed${error}${at}.${object}`, sealed);
    }
  }
}

/** The nonce comes with the tests, after the candidate's program was loaded: what it wrote before knows no nonce. */
async function besideCandidate(
  task: AssertsTask,
  candidate: Interpreter,
  limits: Limits,
  { error: reason = "", beside }: Result,
  unsupported: Unsupported,
): Promise<Verdict> {
  const nonce = randomBytes(16).toString("hex");
  const { tests, preamble } = task;
  candidate.send(JSON.stringify({ op: "beside", tests, preamble, beside, nonce }));
  const answer = await candidate.receive();
  if (!answer?.startsWith("=")) return ended(await stopped(candidate), limits, "in a test");
  const response = responseOf(answer);
  if (response["nonce"] !== nonce) {
    return response["text"] === undefined
      ? crash("The tests' nonce did not come back.", { sealed: false })
      : raisedVerdict(response as unknown as Raised, unsupported, "in a test");
  }
  const result = response as unknown as Result;
  const details = { sealed: false, reason };
  const at = result.at ? `, at line ${result.at.line} of the tests: ${result.at.text}` : "";
  if (result.outcome === "pass") return pass(`All tests passed, beside the candidate: ${reason}.`, details);
  if (result.outcome === "broken")
    return infrastructure(`the tests cannot run: ${result.error}`, { fault: "row" });
  return fail(`A test failed${result.error ? ` (${result.error})` : ""}${at}.`, details);
}

/** Its end, brought about if need be. */
export async function stopped(interpreter: Interpreter): Promise<Exit> {
  // A moment for one that is just dying, so that its own exit is what is reported.
  const timer = setTimeout(() => interpreter.stop("done"), 200);
  const exit = await interpreter.exit;
  clearTimeout(timer);
  return exit;
}

async function why(interpreter: Interpreter, what: string): Promise<string> {
  const exit = await stopped(interpreter);
  const said = shortened(exit.stderr.toString("utf8").trim(), 500);
  const how =
    exit.stopped && exit.stopped !== "done" ? `stopped: ${exit.stopped}` : `exit ${exit.code ?? exit.signal}`;
  return `${what} (${how}${said ? `; ${said}` : ""})`;
}
