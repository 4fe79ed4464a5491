// A process that answers lines with lines and may be killed at any time. It reads from standard input and writes to file descriptor 3, so
// that what it prints is its own; the end of what it printed is kept, to be told where it fails.
import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";

export interface ProcessCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** Default: ours. */
  readonly env?: NodeJS.ProcessEnv;
  /** In a group of its own, so that what it starts dies with it. Ctrl-C does not reach it then. */
  readonly ownGroup?: boolean;
}

export interface KillableProcess {
  readonly pid: number | undefined;
  /** Resolves once it has ended and what it said was heard. */
  readonly gone: Promise<void>;
  /** The end of what it printed, and why it could not be started. */
  said(): string;
  /** Without line feeds. */
  send(line: string): void;
  /** Whether ours goes on for it. */
  hold(isBusy: boolean): void;
  kill(): void;
}

const tailLength = 2000;

export function startProcess(
  { program, args, env, ownGroup = false }: ProcessCommand,
  onLine: (line: string) => void,
): KillableProcess {
  const child = spawn(program, [...args], {
    stdio: ["pipe", "pipe", "pipe", "pipe"],
    detached: ownGroup,
    ...(env && { env }),
  });
  let tail = "";
  let isOver = false;
  const kill = (): void => {
    // A group may outlive its leader.
    if (!isOver && !(ownGroup && killGroup(child))) child.kill("SIGKILL");
  };
  const gone = new Promise<void>((resolve) => {
    const end = (): void => {
      isOver = true;
      for (const pipe of child.stdio) pipe?.destroy();
      resolve();
    };
    child.on("error", ({ message }) => {
      tail += message;
      end();
    });
    child.on("exit", () => {
      kill();
      // What has left its group may hold its pipes open.
      const timer = setTimeout(end, 1000);
      child.on("close", () => {
        clearTimeout(timer);
        end();
      });
    });
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      tail = (tail + text).slice(-tailLength);
    });
  }
  child.stdin?.on("error", () => undefined); // A process that is gone says so by its end.
  const answers = child.stdio[3] as Socket;
  answers.setEncoding("utf8").on("data", linesOf(onLine));
  const pipes = [child.stdin, child.stdout, child.stderr, answers] as readonly (Socket | null)[];
  return {
    pid: child.pid,
    gone,
    said: () => tail.trim(),
    send: (line) => void child.stdin?.write(`${line}\n`),
    hold: (isBusy) => {
      for (const one of [child, ...pipes])
        if (isBusy) one?.ref?.();
        else one?.unref?.();
    },
    kill,
  };
}

function killGroup({ pid }: ChildProcess): boolean {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
    return pid !== undefined;
  } catch {
    return false;
  }
}

/** Lines of text that comes in pieces; line feeds alone end them. */
function linesOf(onLine: (line: string) => void): (text: string) => void {
  let begun: string[] = [];
  return (text) => {
    const [end, ...rest] = text.split("\n");
    begun.push(end!);
    for (const next of rest) {
      onLine(begun.join(""));
      begun = [next];
    }
  };
}
