/** Verdicts on programs: which outcome an end stands for, and the words. */

import type { Outcome, Verdict } from "@posttrain/data";
import { shortened } from "@posttrain/data";
import type { Exit } from "./contained-process.js";
import type { Limits } from "./limits.js";

type Details = Readonly<Record<string, unknown>>;

function verdict(outcome: Outcome, evidence: string, details: Details | undefined): Verdict {
  return details === undefined ? { outcome, evidence } : { outcome, evidence, details };
}

export function pass(evidence: string, details?: Details): Verdict {
  return verdict("pass", evidence, details);
}

export function fail(evidence: string, details?: Details): Verdict {
  return verdict("fail", evidence, details);
}

export function crash(evidence: string, details?: Details): Verdict {
  return verdict("crash", evidence, details);
}

/** What the grader could not do: retried, counted and masked, never a lesson. */
export function infrastructure(reason: string, details?: Details): Verdict {
  return verdict("infrastructure-error", `Not graded: ${reason}.`, details);
}

// prlimit's soft limit sends SIGXCPU, the hard one SIGKILL; bubblewrap reports 128 + signal.
const sigxcpu = 152;
const sigkill = 137;

/** The verdict on a program that ended before it had answered. */
export function ended(exit: Exit, limits: Limits, when: string): Verdict {
  const details = { cpuSeconds: exit.cpuSeconds, wallSeconds: exit.wallSeconds };
  const said = shortened(exit.stderr.toString("utf8").trim(), 1000);
  const tail = said === "" ? "" : ` It had said: ${said}`;
  if (exit.stopped === "cancelled") return infrastructure("cancelled", details);
  if (!exit.started)
    return infrastructure(`the sandbox did not start (${said || `exit ${exit.code}`})`, details);
  if (
    exit.stopped === "cpu" ||
    exit.code === sigxcpu ||
    (exit.code === sigkill && exit.wallSeconds >= limits.cpuSeconds)
  ) {
    return verdict("timeout", `Spent its ${limits.cpuSeconds} s of CPU time, ${when}.`, details);
  }
  if (exit.stopped === "wall") {
    return verdict("timeout", `Still waiting after ${limits.wallSeconds} s, ${when}.`, details);
  }
  if (exit.stopped === "memory")
    return crash(`Needed more than ${limits.memoryMb} MiB of memory, ${when}.`, details);
  if (exit.stopped === "files")
    return crash(`Made more files than ${limits.fileMb} MiB have pages, ${when}.`, details);
  if (exit.stopped === "output")
    return crash(`Wrote more than ${limits.outputBytes} bytes, ${when}.`, details);
  const how = exit.signal ?? (exit.code === null ? "killed" : `exit code ${exit.code}`);
  return crash(`Its process ended (${how}), ${when}.${tail}`, details);
}
