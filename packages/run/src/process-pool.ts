// Work that may hang, eat its memory or crash, in processes that can be killed: when one dies, what was waiting behind the job at its head is
// done by the next. For graders, whose input comes from models, and for code of the user's.
//
// A process first says `ready TEXT` or `refused TEXT`. A job is a line `ID TEXT`, its answer one of the same ID; processes answer in the
// order of their jobs. Text is JSON, the caller's own.
import { readFileSync } from "node:fs";
import { type KillableProcess, type ProcessCommand, startProcess } from "./killable-process.js";

export interface ProcessPoolOptions {
  readonly command: ProcessCommand;
  /** At most; they are started when there is work for them. */
  readonly processes: number;
  /** Jobs that a process holds at once: one is worked on, the others save it waiting. */
  readonly depth: number;
  /** Of one job. By CPU time: ten times as much of wall time where the machine is busy; wall time where the system does not tell. */
  readonly limit: { readonly seconds: number; readonly clock: "cpu" | "wall" };
  /** Until a process is ready. */
  readonly loadSeconds: number;
  /** Whether a job that has come to this `tries` times gets another process. Default: never. */
  readonly again?: (fate: FailedFate["fate"], tries: number) => boolean;
}

/** What a process says first; or why it says nothing. */
export type Greeting =
  | { readonly word: "ready" | "refused"; readonly text: string }
  | { readonly word: "late" | "gone"; readonly text: string };

type FailedFate = {
  /**
   * late: its time was up, and its process was killed. starved: it got no time. gone: its process ended, or answered what nobody had asked.
   * unstarted: there was no process that could have done it.
   */
  readonly fate: "late" | "starved" | "gone" | "unstarted";
  /** How many processes it has had. */
  readonly tries: number;
  /** The end of what its process printed; unstarted: what it said in place of being ready. */
  readonly said: string;
};

export type Fate = { readonly fate: "answered"; readonly text: string } | FailedFate;

export interface ProcessPool {
  /** Starts one process ahead of its work. */
  start(): Promise<Greeting>;
  run(text: string): Promise<Fate>;
  /** Kills the processes and waits for their end; jobs that have no answer are rejected. */
  close(): Promise<void>;
}

interface Job {
  readonly id: number;
  readonly text: string;
  readonly resolve: (fate: Fate) => void;
  readonly reject: (error: Error) => void;
  tries: number;
}

export function openProcessPool(options: ProcessPoolOptions): ProcessPool {
  const queue: Job[] = [];
  const workers = Array.from({ length: options.processes }, () => new Worker(options, queue, () => feed()));
  let ids = 0;
  let isClosed = false;

  /** The first in the queue goes where the fewest wait; a new process is started when all others are busy. */
  function feed(): void {
    while (queue.length > 0) {
      const free = workers.filter((worker) => worker.load < options.depth);
      const [best] = free.sort((a, b) => a.load - b.load || Number(b.isStarted) - Number(a.isStarted));
      if (best === undefined) return;
      best.take(queue.shift()!);
    }
  }

  return {
    start: () => workers[0]!.start(),
    run: (text) => {
      if (isClosed) return Promise.reject(new Error("The pool of processes is closed."));
      return new Promise((resolve, reject) => {
        queue.push({ id: ids++, text, resolve, reject, tries: 0 });
        feed();
      });
    },
    close: async () => {
      isClosed = true;
      const open = [...queue.splice(0), ...workers.flatMap((worker) => worker.abandon())];
      for (const { reject } of open)
        reject(new Error("The pool of processes was closed before this was done."));
      await Promise.all(workers.map((worker) => worker.gone));
    },
  };
}

