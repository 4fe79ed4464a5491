// The tests' side in JavaScript: runs trusted tests against stand-ins for the candidate's functions, which ask over there. What they
// return is rebuilt here; a function that came in a field of a result gets no arguments, so no method of the candidate's meets
// what the tests expect. Which names are the candidate's, and which tests need more, is read in their text (reading.mjs).
// Follows plain.js; the host gives `evaluate(source, name)`.

class NeedsObjects extends Error {}
class Closed extends Error {}

// Node's names that QuickJS has not. Tests that use them cannot run there.
const lacking = new Set(
  "setTimeout setInterval setImmediate clearTimeout clearInterval clearImmediate Buffer URL URLSearchParams TextEncoder TextDecoder structuredClone performance queueMicrotask Intl crypto AbortController global __filename __dirname fetch".split(
    " ",
  ),
);

const errorKinds = { Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError };

class Wall {
  constructor(ask) {
    this.ask = ask;
    this.calls = 0;
    this.crossed = [];
    this.needsObjects = undefined;
    this.closed = undefined;
    this.callsResults = false;
    this.properties = new Set();
    this.standIns = new Map();
    this.numbers = new Map();
  }

  close(reason) {
    this.closed = reason;
    throw new Closed(reason);
  }

  stopForObjects(reason) {
    this.needsObjects = reason;
    throw new NeedsObjects(reason);
  }

  request(message) {
    const line = this.ask(JSON.stringify(message));
    if (line === "") this.close("the candidate's program ended");
    try {
      return JSON.parse(line);
    } catch {
      return this.close("the candidate's program sent what is no answer");
    }
  }

  call(number, args, trust) {
    const isMethod = trust.startsWith(".");
    if (
      isMethod
        ? args.length > 0 || !this.properties.has(trust.slice(1))
        : args.length > 0 && !trust && !this.callsResults
    )
      throw new TypeError("a method of an object of the candidate's");
    const encoder = new Encoder([], (value) => {
      if (this.numbers.has(value)) return ["o", this.numbers.get(value)];
      throw new NotPlain(`a ${typeof value}`);
    });
    let code;
    try {
      code = args.map((value) => encoder.encode(value));
    } catch (error) {
      if (trust !== "name" || error instanceof TooDeep) throw error;
      this.stopForObjects(`the tests pass ${error.message}`);
    }
    this.calls++;
    const response = this.request({ op: "operate", do: "call", on: ["o", number], args: ["l", code] });
    if (response?.raised !== undefined) {
      const error = this.errorOf(response);
      if (response.promise === true) return Promise.reject(error);
      throw error;
    }
    try {
      const decoder = new Decoder(encoder.opened, (...rest) => this.resolve(...rest));
      const value = decoder.decode(response.value);
      for (const change of response.changes) decoder.decode(change);
      return response.promise === true ? Promise.resolve(value) : value;
    } catch (error) {
      return this.close(`the candidate's program sent what is no answer: ${error.message}`);
    }
  }

  errorOf(response) {
    const kind = errorKinds[response.raised] ?? Error;
    const error = new kind(String(response.message));
    // A name that assertions of the tests' have stays theirs.
    if (kind === Error && !/^Assert/i.test(response.raised)) error.name = String(response.raised);
    this.crossed.push([error, response]);
    return error;
  }

  resolve(number, kind, name, field, named = false) {
    if (!Number.isInteger(number)) throw new Malformed("no object");
    // Of a name, of a result's field, or a result itself.
    const trust = named ? "name" : field === undefined ? "" : `.${field}`;
    const key = `${number} ${trust}`;
    let standIn = this.standIns.get(key);
    if (standIn === undefined) {
      const wall = this;
      standIn =
        kind === "callable"
          ? function (...args) {
              if (new.target) throw new TypeError("a class of the candidate's");
              return wall.call(number, args, trust);
            }
          : Object.freeze(Object.create({ toString: () => `[object of the candidate's: ${name}]` }));
      this.standIns.set(key, standIn);
      this.numbers.set(standIn, number);
    }
    return standIn;
  }
}

