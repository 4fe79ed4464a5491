// JavaScript in WebAssembly: candidate.js or tests.js inside QuickJS, in a locked Node process.
//
//     node <locks> quickjs.mjs candidate|tests <memoryMb>    reads the role's script from descriptor 6
//
// `fresh` throws the engine's runtime away and makes a new one: nothing of a program is left.

import { readAll, readLine, send } from "./lines.cjs";
import { capMemory } from "./lock.mjs";

const [role = "", memoryMb = "512"] = process.argv.slice(2);
capMemory(Number(memoryMb) + 64);
const { getQuickJS } = await import("quickjs-emscripten");
const script = readAll(6).toString("utf8");
const engine = await getQuickJS();

function open() {
  const runtime = engine.newRuntime();
  runtime.setMemoryLimit(Number(memoryMb) << 20);
  runtime.setMaxStackSize(256 << 10); // More aborts the module.
  const context = runtime.newContext();
  /** @type {string[]} */
  let output = [];
  let outputBytes = 0;
  let outputLimit = 4 << 20;
  let input = "";
  let exitCode = 0;

  /** @param {string} name @param {(...args: any[]) => any} act */
  const host = (name, act) =>
    context.newFunction(name, act).consume((handle) => context.setProp(context.global, name, handle));
  host("evaluate", (source, name) => {
    const result = context.evalCode(context.getString(source), context.getString(name));
    return result.error ? { error: result.error } : result.value;
  });
  host("write", (text) => {
    const written = context.getString(text);
    outputBytes += Buffer.byteLength(written);
    if (outputBytes > outputLimit) {
      send("!output");
      process.exit(0);
    }
    output.push(written);
  });
  host("readInput", () => context.newString(input));
  host("exit", (code) => {
    exitCode = code === undefined ? 0 : Number(context.dump(code) ?? 0);
    return { error: context.newError({ name: "Exit", message: "the program left" }) };
  });
  host("ask", (text) => {
    send(`?${context.getString(text)}`);
    return context.newString(readLine());
  });

  // In a function: the candidate's names and the role's do not meet.
  const entry =
    role === "tests"
      ? "((globalThis.assert = assert), (line) => runTests(line, ask, { settle: () => {} }))"
      : "handle";
  const names = ["evaluate", "write", "readInput", "exit", "ask"];
  const made = context.unwrapResult(
    context.evalCode(
      `((${names.join(", ")}) => {${script}\nreturn { run: ${entry}, runLater };})(${names.join(", ")})`,
      "role.js",
    ),
  );
  for (const name of names) context.unwrapResult(context.evalCode(`delete globalThis.${name}`)).dispose();
  const run = context.getProp(made, "run");
  const runLater = context.getProp(made, "runLater");

  /** @param {string} line */
  const request = (line) => {
    const answer = context.unwrapResult(
      context.newString(line).consume((text) => context.callFunction(run, context.undefined, text)),
    );
    return answer.consume((handle) => {
      if (context.typeof(handle) === "string") return context.getString(handle);
      runtime.executePendingJobs();
      const state = context.getPromiseState(handle);
      if (state.type === "pending")
        return JSON.stringify({
          raised: "Error",
          message: "",
          text: "a promise that nothing settles",
          line: null,
          module: null,
        });
      return context.unwrapResult(state).consume((value) => context.getString(value));
    });
  };

  /** A whole program: {exit, text} and what it wrote. @param {string} source */
  const program = (source) => {
    exitCode = 0;
    const response = { exit: 0 };
    const steps = [
      // As CommonJS has them: what imports is written so.
      () => context.evalCode("globalThis.module = { exports: {} }; globalThis.exports = module.exports;"),
      () => context.evalCode(source, "candidate.js"),
      () => context.callFunction(runLater, context.undefined),
    ];
    for (const step of steps) {
      const result = step();
      if (!result.error) {
        result.value.dispose();
        const jobs = runtime.executePendingJobs();
        if (!jobs.error) continue;
        Object.assign(response, failure(jobs.error));
        break;
      }
      Object.assign(response, failure(result.error));
      break;
    }
    return response;
  };

  /** @param {import("quickjs-emscripten").QuickJSHandle} handle */
  const failure = (handle) => {
    const error = handle.consume((value) => context.dump(value));
    if (error?.name === "Exit") return { exit: exitCode };
    const text = `${error?.name ?? "Error"}: ${error?.message ?? error}`.slice(0, 1000);
    return { exit: 1, raised: String(error?.name), text, line: null, module: error?.module ?? null };
  };

  return {
    request,
    program,
    /** @param {string} text @param {number} limit */
    feed: (text, limit) => {
      input = text;
      outputLimit = limit;
    },
    takeOutput: () => {
      const text = output.join("");
      output = [];
      return text;
    },
    close: () => {
      for (const handle of [run, runLater, made]) handle.dispose();
      context.dispose();
      runtime.dispose();
    },
  };
}

let current = open();
send("ready");
for (;;) {
  const line = readLine();
  if (line === "fresh") {
    try {
      current.close();
    } catch {
      // A program that left handles behind: QuickJS asserts none are. A new process is as fresh.
      send("!used up");
      process.exit(0);
    }
    current = open();
    send("=fresh");
  } else if (line.startsWith("input ")) {
    const { stdin, outputBytes } = JSON.parse(line.slice(6));
    current.feed(stdin, outputBytes);
  } else if (line.startsWith('{"op":"program"')) {
    send(`=${JSON.stringify(current.program(JSON.parse(line).source))}`);
    send(`=${Buffer.from(current.takeOutput()).toString("base64")}`);
  } else send(`=${current.request(line)}`);
}
