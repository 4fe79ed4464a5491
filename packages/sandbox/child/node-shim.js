// The little of Node that graded JavaScript uses, for QuickJS: assert, console, reading standard input, writing standard
// output. Anything else is a module that is missing here, which the grader reports as its own lack, not the program's.
// The host gives `write(text)`, `readInput()` and `exit(code)`.

function inspect(value, depth = 0) {
  if (typeof value === "string") return depth === 0 ? value : `'${value}'`;
  if (typeof value === "bigint") return `${value}n`;
  if (Object.is(value, -0)) return "-0";
  if (typeof value === "function") return `[Function: ${value.name || "(anonymous)"}]`;
  if (value === null || typeof value !== "object") return String(value);
  if (value instanceof Error) return String(value.stack ?? value);
  if (depth > 4) return Array.isArray(value) ? "[Array]" : "[Object]";
  const show = (item) => inspect(item, depth + 1);
  if (Array.isArray(value)) return value.length === 0 ? "[]" : `[ ${value.map(show).join(", ")} ]`;
  if (value instanceof Map)
    return `Map(${value.size}) { ${[...value].map(([k, v]) => `${show(k)} => ${show(v)}`).join(", ")} }`;
  if (value instanceof Set) return `Set(${value.size}) { ${[...value].map(show).join(", ")} }`;
  const entries = Object.keys(value).map((key) => `${key}: ${show(value[key])}`);
  return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
}

function format(first, ...rest) {
  if (typeof first !== "string" || !first.includes("%"))
    return [first, ...rest].map((value) => inspect(value)).join(" ");
  const text = first.replace(/%[sdifjoO%]/g, (code) => {
    if (code === "%%") return "%";
    return rest.length === 0 ? code : code === "%j" ? JSON.stringify(rest.shift()) : inspect(rest.shift());
  });
  return [text, ...rest.map((value) => inspect(value))].join(" ");
}

class AssertionError extends Error {
  constructor(message) {
    super(message);
    this.name = "AssertionError";
    this.code = "ERR_ASSERTION";
  }
}

function deepEqual(a, b, strict, seen = new Map()) {
  if (
    strict
      ? Object.is(a, b)
      : Object.is(a, b) || a === b || (typeof a !== "object" && typeof b !== "object" && a == b)
  ) {
    return true;
  }
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (strict && Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  if (seen.get(a) === b) return true;
  seen.set(a, b);
  const same = (x, y) => deepEqual(x, y, strict, seen);
  if (a instanceof Map && b instanceof Map) {
    return a.size === b.size && [...a].every(([key, value]) => b.has(key) && same(value, b.get(key)));
  }
  if (a instanceof Set && b instanceof Set) {
    return (
      a.size === b.size && [...a].every((value) => b.has(value) || [...b].some((other) => same(value, other)))
    );
  }
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]))
  );
}

function fail(message, fallback) {
  throw message instanceof Error ? message : new AssertionError(message ?? fallback);
}

function assert(value, message) {
  if (!value) fail(message, `${inspect(value, 1)} is not true`);
}

const check = (holds, word) => (a, b, message) => {
  if (!holds(a, b)) fail(message, `${inspect(a, 1)} ${word} ${inspect(b, 1)}`);
};

Object.assign(assert, {
  AssertionError,
  ok: assert,
  fail: (message) => fail(message, "failed"),
  equal: check((a, b) => a == b || Object.is(a, b), "=="),
  notEqual: check((a, b) => a != b, "!="),
  strictEqual: check(Object.is, "==="),
  notStrictEqual: check((a, b) => !Object.is(a, b), "!=="),
  deepEqual: check((a, b) => deepEqual(a, b, false), "deeply equals"),
  deepStrictEqual: check((a, b) => deepEqual(a, b, true), "deeply equals"),
  notDeepEqual: check((a, b) => !deepEqual(a, b, false), "does not deeply equal"),
  notDeepStrictEqual: check((a, b) => !deepEqual(a, b, true), "does not deeply equal"),
  throws: (act, expected, message) => {
    try {
      act();
    } catch (error) {
      const fits =
        typeof expected !== "function" && !(expected instanceof RegExp)
          ? true
          : expected instanceof RegExp
            ? expected.test(String(error))
            : error instanceof expected || (expected.prototype === undefined && expected(error) === true);
      if (!fits) throw error;
      return;
    }
    fail(typeof expected === "string" ? expected : message, "Missing expected exception.");
  },
  doesNotThrow: (act) => void act(),
});
assert.strict = Object.assign((...args) => assert(...args), assert, {
  equal: assert.strictEqual,
  deepEqual: assert.deepStrictEqual,
  notEqual: assert.notStrictEqual,
});

// Listeners run once the program's text has run, as they would in Node.
const later = [];

function lines() {
  const text = readInput();
  return text === "" ? [] : text.replace(/\n$/, "").split(/\r?\n/);
}

const stdin = {
  on(event, listener) {
    if (event === "data") later.push([0, () => readInput() !== "" && listener(readInput())]);
    if (event === "end") later.push([1, listener]);
    return stdin;
  },
  setEncoding: () => stdin,
  resume: () => stdin,
};

const modules = {
  assert,
  "assert/strict": assert.strict,
  fs: {
    readFileSync(path, options) {
      if (path !== 0 && path !== "/dev/stdin")
        throw Object.assign(new Error(`ENOENT: ${path}`), { code: "ENOENT" });
      return options === undefined ? { toString: () => readInput() } : readInput();
    },
    writeSync: (_, text) => write(String(text)),
  },
  readline: {
    createInterface: () => {
      const reader = {
        on(event, listener) {
          if (event === "line") later.push([0, () => lines().forEach((line) => void listener(line))]);
          if (event === "close") later.push([1, listener]);
          return reader;
        },
        close: () => {},
      };
      return reader;
    },
  },
  util: { inspect: (value) => inspect(value, 1), format, isDeepStrictEqual: (a, b) => deepEqual(a, b, true) },
};

globalThis.require = (name) => {
  const found = modules[String(name).replace(/^node:/, "")];
  if (found === undefined)
    throw Object.assign(new Error(`Cannot find module '${name}'`), {
      module: String(name),
      missingModule: String(name),
    });
  return found;
};
const print = (...values) => write(`${format(...values)}\n`);
globalThis.console = { log: print, info: print, debug: print, error: () => {}, warn: () => {} };
globalThis.process = {
  argv: ["node", "main.js"],
  env: {},
  exit,
  stdin,
  stdout: {
    write: (text) => {
      write(String(text));
      return true;
    },
  },
  stderr: { write: () => true },
};

function runLater() {
  for (const [, listener] of later.splice(0).sort(([a], [b]) => a - b)) listener();
}