function defineStandIns(wall, { names, modules }) {
  for (const name of modules) globalThis[name] = require(name);
  const { names: found } = wall.request({ op: "names", names });
  for (const path of names) {
    if (!found?.[path]) continue;
    const [name, property] = path.split(".");
    const decoder = new Decoder([], (number, kind, type, field) =>
      wall.resolve(number, kind, type, field, true),
    );
    const value = decoder.decode(found[path].value);
    const owner = property === undefined ? globalThis : globalThis[name];
    if (property === undefined) owner[name] = value;
    else if (
      wall.numbers.has(value) &&
      owner !== undefined &&
      owner !== null &&
      !Object.hasOwn(owner, property)
    )
      Object.defineProperty(owner, property, { value });
  }
}

function verdictOf(error, wall, tests) {
  const line = /tests\.js:(\d+)/.exec(String(error?.stack ?? ""));
  const at = line
    ? { line: Number(line[1]), text: (tests.split("\n")[line[1] - 1] ?? "").trim().slice(0, 500) }
    : null;
  const crossed = wall.crossed.find(([other]) => other === error);
  if (crossed) {
    const [, { text, line: theirs, module }] = crossed;
    return { outcome: "fail", at, candidate: { text, line: theirs, module } };
  }
  if (typeof error?.missingModule === "string" || error?.code === "MODULE_NOT_FOUND") {
    return { outcome: "broken", error: String(error.message) };
  }
  const unknown = /^(?:Can't find variable: )?'?([\w$]+)'? is not defined/.exec(String(error?.message));
  if (error instanceof SyntaxError || (error instanceof ReferenceError && lacking.has(unknown?.[1])))
    return { outcome: "broken", error: `${error}` };
  const text = error?.name === undefined ? String(error) : `${error.name}: ${error.message}`;
  return { outcome: "fail", error: text.slice(0, 500), at, assertion: /^Assertion/.test(error?.name ?? "") };
}

/** A promise of the result, as JSON. `rejections` collects what nobody waited for, where the host can see that. */
async function runTests(line, ask, rejections) {
  const spec = JSON.parse(line);
  const wall = new Wall(ask);
  let result;
  // Tests that are no program were not read.
  const {
    names = [],
    modules = [],
    runners = [],
    objects,
    broken,
    callsResults = false,
    properties = [],
  } = spec.reading ?? {};
  if (broken !== undefined) return JSON.stringify({ outcome: "broken", error: broken });
  if (objects !== undefined)
    return JSON.stringify({ outcome: "objects", error: objects, beside: { runners, modules } });
  wall.callsResults = callsResults;
  wall.properties = new Set(properties);
  try {
    defineStandIns(wall, { names, modules });
    // In a function of their own: their declarations shadow the candidate's names, and they may wait.
    const run = evaluate(`(exports, module) => (async () => {${spec.tests}\n})()`, "tests.js");
    const runner = testRunner();
    for (const name of runners) globalThis[name] = runner.words[name];
    globalThis.require = requiring(globalThis.require, runner.words);
    await run({}, {});
    await runner.runAll();
    await rejections.settle();
    if (wall.numbers.size > 0 && wall.calls === 0 && !rejections.first)
      return JSON.stringify({ outcome: "broken", error: "nothing in them called the program" });
    result = rejections.first ? verdictOf(rejections.first.error, wall, spec.tests) : { outcome: "pass" };
  } catch (error) {
    result = verdictOf(error, wall, spec.tests);
  }
  if (wall.closed) result = { outcome: "closed", error: wall.closed };
  else if (wall.needsObjects)
    result = { outcome: "objects", error: wall.needsObjects, beside: { runners, modules } };
  return JSON.stringify({ ...result, calls: wall.calls });
}
