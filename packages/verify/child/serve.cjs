// Reads requests from descriptor 3 and answers on 4, a line of JSON each: candidate.js or tests.js as a Node process.
// Follows them in one script.
const { readSync, writeSync } = require("node:fs");
const vm = require("node:vm");

globalThis.require = require;

function evaluate(source, filename) {
  return vm.runInThisContext(source, { filename });
}

const chunk = Buffer.alloc(65536);
let pending = [];

function readLine() {
  for (;;) {
    const last = pending.at(-1);
    const end = last === undefined ? -1 : last.indexOf(10);
    if (end >= 0) {
      const line = Buffer.concat([...pending.slice(0, -1), last.subarray(0, end)]).toString("utf8");
      pending = [last.subarray(end + 1)];
      return line;
    }
    const size = readSync(3, chunk);
    if (size === 0) process.exit(0);
    pending.push(Buffer.from(chunk.subarray(0, size)));
  }
}

function send(text) {
  let data = Buffer.from(`${text}\n`);
  while (data.length > 0) data = data.subarray(writeSync(4, data));
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
    send(`=${await (role === "tests" ? runTests(line, ask, rejections) : handle(line))}`);
  }
}

void main(process.argv[2]);
