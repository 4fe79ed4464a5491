// Two threads of one process, each with a device, at the same time; prints whether all results were right.
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { fill, linear, openDevice, sumSquares } from "../../src/index.js";

async function compute(): Promise<string> {
  const device = openDevice({ threads: 2 });
  const results: number[] = [];
  for (let i = 0; i < 60; i++) {
    await device.run(async (scope) => {
      const x = scope.empty([40, 64]);
      const w = scope.empty([50, 64]);
      fill(x, i);
      fill(w, 0.5);
      results.push((await sumSquares(scope, linear(scope, x, w)).read())[0] as number);
    });
  }
  await device.close();
  return results.join();
}

if (isMainThread) {
  const expected = Array.from({ length: 60 }, (_, i) => 2000 * (32 * i) ** 2).join();
  const workers = [1, 2].map(
    () =>
      new Promise<string>((resolve, reject) => {
        const worker = new Worker(new URL("./workers.ts", import.meta.url));
        worker.on("message", resolve);
        worker.on("error", reject);
      }),
  );
  const results = await Promise.all([compute(), ...workers]);
  process.stdout.write(JSON.stringify(results.map((result) => result === expected)));
} else {
  parentPort?.postMessage(await compute());
}
