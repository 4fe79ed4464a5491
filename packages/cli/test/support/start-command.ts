// A command as a process of its own that goes on beside the test, and ends with it.
import { type ChildProcess, spawn } from "node:child_process";
import { onTestFinished } from "vitest";
import { main } from "./command-line.js";

export interface Started {
  readonly child: ChildProcess;
  /** What it has printed so far, on either stream. */
  said(): string;
  readonly ended: Promise<number | null>;
}

/** `under`: what starts it in its own place, as ["bash", "-c", 'ulimit -n 9; exec "$@"', "-"]. */
export function startCommand(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  under: readonly string[] = [],
): Started {
  const [program = "", ...rest] = [...under, process.execPath, main, ...args];
  const child = spawn(program, rest, { env: { ...process.env, ...env } });
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => {
      said += chunk;
    });
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  onTestFinished(async () => {
    // It ends a stopped one too.
    child.kill("SIGKILL");
    await ended;
  });
  return { child, ended, said: () => said };
}
