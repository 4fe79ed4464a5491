// The candidate's side in JavaScript: holds its program, calls what the tests ask for. Follows plain.js; the host gives
// `evaluate(source, name)`, which runs a script in the global scope and returns its value.

const objects = [];
const module_ = { exports: {} };

function refer(value) {
  let number = objects.indexOf(value);
  if (number < 0) number = objects.push(value) - 1;
  const kind = typeof value === "function" ? "callable" : "object";
  return ["o", number, kind, String(value?.constructor?.name ?? "object"), true];
}

function raised(error) {
  const stack = String(error?.stack ?? "");
  const line = /candidate\.js:(\d+)/.exec(stack);
  return {
    raised: String(error?.name ?? "Error"),
    text: String(error?.message === undefined ? error : `${error.name}: ${error.message}`).slice(0, 2000),
    message: String(error?.message ?? error).slice(0, 2000),
    line: line ? Number(line[1]) : null,
    module: typeof error?.module === "string" ? error.module : null,
  };
}

function lookUp(name) {
  let value;
  const [head, ...rest] = name.split(".");
  try {
    value = evaluate(`typeof ${head} === "undefined" ? undefined : ${head}`, "lookup.js");
  } catch {
    value = undefined; // A name in its temporal dead zone: the program ended before it.
  }
  if (value === undefined) value = module_.exports?.[head] ?? module_.exports?.default?.[head];
  if (value === undefined && module_.exports?.name === head) value = module_.exports;
  for (const part of rest) {
    const owner = typeof value === "function" && value.prototype?.[part] ? new value() : value;
    value = typeof owner?.[part] === "function" ? owner[part].bind(owner) : undefined;
  }
  return value === undefined ? null : { value: new Encoder([], refer).encode(value) };
}

// Tests beside the candidate find these as they were before it.
const own = {};

async function runBeside({ tests, nonce, beside }, rejections) {
  let result = { outcome: "pass" };
  try {
    const runner = testRunner();
    const require = requiring(own.require, runner.words);
    const given = { require, assert: own.assert, exports: {} };
    for (const name of beside.runners) given[name] = runner.words[name];
    for (const name of beside.modules) given[name] = require(name);
    const names = Object.keys(given).join(", ");
    await evaluate(`(${names}) => (async () => {${tests}\n})()`, "tests.js")(...Object.values(given));
    await runner.runAll();
    await rejections.settle();
    if (rejections.first) throw rejections.first.error;
  } catch (error) {
    const { text, line } = raised(error);
    result = { outcome: "fail", error: text, at: line === null ? null : { line, text: "" } };
  }
  return { nonce, ...result };
}

function respond(request, rejections) {
  if (request.op === "load") {
    Object.assign(own, { require: globalThis.require, assert: globalThis.require("assert") });
    for (const assert of [own.assert, own.assert.strict]) Object.freeze(assert);
    globalThis.module = module_;
    globalThis.exports = module_.exports;
    evaluate(request.source, "candidate.js");
    return {};
  }
  if (request.op === "names")
    return { names: Object.fromEntries(request.names.map((name) => [name, lookUp(name)])) };
  if (request.op === "beside") return runBeside(request, rejections);
  const decoder = new Decoder([], (number) => objects[number]);
  const target = decoder.decode(request.on);
  let args;
  if (request.apart) {
    // To a checker: one of them is what a candidate said, which refers to nothing but itself.
    try {
      args = request.args.map((code) => new Decoder().decode(code));
    } catch (error) {
      return { malformed: String(error?.message) };
    }
  } else args = decoder.decode(request.args);
  const answer = (value, promise) => {
    if (request.only)
      return { value: new Encoder([], refer).encode(request.only === "result" ? value : args) };
    const encoder = new Encoder(decoder.known.slice(1), refer); // The first is the argument list itself.
    return { value: encoder.encode(value), changes: encoder.changes(), promise };
  };
  const value = target(...args);
  return typeof value?.then === "function"
    ? value.then((settled) => answer(settled, true))
    : answer(value, false);
}

const stringify = JSON.stringify;

/** One request, one response; both JSON texts. The response may be a promise of one. */
function handle(line, rejections = { settle: () => {} }) {
  let response;
  try {
    response = respond(JSON.parse(line), rejections);
  } catch (error) {
    response = raised(error);
  }
  if (typeof response.then === "function")
    return response.then(stringify, (error) => stringify({ ...raised(error), promise: true }));
  return stringify(response);
}
