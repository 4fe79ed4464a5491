/**
 * An interpreter in a process that can be killed: takes and gives lines (python/serve.py, child/serve.cjs,
 * child/pyodide.mjs, child/quickjs.mjs). Two of them grade a program: the candidate's and the tests'.
 */
import { readFileSync } from "node:fs";
import { bubblewrapLaunch, bubblewrapStarted, type Layout } from "./bubblewrap.js";
import { type ContainedProcess, type Exit, type StopReason, startContained } from "./contained-process.js";
import type { Limits } from "./limits.js";
import { type LineChannel, lineChannel } from "./line-channel.js";
import { ownFile } from "./packages.js";
import { javascriptTool, pythonTool, type Tool } from "./toolchains.js";

export type Role = "candidate" | "tests" | "query";

export interface Interpreter extends LineChannel {
  readonly stop: (reason: StopReason) => void;
  readonly exit: Promise<Exit>;
}

/** One value or argument list of this size is a program's fault, not a task's. */
const maxLineBytes = 64 << 20;

/** The texts that make an interpreter a candidate's or the tests': the same under every route. */
const scripts: Readonly<Record<string, readonly string[]>> = {
  "python candidate": ["python/plain.py", "python/assertions.py", "python/candidate.py"],
  "python tests": ["python/plain.py", "python/assertions.py", "python/reading.py", "python/tests.py"],
  "python query": ["python/plain.py", "python/query.py"],
  "javascript candidate": ["child/plain.js", "child/test-runner.js", "child/candidate.js"],
  "javascript tests": ["child/plain.js", "child/test-runner.js", "child/tests.js"],
};

export function roleScript(language: "python" | "javascript", role: Role): string {
  return sourceText(...scripts[`${language} ${role}`]!);
}

export function sourceText(...paths: readonly string[]): string {
  return paths.map((path) => readFileSync(ownFile(path), "utf8")).join("\n");
}

export async function openNative(
  language: "python" | "javascript",
  role: Role,
  layout: Layout,
  limits: Limits,
  signal: AbortSignal | undefined,
): Promise<Interpreter> {
  const { argv, folders, file, files } =
    language === "python" ? await pythonServer(role) : await javascriptServer(role);
  const launch = bubblewrapLaunch(
    layout,
    {
      argv: [...argv, file, role === "tests" ? "tests" : "candidate"],
      folders,
      files,
      memory: language === "python" ? "address-space" : "data",
      stdin: "",
    },
    limits,
  );
  return interpreterOver(startContained(launch, limits, { signal, hasStarted: bubblewrapStarted }));
}

/** What serves requests: a tool, and the files that it finds in its sandbox. */
interface Server extends Tool {
  readonly file: string;
  readonly files: Readonly<Record<string, string>>;
}

async function pythonServer(role: Role): Promise<Server> {
  const { argv, folders } = await pythonTool();
  const file = "/sandbox/serve.py";
  const script = [
    sourceText("python/lazy_site.py"),
    roleScript("python", role),
    sourceText("python/serve.py"),
  ];
  // -S: lazy_site.py looks for installed packages when one is asked for.
  return { argv: [...argv, "-S"], folders, file, files: { [file]: script.join("\n") } };
}

async function javascriptServer(role: Role): Promise<Server> {
  const { argv, folders } = await javascriptTool();
  const file = "/sandbox/serve.cjs";
  const script = [roleScript("javascript", role), sourceText("child/serve.cjs")].join("\n");
  return {
    argv,
    folders,
    file,
    files: { [file]: script, "/sandbox/lines.cjs": sourceText("child/lines.cjs") },
  };
}

function interpreterOver({ toProgram, fromProgram, exit, stop }: ContainedProcess): Interpreter {
  return { ...lineChannel(toProgram, fromProgram, maxLineBytes), stop, exit };
}
