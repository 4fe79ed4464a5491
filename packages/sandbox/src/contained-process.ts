/**
 * One process that runs what a model wrote: starts it, feeds it, caps what it says, and ends it and all below it
 * when it spends its CPU time, its memory, its time on the clock, or when its reader loses interest.
 *
 * Descriptors of the child: 0 to 2 as usual, 3 messages to it, 4 messages from it, 5 the launcher's status, 6 and on
 * files that the launcher reads (bubblewrap's --ro-bind-data).
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { openControlGroup } from "./cgroup.js";
import type { Limits } from "./limits.js";
import { filesInMemory, killTree, socketMemory, usageOf } from "./process-tree.js";

export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Contents of descriptors 6, 7, ... */
  readonly data: readonly (string | Uint8Array)[];
  readonly stdin?: string | Uint8Array;
  /** Where the program sees file systems in memory, and their sizes in bytes. */
  readonly inMemory?: Readonly<Record<string, number>>;
}

export type StopReason = "cpu" | "wall" | "memory" | "files" | "output" | "cancelled" | "done";

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Why it was ended from outside, if it was. */
  readonly stopped: StopReason | undefined;
  /** The launcher got as far as starting the program. */
  readonly started: boolean;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
}

export interface ContainedProcess {
  readonly pid: number | undefined;
  readonly toProgram: Writable;
  readonly fromProgram: Readable;
  readonly exit: Promise<Exit>;
  readonly stop: (reason: StopReason) => void;
  readonly isRunning: () => boolean;
  /** Whether this process waits for that one before it ends by itself. */
  readonly ref: () => void;
  readonly unref: () => void;
  /** CPU seconds so far, of the whole tree. */
  readonly cpuSeconds: () => number;
}

const live = new Set<() => void>();
let timer: NodeJS.Timeout | undefined;
const checkEveryMs = 50;

export interface StartOptions {
  /** `lifetime` (default) counts CPU and wall time from the start; `manual` leaves both to the caller. */
  readonly time?: "lifetime" | "manual";
  readonly signal?: AbortSignal | undefined;
  /** The PID of the program's first process, from the launcher's status, once it began (default: the launcher's own). */
  readonly hasStarted?: (status: string) => number | undefined;
}

export function startContained(launch: Launch, limits: Limits, options: StartOptions = {}): ContainedProcess {
  const begun = performance.now();
  const group = openControlGroup(limits.memoryMb * 2 ** 20);
  const { command, args } = group.command(launch.command, launch.args);
  const child = spawn(command, args, {
    env: launch.env,
    cwd: "/",
    stdio: ["pipe", "pipe", "pipe", "pipe", "pipe", "pipe", ...launch.data.map(() => "pipe" as const)],
  });
  const [stdin, , , toProgram, , , ...files] = child.stdio as unknown as Writable[];
  const [, stdout, stderr, , fromProgram, status] = child.stdio as unknown as Readable[];
  for (const stream of child.stdio) stream?.on("error", () => {}); // EPIPE and the like: the exit says why.

  let stopped: StopReason | undefined;
  let cpuSeconds = 0;
  let said = "";
  const stop = (reason: StopReason): void => {
    if (stopped === undefined) {
      stopped = reason;
      measure(); // Its last account, where it goes with the processes.
    }
    // The launcher's child dies with it (PR_SET_PDEATHSIG) once it has asked for that: not in its first moment. Whatever
    // is in the group by then is killed when the group is removed.
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) killTree(child.pid);
    group.kill();
  };
  const measure = (): number => {
    const [counted, outOfMemory] = [group.cpuSeconds(), group.outOfMemory()];
    // Where no group counts: the sum over the tree.
    const tree =
      child.pid !== undefined && (counted === undefined || outOfMemory === undefined)
        ? usageOf(child.pid)
        : undefined;
    cpuSeconds = counted ?? tree?.cpuSeconds ?? cpuSeconds;
    const first = options.hasStarted?.(said);
    const files = first === undefined ? undefined : filesInMemory(first, launch.inMemory ?? {});
    const sockets = outOfMemory === undefined && first !== undefined ? socketMemory(first) : 0;
    const memoryBytes = (tree?.memoryBytes ?? 0) + (files?.bytes ?? 0) + sockets;
    if (outOfMemory ?? memoryBytes > limits.memoryMb * 2 ** 20) stop("memory");
    else if (files?.tooMany) stop("files");
    return cpuSeconds;
  };
  const check = (): void => {
    const cpu = measure();
    if (options.time === "manual") return;
    if (cpu > limits.cpuSeconds) stop("cpu");
    else if (performance.now() - begun > 1000 * limits.wallSeconds) stop("wall");
  };
  watch(check);
  const overrun = (): StopReason | undefined => {
    if (stopped !== undefined && stopped !== "done") return undefined;
    const cpu = measure();
    if (group.outOfMemory()) return "memory";
    return options.time !== "manual" && cpu > limits.cpuSeconds ? "cpu" : undefined;
  };

  const outputs = [stdout!, stderr!].map((stream) =>
    capped(stream, limits.outputBytes, () => stop("output")),
  );
  status!.setEncoding("utf8").on("data", (text: string) => {
    if (said.length < 65536) said += text;
  });
  launch.data.forEach((content, i) => {
    files[i]!.end(content);
  });
  if (launch.stdin !== undefined) stdin!.end(launch.stdin);

  const abort = (): void => stop("cancelled");
  options.signal?.addEventListener("abort", abort, { once: true });
  if (options.signal?.aborted) abort();

  const exit = ended(child).then(async ({ code, signal, error }): Promise<Exit> => {
    live.delete(check);
    // Its last account: what it spent since the last look counts as well.
    stopped = overrun() ?? stopped;
    await group.remove();
    options.signal?.removeEventListener("abort", abort);
    const [out, err] = outputs.map((chunks) => Buffer.concat(chunks));
    return {
      code,
      signal,
      stopped,
      started:
        error === undefined && (options.hasStarted === undefined || options.hasStarted(said) !== undefined),
      stdout: out!,
      stderr: error === undefined ? err! : Buffer.from(error.message),
      cpuSeconds,
      wallSeconds: (performance.now() - begun) / 1000,
    };
  });
  // A closed one holds nobody; asked all the same, it would wait for a connection, with one listener more each time.
  const handles = (): readonly (ChildProcess | Socket)[] => [
    child,
    ...(child.stdio as unknown as Socket[]).filter(({ destroyed }) => !destroyed),
  ];
  return {
    pid: child.pid,
    toProgram: toProgram!,
    fromProgram: fromProgram!,
    exit,
    stop,
    isRunning: () => child.exitCode === null && child.signalCode === null && stopped === undefined,
    ref: () => {
      for (const handle of handles()) handle.ref();
    },
    unref: () => {
      for (const handle of handles()) handle.unref();
    },
    cpuSeconds: measure,
  };
}

interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly error?: Error;
}

function ended(child: ChildProcess): Promise<End> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve({ code: null, signal: null, error }));
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
}

function capped(stream: Readable, limit: number, onExcess: () => void): Buffer[] {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on("data", (chunk: Buffer) => {
    if (size < limit) chunks.push(chunk.subarray(0, limit - size));
    size += chunk.length;
    if (size > limit) onExcess();
  });
  return chunks;
}

function watch(check: () => void): void {
  live.add(check);
  timer ??= setInterval(() => {
    for (const one of live) one();
    if (live.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  }, checkEveryMs).unref(); // What runs holds this process; what waits for work does not.
}