class Worker {
  /** Of the last process. */
  gone: Promise<void> = Promise.resolve();
  readonly #options: ProcessPoolOptions;
  readonly #queue: Job[];
  readonly #freed: () => void;
  /** In the order in which the process does them. */
  #held: Job[] = [];
  #process: KillableProcess | undefined;
  #greeting: Promise<Greeting> | undefined;
  #greet: ((greeting: Greeting) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ProcessPoolOptions, queue: Job[], freed: () => void) {
    this.#options = options;
    this.#queue = queue;
    this.#freed = freed;
  }

  get load(): number {
    return this.#held.length;
  }

  get isStarted(): boolean {
    return this.#process !== undefined;
  }

  take(job: Job): void {
    this.#held.push(job);
    if (this.#process === undefined) void this.start();
    else if (this.#greet === undefined) {
      this.#send(job);
      if (this.#held.length === 1) this.#watch();
    }
    this.#process?.hold(true);
  }

  start(): Promise<Greeting> {
    if (this.#greeting !== undefined) return this.#greeting;
    this.#greeting = new Promise((resolve) => {
      this.#greet = resolve;
    });
    const { command, loadSeconds } = this.#options;
    const process = startProcess(command, (line) => {
      if (this.#process === process) this.#hear(line);
    });
    this.#process = process;
    this.gone = process.gone;
    void process.gone.then(() => {
      if (this.#process !== process) return;
      if (this.#greet !== undefined) this.#unready({ word: "gone", text: process.said() });
      else this.#lose("gone");
    });
    this.#timer = setTimeout(() => this.#unready({ word: "late", text: process.said() }), loadSeconds * 1000);
    return this.#greeting;
  }

  #hear(line: string): void {
    const space = line.indexOf(" ");
    const word = line.slice(0, Math.max(0, space));
    const text = line.slice(space + 1);
    if (this.#greet !== undefined) {
      if (word === "ready") this.#ready(text);
      else if (word === "refused") this.#unready({ word, text });
      else this.#unready({ word: "gone", text: `It said in place of being ready: ${line.slice(0, 200)}` });
      return;
    }
    if (word !== String(this.#held[0]?.id)) {
      this.#lose("gone", `It answered what it was not asked: ${line.slice(0, 200)}`);
      return;
    }
    this.#held.shift()?.resolve({ fate: "answered", text });
    this.#freed();
    this.#watch();
  }

  #ready(text: string): void {
    this.#greet?.({ word: "ready", text });
    this.#greet = undefined;
    for (const job of this.#held) this.#send(job);
    this.#watch();
  }

  #send({ id, text }: Job): void {
    // Node's readline ends lines at these two as well, which JSON leaves as they are.
    const line = text.replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
    this.#process?.send(`${id} ${line}`);
  }

  #unready(greeting: Greeting): void {
    this.#greet?.(greeting);
    this.#lose("unstarted", greeting.text);
  }

  /** Watches the job at the head; without one the process does not keep ours alive. */
  #watch(): void {
    clearTimeout(this.#timer);
    const head = this.#held[0];
    const process = this.#process;
    if (process === undefined) return;
    process.hold(head !== undefined);
    if (head === undefined) return;
    const { seconds, clock } = this.#options.limit;
    const began = performance.now();
    const used = clock === "cpu" ? cpuSeconds(process.pid) : undefined;
    const look = (): void => {
      if (this.#process !== process || this.#held[0] !== head) return;
      const waited = (performance.now() - began) / 1000;
      const now = used === undefined ? undefined : cpuSeconds(process.pid);
      // The clock of a process ticks in hundredths of a second.
      const isLate =
        used === undefined || now === undefined ? waited >= seconds : now - used >= seconds * 0.8;
      if (isLate) this.#lose("late");
      else if (waited >= seconds * 10) this.#lose("starved");
      else wait(seconds / 2);
    };
    // Behind what has come meanwhile, where ours was busy.
    const wait = (delay: number): void => {
      this.#timer = setTimeout(() => setImmediate(look), delay * 1000);
    };
    wait(seconds);
  }

  /** The process is no more, or is not to be. What is at its head bears the consequence, the others go to the next. */
  #lose(fate: FailedFate["fate"], said?: string): void {
    const process = this.#letGo();
    const [head, ...others] = this.#held.splice(0);
    if (head !== undefined) {
      head.tries++;
      if (this.#options.again?.(fate, head.tries) === true) others.unshift(head);
      // Once it has ended, so that nobody meets what it leaves.
      else
        void process?.gone.then(() =>
          head.resolve({ fate, tries: head.tries, said: said ?? process.said() }),
        );
    }
    this.#queue.unshift(...others);
    this.#freed();
  }

  #letGo(): KillableProcess | undefined {
    clearTimeout(this.#timer);
    const process = this.#process;
    process?.hold(true); // until it has ended
    process?.kill();
    this.#process = undefined;
    this.#greeting = undefined;
    this.#greet = undefined;
    return process;
  }

  abandon(): Job[] {
    this.#greet?.({ word: "gone", text: "The pool of processes was closed." });
    this.#letGo();
    return this.#held.splice(0);
  }
}

/** CPU time of a process where the system tells (Linux). */
function cpuSeconds(pid: number | undefined): number | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ");
    return (Number(fields?.[11]) + Number(fields?.[12])) / 100;
  } catch {
    return undefined;
  }
}
