/** Grades in WebAssembly: Python, JavaScript, TypeScript and SQLite with nothing installed but npm's packages. */
import type { Verdict } from "@posttrain/data";
import { type Raised, responseOf } from "./asserts.js";
import { infrastructure } from "./code-verdict.js";
import { gradeInterpreted, type InterpreterLanguage, withInterpreters } from "./grade-interpreted.js";
import type { Interpreter } from "./interpreter.js";
import type { Limits } from "./limits.js";
import type { Ran } from "./run-program.js";
import { gradeStdio } from "./stdio.js";
import type { CodeTask, GradeOptions } from "./task.js";
import { interpreted } from "./transpile.js";
import { type Containment, openWasm } from "./wasm.js";

export function wasmLanguage(task: CodeTask): InterpreterLanguage | undefined {
  if (task.language === "python" || task.language === "sql") return "python";
  return task.language === "javascript" || task.language === "typescript" ? "javascript" : undefined;
}

export async function gradeWasm(
  task: CodeTask,
  source: string,
  containment: Containment,
  limits: Limits,
  options: GradeOptions,
): Promise<Verdict> {
  return withInterpreters(
    (language, role, within) => openWasm(language, role, containment, within, options.signal),
    limits,
    async (open) => {
      if (task.mode !== "stdio")
        return gradeInterpreted(task, source, { open, unsupported, refuse: promises }, limits, options);
      const { language, code } = await interpreted(task.language, source);
      const run = async (stdin: string): Promise<Ran> =>
        runWhole(await open(language, "candidate"), code, stdin, limits);
      return gradeStdio(task, { kind: "ready", run }, limits, (other) => open(other, "candidate"));
    },
  );
}

function promises(language: InterpreterLanguage, tests: string): Verdict | undefined {
  if (language !== "javascript" || !/\basync\b|\bawait\b|\.then\s*\(/.test(tests)) return undefined;
  return infrastructure(
    "these tests wait for promises, which the WebAssembly route cannot watch: apt-get install bubblewrap",
    { fault: "machine" },
  );
}

async function runWhole(
  interpreter: Interpreter,
  source: string,
  stdin: string,
  limits: Limits,
): Promise<Ran> {
  const ready = await interpreter.receive();
  interpreter.send(`input ${JSON.stringify({ stdin, outputBytes: limits.outputBytes })}`);
  interpreter.send(JSON.stringify({ op: "program", source }));
  const answer = ready === "ready" ? await interpreter.receive() : undefined;
  const output = answer === undefined ? undefined : await interpreter.receive();
  interpreter.stop("done");
  const exit = await interpreter.exit;
  if (!answer?.startsWith("=") || output === undefined) return exit;
  const response = responseOf(answer);
  const code = typeof response["exit"] === "number" ? response["exit"] : 1;
  const text = typeof response["text"] === "string" ? response["text"] : "";
  const missing = response["raised"] === undefined ? undefined : unsupported(response as unknown as Raised);
  return {
    ...exit,
    stopped: undefined,
    code,
    stdout: Buffer.from(output.slice(1), "base64"),
    stderr: Buffer.from(text),
    missing,
  };
}

// What CPython says where WebAssembly has no threads, processes, sockets or signals.
const pythonLacks =
  /can't start new thread|emscripten does not support|not supported on emscripten|Function not implemented|has no attribute '(?:fork|forkpty|alarm|setitimer|kill|killpg|getrlimit|setrlimit)'/;
const nodeLacks =
  /'?(setTimeout|setInterval|setImmediate|clearTimeout|Buffer|URL|URLSearchParams|TextEncoder|TextDecoder|structuredClone|performance|queueMicrotask|Intl|crypto|AbortController|global)'? is not defined/;

/** Of the route's lacks; a program that looks for the host finds nothing, and that is its own doing. */
function unsupported({ text, module }: Raised): string | undefined {
  if (typeof module === "string" && !/^_?(js|pyodide|pyodide_js)(\W|_|$)/.test(module)) {
    return `module ${module.slice(0, 100)} is not there in WebAssembly: install bubblewrap and python3 or node for the native route`;
  }
  if (pythonLacks.test(text) || nodeLacks.test(text)) {
    return `WebAssembly lacks what the program needs (${text.slice(0, 200)}): install bubblewrap for the native route`;
  }
  return undefined;
}
