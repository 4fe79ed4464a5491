/**
 * Comparisons in processes that can be killed. A comparison is bounded by itself (limits.ts); should one hang or eat its
 * memory all the same, its process dies, its verdict says so, and the next comparison gets a new process. What was waiting
 * behind it is graded again from the start.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Verdict } from "@posttrain/data";
import { UserError, withoutThinking } from "@posttrain/data";
import { type Fate, openProcessPool } from "@posttrain/run";
import type { AnswerOptions } from "./grade.js";
import { MAX_RESPONSE_LENGTH } from "./limits.js";

export interface AnswerRequest {
  /** The right answer, or several of which one is enough. */
  readonly reference: string | readonly string[];
  readonly response: string;
  /** Beyond those of the grader. */
  readonly options?: AnswerOptions;
}

export interface AnswerGraderOptions extends AnswerOptions {
  /** Processes; 1 by default. */
  readonly workers?: number;
  /** CPU time of one comparison, and ten times that of wall time where the machine is busy. */
  readonly timeoutMs?: number;
  /** Of one process. */
  readonly memoryMb?: number;
}

export interface AnswerGrader extends AsyncDisposable {
  grade(request: AnswerRequest): Promise<Verdict>;
  /** In the order of the requests. */
  gradeAll(requests: readonly AnswerRequest[]): Promise<Verdict[]>;
  /** Ends the processes; what was not graded yet is rejected. */
  close(): Promise<void>;
}

/** What a process is asked, as JSON; it answers with a verdict. */
export interface AnswerJob {
  readonly reference: string | readonly string[];
  readonly response: string;
  readonly options: AnswerOptions;
}

export function createAnswerGrader(options: AnswerGraderOptions = {}): AnswerGrader {
  const { workers = 1, timeoutMs = 400, memoryMb = 256, ...defaults } = options;
  if (!Number.isInteger(workers) || workers < 1 || workers > 256) {
    throw new UserError(
      "bad_option",
      `workers: a whole number from 1 to 256 is expected, and ${workers} came.`,
    );
  }
  if (!(timeoutMs >= 50 && timeoutMs <= 600_000)) {
    throw new UserError(
      "bad_option",
      `timeoutMs: from 50 to 600000 milliseconds are expected, and ${timeoutMs} came.`,
    );
  }
  const pool = openProcessPool({
    command: {
      program: process.execPath,
      args: [`--max-old-space-size=${memoryMb}`, childProgram()],
      env: { PATH: process.env["PATH"] ?? "" },
    },
    processes: workers,
    depth: 32,
    limit: { seconds: timeoutMs / 1000, clock: "cpu" },
    loadSeconds: 120,
    // Once may be the machine's doing; a process that ends twice with the same answer at its head ends by the answer.
    again: (fate, tries) => (fate === "late" ? false : tries < (fate === "gone" ? 2 : 3)),
  });
  const grade = async ({ reference, response, options: own }: AnswerRequest): Promise<Verdict> => {
    const all = { ...defaults, ...own };
    const job: AnswerJob = { reference, response: sent(response, all), options: all };
    return verdictOf(await pool.run(JSON.stringify(job)), timeoutMs, memoryMb);
  };
  const close = (): Promise<void> => pool.close();
  return {
    grade,
    gradeAll: (requests) => Promise.all(requests.map(grade)),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function verdictOf(fate: Fate, timeoutMs: number, memoryMb: number): Verdict {
  switch (fate.fate) {
    case "answered":
      return JSON.parse(fate.text);
    case "late":
      return {
        outcome: "timeout",
        evidence: `The comparison took more than ${timeoutMs} ms and was ended with its process.`,
        details: { timeoutMs },
      };
    case "gone":
      return {
        outcome: "crash",
        evidence: `The process that compared this answer ended twice, as one does that runs out of its ${memoryMb} MB.`,
      };
    case "starved":
    case "unstarted": {
      const reason =
        fate.fate === "starved"
          ? "the machine gave its process no time"
          : `its process did not start. ${fate.said}`.trim();
      return {
        outcome: "infrastructure-error",
        evidence: `The answer could not be graded in ${fate.tries} attempts: ${reason}.`,
      };
    }
  }
}

/** The end of a response; thinking comes off first, so that no cut hides where it began. */
function sent(response: string, { extracted }: AnswerOptions): string {
  const seen = extracted === true ? response : (withoutThinking(response) ?? "<think>");
  return seen.slice(-MAX_RESPONSE_LENGTH);
}

/** The compiled program: from TypeScript sources, that of the last build. */
function childProgram(): string {
  const beside = fileURLToPath(new URL("./answer-child.js", import.meta.url));
  const built = fileURLToPath(new URL("../dist/answer-child.js", import.meta.url));
  for (const path of [beside, built]) if (existsSync(path)) return path;
  throw new UserError(
    "not_built",
    `${built} is missing: the answer grader runs compiled code. Build it with \`npm start\` or \`npm test\`.`,
  );
}
