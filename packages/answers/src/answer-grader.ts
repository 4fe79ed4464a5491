/**
 * Comparisons in processes that can be killed. A comparison is bounded by itself (limits.ts); should one hang or eat its
 * memory all the same, its process dies, its verdict says so, and the next comparison gets a new process. What was waiting
 * behind it is graded again from the start.
 */
import { type ChildProcess, fork } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Verdict } from "@posttrain/data";
import { UserError, withoutThinking } from "@posttrain/data";
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

export interface AnswerJob {
  readonly id: number;
  readonly reference: string | readonly string[];
  readonly response: string;
  readonly options: AnswerOptions;
}

export interface AnswerReply {
  readonly id: number;
  readonly verdict: Verdict;
}

interface Pending {
  readonly job: AnswerJob;
  readonly resolve: (verdict: Verdict) => void;
  readonly reject: (error: Error) => void;
  attempts: number;
}

/** Jobs that a process holds at once: enough that it never waits for the next. */
const PIPELINE = 32;
/** A starved or broken process is no fault of the answer: it is tried so often. */
const ATTEMPTS = 3;

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
  const program = childProgram();
  const queue: Pending[] = [];
  const pool = Array.from(
    { length: workers },
    () => new Worker(program, timeoutMs, memoryMb, queue, () => feed()),
  );
  let nextId = 0;
  let closed = false;

  function feed(): void {
    for (const worker of pool) worker.take();
  }

  function grade(request: AnswerRequest): Promise<Verdict> {
    if (closed) return Promise.reject(new Error("The answer grader is closed."));
    return new Promise((resolve, reject) => {
      const all = { ...defaults, ...request.options };
      const job: AnswerJob = {
        id: nextId++,
        reference: request.reference,
        response: sent(request.response, all),
        options: all,
      };
      queue.push({ job, resolve, reject, attempts: 0 });
      feed();
    });
  }

  async function close(): Promise<void> {
    closed = true;
    const open = [...queue.splice(0), ...pool.flatMap((worker) => worker.abandon())];
    for (const pending of open)
      pending.reject(new Error("The answer grader was closed before this answer was graded."));
    await Promise.all(pool.map((worker) => worker.ended()));
  }

  return {
    grade,
    gradeAll: (requests) => Promise.all(requests.map(grade)),
    close,
    [Symbol.asyncDispose]: close,
  };
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

class Worker {
  readonly #program: string;
  readonly #timeoutMs: number;
  readonly #memoryMb: number;
  readonly #queue: Pending[];
  readonly #freed: () => void;
  #child: ChildProcess | undefined;
  /** In the order in which the process grades them. */
  #held: Pending[] = [];
  #timer: NodeJS.Timeout | undefined;
  #answered = 0;
  #gone: Promise<void> = Promise.resolve();
  #everAnswered = false;

  constructor(program: string, timeoutMs: number, memoryMb: number, queue: Pending[], freed: () => void) {
    this.#program = program;
    this.#timeoutMs = timeoutMs;
    this.#memoryMb = memoryMb;
    this.#queue = queue;
    this.#freed = freed;
  }

