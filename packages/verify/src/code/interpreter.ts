/**
 * An interpreter in a process that can be killed: takes and gives lines (python/serve.py, child/serve.cjs,
 * child/pyodide.mjs, child/quickjs.mjs). Two of them grade a program: the candidate's and the tests'.
 */
import { readFileSync } from "node:fs";
import { type Layout, bubblewrapLaunch, bubblewrapStarted } from "./bubblewrap.js";
import { type ContainedProcess, type Exit, type StopReason, startContained } from "./contained-process.js";
import type { Limits } from "./limits.js";
import { type LineChannel, lineChannel } from "./line-channel.js";
import { ownFile } from "./packages.js";
import { javascriptTool, pythonTool } from "./toolchains.js";

export type Role = "candidate" | "tests" | "query";

export interface Interpreter extends LineChannel {
  readonly stop: (reason: StopReason) => void;
  readonly exit: Promise<Exit>;
}

/** One value or argument list of this size is a program's fault, not a task's. */
const maxLineBytes = 64 << 20;

const scripts = {
  python: {
    candidate: ["plain.py", "candidate.py", "serve.py"],
    tests: ["plain.py", "tests.py", "serve.py"],
    query: ["plain.py", "query.py", "serve.py"],
  },
  javascript: {
    candidate: ["plain.js", "candidate.js", "serve.cjs"],
    tests: ["plain.js", "tests.js", "serve.cjs"],
  },
} as const;

/** The text that makes an interpreter a candidate's or the tests': the same under every route. */
export function roleScript(language: "python" | "javascript", role: Role, withServer: boolean): string {
  const folder = language === "python" ? "python" : "child";
  const names = language === "python" ? scripts.python[role] : scripts.javascript[role as "candidate" | "tests"];
  return names
    .filter((name) => withServer || !name.startsWith("serve"))
    .map((name) => readFileSync(ownFile(folder, name), "utf8"))
    .join("\n");
}

export async function openNative(
  language: "python" | "javascript",
  role: Role,
  layout: Layout,
  limits: Limits,
  signal: AbortSignal | undefined,
): Promise<Interpreter> {
  const script = roleScript(language, role, true);
  const tool = await (language === "python" ? pythonTool() : javascriptTool());
  const file = language === "python" ? "/sandbox/serve.py" : "/sandbox/serve.cjs";
  const launch = bubblewrapLaunch(
    layout,
    {
      argv: [...tool.argv, file, role === "tests" ? "tests" : "candidate"],
      folders: tool.folders,
      files: { [file]: script },
      memory: language === "python" ? "address-space" : "data",
      stdin: "",
    },
    limits,
  );
  return interpreterOver(startContained(launch, limits, { signal, hasStarted: bubblewrapStarted }));
}

export function interpreterOver({ toProgram, fromProgram, exit, stop }: ContainedProcess): Interpreter {
  return { ...lineChannel(toProgram, fromProgram, maxLineBytes), stop, exit };
}
