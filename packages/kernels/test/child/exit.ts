// Ends while the stream is full: exit.ts <how>. Prints when it wanted to end; run.ts measures how long Node took from there.
import { Worker } from "node:worker_threads";
import { add, fill, linear, openDevice, type Scope } from "../../src/index.js";

const how = process.argv[2];
const device = openDevice({ threads: 2 });
const scope: Scope = device.scope();

/** One op of some seconds at work, and thousands behind it. */
async function fillQueue(): Promise<void> {
  const slow =
    device.path === "plain" || (process.env["POSTTRAIN_NATIVE_VARIANT"] ?? "release") !== "release";
  const x = scope.empty([slow ? 128 : 8192, 2048]);
  const w = scope.empty([8192, 2048]);
  fill(x, 1);
  fill(w, 1);
  await device.drain();
  linear(scope, x, w);
  let y = scope.empty([4]);
  for (let i = 0; i < 3000; i++) y = scope.child((inner) => add(inner, y, y));
  await new Promise((resolve) => setTimeout(resolve, 20));
}
const say = (): void => {
  process.stdout.write(`${Date.now()}`);
};

if (how === "worker") {
  // A worker with a stream of its own that is ended in the middle of it.
  const worker = new Worker(new URL("./exit.ts", import.meta.url), { argv: ["in-worker"] });
  await new Promise((resolve) => worker.once("message", resolve));
  say();
  await worker.terminate();
} else if (how === "in-worker") {
  const { parentPort } = await import("node:worker_threads");
  await fillQueue();
  void device.drain();
  parentPort?.postMessage("full");
  await new Promise((resolve) => setTimeout(resolve, 60_000));
} else {
  await fillQueue();
  say();
  if (how === "exit") process.exit(0);
  if (how === "exit with waits") {
    void device.drain();
    void scope.empty([2]).read();
    process.exit(0);
  }
  if (how === "throw") throw new Error("on purpose");
  // "return": nobody waits for the stream, so nothing keeps Node alive.
}
