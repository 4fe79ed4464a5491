/** Grades in WebAssembly: Python, JavaScript, TypeScript and SQLite with nothing installed but npm's packages. */
import type { Verdict } from "@posttrain/data";
import { gradeAsserts, type Raised, responseOf } from "./asserts.js";
import { gradeCalls } from "./calls.js";
import { crash, infrastructure } from "./code-verdict.js";
import type { Interpreter, Role } from "./interpreter.js";
import { type Limits, testsLimits } from "./limits.js";
import { gradeQuery } from "./query.js";
import type { Ran } from "./run-program.js";
import { gradeStdio } from "./stdio.js";
import type { CodeTask, GradeOptions } from "./task.js";
import { interpreted, interpretedTests, NotTranspiled } from "./transpile.js";
import { type Containment, openWasm } from "./wasm.js";

type WasmLanguage = "python" | "javascript";

export function wasmLanguage(task: CodeTask): WasmLanguage | undefined {
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
  const { signal, objects = "allow" } = options;
  const opened: Interpreter[] = [];
  const open = async (which: WasmLanguage, role: Role): Promise<Interpreter> => {
    const within = role === "tests" ? testsLimits(limits) : limits;
    const interpreter = await openWasm(which, role, containment, within, signal);
    opened.push(interpreter);
    return interpreter;
  };
  const openCandidate = (which: WasmLanguage): Promise<Interpreter> => open(which, "candidate");
  try {
    if (task.mode === "query") return await gradeQuery(task, source, () => open("python", "query"), limits);
    const { language, code } = await interpreted(task.language, source);
    if (task.mode === "stdio") {
      const run = async (stdin: string): Promise<Ran> =>
        runWhole(await openCandidate(language), code, stdin, limits);
      return await gradeStdio(task, { kind: "ready", run }, limits, openCandidate);
    }
    if (task.mode === "calls") {
      return await gradeCalls(task, code, await openCandidate(language), limits, unsupported, openCandidate);
    }
    const { tests, reading } = await interpretedTests(task.language, task.tests, task.entryPoint);
    if (language === "javascript" && /\basync\b|\bawait\b|\.then\s*\(/.test(tests)) {
      return infrastructure(
        "these tests wait for promises, which the WebAssembly route cannot watch: apt-get install bubblewrap",
        { fault: "machine" },
      );
    }
    const [candidate, own] = await Promise.all([openCandidate(language), open(language, "tests")]);
    return await gradeAsserts(
      { ...task, tests, reading },
      code,
      { candidate, tests: own },
      limits,
      objects,
      unsupported,
    );
  } catch (error) {
    if (error instanceof NotTranspiled) return crash(`It is no program of its language: ${error.message}`);
    throw error;
  } finally {
    for (const interpreter of opened) interpreter.stop("done");
    await Promise.all(opened.map(({ exit }) => exit));
  }
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
