// Lines on descriptors 3 (in) and 4 (out), read and written while the event loop stands still: for child processes
// that only ever wait for their parent. Every JavaScript child's, native and in WebAssembly; its folder there has no
// package.json, so the name says what kind of module it is.
const { readSync, writeSync } = require("node:fs");

const chunk = Buffer.alloc(65536);
/** @type {Buffer[]} */
let pending = [];

/** The next line; the process ends with its parent's end of the pipe. */
function readLine() {
  for (;;) {
    const last = pending.at(-1);
    const end = last === undefined ? -1 : last.indexOf(10);
    if (last !== undefined && end >= 0) {
      const line = Buffer.concat([...pending.slice(0, -1), last.subarray(0, end)]).toString("utf8");
      pending = [last.subarray(end + 1)];
      return line;
    }
    const size = readSync(3, chunk);
    if (size === 0) process.exit(0);
    pending.push(Buffer.from(chunk.subarray(0, size)));
  }
}

/** @param {string | Uint8Array} text */
function send(text) {
  let data = typeof text === "string" ? Buffer.from(`${text}\n`) : Buffer.from(text);
  while (data.length > 0) data = data.subarray(writeSync(4, data));
}

/** All of a descriptor that the parent filled. @param {number} descriptor */
function readAll(descriptor) {
  const parts = [];
  const part = Buffer.alloc(1 << 20);
  for (let size = readSync(descriptor, part); size > 0; size = readSync(descriptor, part)) {
    parts.push(Buffer.from(part.subarray(0, size)));
  }
  return Buffer.concat(parts);
}

module.exports = { readLine, send, readAll };