  take(): void {
    while (this.#held.length < PIPELINE) {
      const pending = this.#queue.shift();
      if (pending === undefined) return;
      pending.attempts++;
      this.#held.push(pending);
      const child = this.#start();
      child.ref();
      child.send(pending.job, (error) => {
        // A process that died meanwhile reports itself by its exit.
        if (error !== null && child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      });
      if (this.#held.length === 1) this.#watch();
    }
  }

  #start(): ChildProcess {
    if (this.#child !== undefined) return this.#child;
    const child = fork(this.#program, [], {
      serialization: "json",
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      execArgv: [`--max-old-space-size=${this.#memoryMb}`],
      env: { PATH: process.env["PATH"] ?? "" },
    });
    child.on("message", (reply: AnswerReply) => this.#receive(reply));
    this.#gone = new Promise((resolve) => {
      let over = false;
      const end = (): void => {
        if (over) return;
        over = true;
        resolve();
        if (this.#child === child) this.#lost();
      };
      child.on("exit", end);
      child.on("error", end);
    });
    this.#answered = 0;
    this.#child = child;
    return child;
  }

  #receive(reply: AnswerReply): void {
    const index = this.#held.findIndex((pending) => pending.job.id === reply.id);
    if (index < 0) return;
    const [pending] = this.#held.splice(index, 1);
    this.#answered++;
    this.#everAnswered = true;
    pending?.resolve(reply.verdict);
    clearTimeout(this.#timer);
    this.#freed();
    if (this.#held.length > 0) this.#watch();
    // An idle process does not keep ours alive.
    else this.#idle();
  }

  #idle(): void {
    clearTimeout(this.#timer);
    this.#child?.unref();
    this.#child?.channel?.unref();
  }

  /** Watches the job at the head: first for the limit, then, where the process got no CPU for it, for longer. */
  #watch(): void {
    clearTimeout(this.#timer);
    const child = this.#child;
    const head = this.#held[0];
    if (child === undefined || head === undefined) return;
    child.channel?.ref();
    const began = performance.now();
    // A new process has to load first.
    const limit = this.#timeoutMs + (this.#answered === 0 ? 5_000 : 0);
    let used = cpuSeconds(child.pid);
    const look = (): void => {
      if (this.#child !== child || this.#held[0] !== head) return;
      const now = cpuSeconds(child.pid);
      const spent = now === undefined || used === undefined ? Number.POSITIVE_INFINITY : (now - used) * 1000;
      if (this.#answered === 0) used = now;
      const waited = performance.now() - began;
      if (spent >= this.#timeoutMs * 0.8 || waited >= limit * 10) this.#end(child, head, spent);
      else this.#timer = setTimeout(look, this.#timeoutMs / 2);
    };
    this.#timer = setTimeout(() => setImmediate(look), limit);
  }

  #end(child: ChildProcess, head: Pending, spentMs: number): void {
    this.#child = undefined;
    child.kill("SIGKILL");
    this.#held = this.#held.filter((pending) => pending !== head);
    if (spentMs >= this.#timeoutMs * 0.8) {
      head.resolve({
        outcome: "timeout",
        evidence: `The comparison took more than ${this.#timeoutMs} ms and was ended with its process.`,
        details: { timeoutMs: this.#timeoutMs },
      });
    } else this.#retry(head, "the machine gave its process no time");
    this.#requeue();
  }

  /** The process ended by itself. Once may be the machine's doing; twice with the same answer at its head is the answer's. */
  #lost(): void {
    clearTimeout(this.#timer);
    this.#child = undefined;
    const head = this.#held.shift();
    if (head !== undefined) {
      if (head.attempts > 1 && this.#everAnswered) {
        head.resolve({
          outcome: "crash",
          evidence: `The process that compared this answer ended twice, as one does that runs out of its ${this.#memoryMb} MB.`,
        });
      } else this.#retry(head, "its process ended before it answered");
    }
    this.#requeue();
  }

  #retry(pending: Pending, reason: string): void {
    if (pending.attempts < ATTEMPTS) {
      this.#queue.unshift(pending);
      return;
    }
    pending.resolve({
      outcome: "infrastructure-error",
      evidence: `The answer could not be graded in ${pending.attempts} attempts: ${reason}.`,
    });
  }

  #requeue(): void {
    for (const pending of this.#held.splice(0).reverse()) {
      pending.attempts--;
      this.#queue.unshift(pending);
    }
    this.#freed();
  }

  abandon(): Pending[] {
    clearTimeout(this.#timer);
    const child = this.#child;
    this.#child = undefined;
    child?.kill("SIGKILL");
    return this.#held.splice(0);
  }

  ended(): Promise<void> {
    return this.#gone;
  }
}

/** CPU time of a process where the system tells (Linux); undefined elsewhere, and wall time decides. */
function cpuSeconds(pid: number | undefined): number | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ");
    return (Number(fields?.[11]) + Number(fields?.[12])) / 100;
  } catch {
    return undefined;
  }
}
