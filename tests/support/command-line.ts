// The built command line as a process of its own (npm test builds it first).
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../../packages/cli/dist/main.js", import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface Started {
  readonly child: ChildProcess;
  /** Standard output and error so far. */
  readonly said: () => string;
  readonly done: Promise<Outcome>;
}

/** Starts `posttrain ...args`; `under` is a command line that runs it, such as ["bash", "-c", 'ulimit -f 10; exec "$@"', "-"]. */
export function startPosttrain(
  args: readonly string[],
  options: {
    readonly env?: Readonly<Record<string, string>>;
    readonly cwd?: string;
    readonly under?: readonly string[];
  } = {},
): Started {
  const [program = "", ...rest] = [...(options.under ?? []), process.execPath, main, ...args];
  const child = spawn(program, rest, { env: { ...process.env, ...options.env }, cwd: options.cwd });
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk: Buffer) => {
    out += String(chunk);
  });
  child.stderr.on("data", (chunk: Buffer) => {
    err += String(chunk);
  });
  const done = once(child, "close").then(([code]) => ({ code: code as number | null, out, err }));
  return { child, said: () => out + err, done };
}
