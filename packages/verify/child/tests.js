// The tests' side in JavaScript: runs trusted tests against stand-ins for the candidate's functions. Follows plain.js; the
// host gives `evaluate(source, name)`.

class NeedsObjects extends Error {}
class Closed extends Error {}

const errorKinds = { Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError };

class Wall {
  constructor(ask) {
    this.ask = ask;
    this.calls = 0;
    this.crossed = [];
    this.needsObjects = undefined;
    this.closed = undefined;
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

  call(number, args) {
    const encoder = new Encoder([], (value) => {
      if (this.numbers.has(value)) return ["o", this.numbers.get(value)];
      throw new NotPlain(`a ${typeof value}`);
    });
    let code;
    try {
      code = args.map((value) => encoder.encode(value));
    } catch (error) {
      this.stopForObjects(`the tests pass ${error.message}`);
    }
    this.calls++;
    const response = this.request({ op: "operate", do: "call", on: ["o", number], args: ["l", code] });
    if (response?.raised !== undefined) {
      const kind = errorKinds[response.raised] ?? Error;
      const error = new kind(String(response.message));
      if (kind === Error) error.name = String(response.raised);
      this.crossed.push([error, response]);
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

  resolve(number, kind, name) {
    if (!Number.isInteger(number)) throw new Malformed("no object");
    let standIn = this.standIns.get(number);
    if (standIn === undefined) {
      const wall = this;
      standIn =
        kind === "callable"
          ? function (...args) {
              if (new.target) wall.stopForObjects("the tests make objects of a class of the candidate's");
              return wall.call(number, args);
            }
          : Object.freeze(Object.create({ toString: () => `[object of the candidate's: ${name}]` }));
      this.standIns.set(number, standIn);
      this.numbers.set(standIn, number);
    }
    return standIn;
  }
}

function defineStandIns(wall, spec) {
  const words = new Set(spec.tests.match(/[A-Za-z_$][\w$]*/g));
  const entry = spec.entryPoint?.split(".")[0];
  if (entry !== undefined) words.add(entry);
  const names = [...words].filter((name) => name === entry || !(name in globalThis));
  const { names: found } = wall.request({ op: "names", names });
  for (const name of names) {
    if (!found?.[name]) continue;
    globalThis[name] = new Decoder([], (...rest) => wall.resolve(...rest)).decode(found[name].value);
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
  if (error instanceof SyntaxError) return { outcome: "broken", error: `${error}` };
  const text = error?.name === undefined ? String(error) : `${error.name}: ${error.message}`;
  return { outcome: "fail", error: text.slice(0, 500), at, assertion: /^Assertion/.test(error?.name ?? "") };
}

/** A promise of the result, as JSON. `rejections` collects what nobody waited for, where the host can see that. */
async function runTests(line, ask, rejections) {
  const spec = JSON.parse(line);
  const wall = new Wall(ask);
  let result;
  try {
    defineStandIns(wall, spec);
    // In a function of their own: their declarations shadow the candidate's names, and they may wait.
    await evaluate(`(async () => {${spec.tests}\n})()`, "tests.js");
    await rejections.settle();
    result = rejections.first ? verdictOf(rejections.first.error, wall, spec.tests) : { outcome: "pass" };
  } catch (error) {
    result = verdictOf(error, wall, spec.tests);
  }
  if (wall.closed) result = { outcome: "closed", error: wall.closed };
  else if (wall.needsObjects) result = { outcome: "objects", error: wall.needsObjects };
  return JSON.stringify({ ...result, calls: wall.calls });
}
