// Python in WebAssembly: candidate.py or tests.py inside pyodide, in a locked Node process.
//
//     node <locks> pyodide.mjs snapshot <memoryMb>        writes a snapshot of a warm interpreter to descriptor 4
//     node <locks> pyodide.mjs candidate|tests|query <memoryMb> reads it from descriptor 6, the role's script from 7
//
// Each request but `fresh` belongs to one program. `fresh` puts the heap back to where no program had run, and ends the
// process instead if a program left anything outside the heap (files, descriptors, changed objects, a grown heap).

import { readAll, readLine, send } from "./lines.cjs";
import { capMemory } from "./lock.mjs";

// Node would print the line that threw, and pyodide's is a megabyte long.
process.on("uncaughtException", (error) => {
  process.stderr.write(`${String(error).slice(0, 500)}\n`);
  process.exit(1);
});

const [role = "", memoryMb = "512"] = process.argv.slice(2);
capMemory(Number(memoryMb));
const { loadPyodide } = await import("pyodide");

// What `import js` would find.
const jsglobals = Object.freeze(Object.create(null));
const env = { HOME: "/tmp", LANG: "C.UTF-8" };

const warm = `
import ast, bisect, builtins, collections, copy, datetime, decimal, enum, fractions, functools, hashlib, heapq, io
import itertools, json, math, operator, os, random, re, statistics, string, sys, time, traceback, types, typing
`;

// The ways from Python to this realm. Without them \`import js\` finds nothing; what is behind them is locked as well.
const cut = `
import sys
for _name in [n for n in sys.modules if n.split(".")[0] in ("js", "pyodide_js")]:
    del sys.modules[_name]
for _finder in [f for f in sys.meta_path if type(f).__name__ == "JsFinder"]:
    _finder.jsproxies.clear()
    sys.meta_path.remove(_finder)
del _name, _finder
`;

if (role === "snapshot") {
  const pyodide = await loadPyodide({ _makeSnapshot: true, jsglobals, env });
  pyodide.runPython(warm);
  send(pyodide.makeMemorySnapshot());
  process.exit(0);
}

const snapshot = readAll(6);
const script = readAll(7).toString("utf8");
const pyodide = await loadPyodide({ _loadSnapshot: snapshot, jsglobals, env });
const { FS, _module: emscripten } = pyodide;

/** @type {Buffer[]} */
let written = [];
let writtenBytes = 0;
let outputLimit = 4 << 20;
let input = Buffer.alloc(0);

/** @param {number} descriptor */
function sink(descriptor) {
  return {
    /** @param {Uint8Array} bytes */
    write(bytes) {
      writtenBytes += bytes.length;
      if (writtenBytes > outputLimit) {
        send("!output");
        process.exit(0);
      }
      if (descriptor === 1) written.push(Buffer.from(bytes));
      return bytes.length;
    },
  };
}
pyodide.setStdout(sink(1));
pyodide.setStderr(sink(2));
pyodide.setStdin({
  /** @param {Uint8Array} buffer */
  read(buffer) {
    const size = Math.min(buffer.length, input.length);
    buffer.set(input.subarray(0, size));
    input = input.subarray(size);
    return size;
  },
});

pyodide.runPython(cut);
pyodide.runPython(script);
/** @param {string} text */
const ask = (text) => {
  send(`?${text}`);
  return readLine();
};
// Python's reference to `ask` is made before the heap is kept: what this realm counts is not put back with it.
pyodide.globals.set("_ask", ask);
pyodide.runPython("def run_one(line): return run_tests(line, _ask)");
const run = pyodide.globals.get(role === "tests" ? "run_one" : "handle");

const heapLimit = 64 << 20;
const heap = emscripten.HEAPU8.slice();
const stack = emscripten.stackSave();

function putBack() {
  const memory = emscripten.HEAPU8;
  memory.set(heap);
  memory.fill(0, heap.length);
  emscripten.stackRestore(stack);
  written = [];
  writtenBytes = 0;
  input = Buffer.alloc(0);
}

// Once, so that this realm's caches that a first program fills are there before its state is noted.
pyodide.runPython("'-' * 64"); // Long texts have a decoder of their own.
if (role === "tests") run(JSON.stringify({ tests: "print('é')\nraise ValueError()" }));
else if (role === "query") run(JSON.stringify({ setup: "", query: "select 1" }));
else
  for (const source of ["print('é', open('/tmp'))", "import json\nprint(1)"])
    run(JSON.stringify({ op: "load", source }));
putBack();

const state = fingerprint();
const kept = [pyodide, emscripten, FS, pyodide._api].map((object) => ({
  object,
  values: Object.entries(object),
}));

/** Files and descriptors, as a text; contents by length and a sum over them. */
function fingerprint() {
  /** @type {string[]} */
  const lines = [`streams ${FS.streams.filter(Boolean).length}`, `cwd ${FS.cwd()}`];
  /** @param {any} node @param {string} path */
  const visit = (node, path) => {
    if (FS.isDir(node.mode)) {
      if (path === "/dev" || path === "/proc") return;
      lines.push(`${path} ${node.mode}`);
      for (const [name, child] of Object.entries(node.contents ?? {})) visit(child, `${path}/${name}`);
    } else if (FS.isFile(node.mode)) {
      const bytes = node.contents?.subarray?.(0, node.usedBytes) ?? [];
      let sum = 0;
      for (let i = 0; i < bytes.length; i += 64) sum = (sum * 31 + bytes[i]) | 0;
      lines.push(`${path} ${node.mode} ${node.usedBytes} ${sum} ${node.mtime}`);
    } else lines.push(`${path} ${node.mode} ${node.link}`);
  };
  visit(FS.root, "");
  return lines.join("\n");
}

function isUntouched() {
  if (emscripten.HEAPU8.length > heap.length + heapLimit) return false;
  const heaps = /^HEAP/; // Views of the heap are made anew when it grows.
  return (
    fingerprint() === state &&
    kept.every(({ object, values }) => {
      return (
        values.every(([key, value]) => object[key] === value || heaps.test(key)) &&
        Object.keys(object).length === values.length
      );
    })
  );
}

function refresh() {
  if (!isUntouched()) {
    send("!used up");
    process.exit(0);
  }
  putBack();
}

send("ready");
for (;;) {
  const line = readLine();
  if (line === "fresh") {
    refresh();
    send("=fresh");
    continue;
  }
  // What a whole program reads and may write, sent before it.
  if (line.startsWith("input ")) {
    const { stdin, outputBytes } = JSON.parse(line.slice(6));
    input = Buffer.from(stdin, "utf8");
    outputLimit = outputBytes;
    continue;
  }
  const answer = run(line);
  send(`=${answer}`);
  if (line.startsWith('{"op":"program"')) {
    send(`=${Buffer.concat(written).toString("base64")}`);
  }
}
