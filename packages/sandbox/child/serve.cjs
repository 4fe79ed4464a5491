// Reads requests from descriptor 3 and answers on 4, a line of JSON each: candidate.js or tests.js as a Node process.
// Follows them in one script.
const vm = require("node:vm");
const { readLine, send } = require("./lines.cjs");

globalThis.require = require;

function evaluate(source, filename) {
  return vm.runInThisContext(source, { filename });
}

async function main(role) {
  const rejections = { first: undefined, settle: () => new Promise((resolve) => setImmediate(resolve)) };
  process.on("unhandledRejection", (error) => {
    rejections.first ??= { error };
  });
  if (role === "tests") globalThis.assert = require("node:assert");
  const ask = (text) => {
    send(`?${text}`);
    return readLine();
  };
  send("ready");
  for (;;) {
    const line = readLine();
    send(`=${await (role === "tests" ? runTests(line, ask, rejections) : handle(line, rejections))}`);
  }
}

void main(process.argv[2]);
