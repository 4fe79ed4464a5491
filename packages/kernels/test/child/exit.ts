// Ends while the stream is full: exit.ts <how>. Prints when it wanted to end; run.ts measures how long Node took from there.
import { Worker } from "node:worker_threads";
import { fill, linear, openDevice, type Scope } from "../../src/index.js";

const how = process.argv[2];
const device = openDevice({ threads: 2 });
const scope: Scope = device.scope();

/** Ten ops of a length that is measured and returned, in milliseconds, the first at work. */
async function fillQueue(): Promise<number> {
  const slow =
    device.path === "plain" || ["asan", "tsan"].includes(process.env["POSTTRAIN_NATIVE_VARIANT"] ?? "");
  const x = scope.empty([slow ? 128 : 2048, 2048]);
  const w = scope.empty([8192, 2048]);
  fill(x, 1);
  fill(w, 1);
  await device.drain();
  const started = performance.now();
  linear(scope, x, w);
  await device.drain();
  const milliseconds = performance.now() - started;
  for (let i = 0; i < 10; i++) scope.child((inner) => linear(inner, x, w));
  await new Promise((resolve) => setTimeout(resolve, 20));
  return milliseconds;
}
const say = (milliseconds: unknown): void => {
  process.stdout.write(`${Date.now()} ${milliseconds} `);
};

if (how === "worker") {
  // A worker with a stream of its own that is ended in the middle of it.
  const worker = new Worker(new URL("./exit.ts", import.meta.url), { argv: ["in-worker"] });
  say(await new Promise((resolve) => worker.once("message", resolve)));
  await worker.terminate();
} else if (how === "in-worker") {
  const { parentPort } = await import("node:worker_threads");
  const milliseconds = await fillQueue();
  void device.drain();
  parentPort?.postMessage(milliseconds);
  await new Promise((resolve) => setTimeout(resolve, 60_000));
} else {
  say(await fillQueue());
  if (how === "exit") process.exit(0);
  if (how === "exit with waits") {
    void device.drain();
    void scope.empty([2]).read();
    process.exit(0);
  }
  if (how === "throw") throw new Error("on purpose");
  // "return": nobody waits for the stream, so nothing keeps Node alive.
}
