// Ctrl-C, SIGTERM and SIGHUP. A command ends at once, with an exit code that says why; work that can save itself takes them over: the first then
// asks it to stop at a good place, a second Ctrl-C ends the process at once. Under nohup SIGHUP is ignored.
import { setMaxListeners } from "node:events";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { exitCodes } from "./failure.js";

const codes = {
  SIGINT: exitCodes.interrupted,
  SIGTERM: exitCodes.terminated,
  SIGHUP: exitCodes.hungUp,
} as const;
type EndingSignal = keyof typeof codes;
export const endingSignals = Object.keys(codes) as readonly EndingSignal[];

/** Has taken the signals over. */
let working: ((signal: EndingSignal) => void) | undefined;

/** For the whole process, once. */
export function listenForSignals(): void {
  for (const signal of endingSignals) {
    process.on(signal, () => {
      if (signal === "SIGHUP" && isUnderNohup()) return;
      if (working === undefined) process.exit(codes[signal]);
      working(signal);
    });
  }
}

export interface Stopping {
  /** Aborted when somebody asked to stop. */
  readonly signal: AbortSignal;
  /** From here on there is something to save: takes the signals over until it is disposed of. */
  begin(): void;
  /** The exit code of who was asked to stop and did. */
  exitCode(): number;
  /** The signal by which it was asked. */
  asked(): EndingSignal;
  [Symbol.dispose](): void;
}

/** `asked` tells the person that it was heard. */
export function stopOnSignal(asked: () => void): Stopping {
  const controller = new AbortController();
  // Every request under way listens to it.
  setMaxListeners(0, controller.signal);
  let by: EndingSignal = "SIGINT";
  const stop = (signal: EndingSignal): void => {
    if (controller.signal.aborted) {
      if (signal === "SIGINT") process.exit(exitCodes.interrupted);
      return;
    }
    by = signal;
    asked();
    controller.abort();
  };
  return {
    signal: controller.signal,
    begin: () => {
      working = stop;
    },
    exitCode: () => codes[by],
    asked: () => by,
    [Symbol.dispose]: () => {
      working = undefined;
    },
  };
}

/**
 * nohup has SIGHUP ignored and Node, as it starts, undoes that, so only traces tell: a standard input that nohup made unreadable (opened
 * for writing alone), the name that bash gives a command in `_`, a parent that ignores SIGHUP itself.
 */
function isUnderNohup(): boolean {
  const input = /^flags:\s*(\d+)$/m.exec(textOf("/proc/self/fdinfo/0"))?.[1];
  const ignored = /^SigIgn:\s*([0-9a-f]+)$/m.exec(textOf(`/proc/${process.ppid}/status`))?.[1];
  return (
    (input !== undefined && (Number.parseInt(input, 8) & 3) === 1) ||
    basename(process.env["_"] ?? "") === "nohup" ||
    (ignored !== undefined && (BigInt(`0x${ignored}`) & 1n) === 1n)
  );
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // no /proc: no trace
  }
}
