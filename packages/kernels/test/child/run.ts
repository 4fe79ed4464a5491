// Runs a TypeScript file of this folder in a process of its own, so that a crash or a hang is a failed expectation and not a dead
// test runner.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export interface ChildResult {
  /** Exit code, or the signal that ended it. "timeout": it was still running and was killed. */
  readonly end: number | string;
  readonly output: string;
  /** Date.now() when it had ended. */
  readonly endedAt: number;
}

/** Long, for a sanitizer on a busy machine: Node alone can take half a minute to start there. Only what never ends runs into it. */
const limit = 300_000;
/** For a test that runs a child with the usual limit: the child's end is reported before the test's own. */
export const childTestLimit = limit + 10_000;

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

export function runChild(
  script: string,
  args: readonly (string | number)[] = [],
  { timeout = limit, flags = [] as readonly string[] } = {},
): Promise<ChildResult> {
  const child = spawn(
    process.execPath,
    [...flags, "--import", here("./register.mjs"), here(`./${script}`), ...args.map(String)],
    { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NODE_OPTIONS: "" } },
  );
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  child.stderr.on("data", (chunk) => {
    output += chunk;
  });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, timeout);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({
        end: late ? "timeout" : (code ?? signal ?? "unknown"),
        output,
        endedAt: Date.now(),
      });
    });
  });
}
