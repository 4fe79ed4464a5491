// The compute threads: asleep when idle, and of use when there are more of them than cores, as when other programs take the cores: then
// threads are put aside in the middle of an op, waiters fall asleep and have to be woken. A wake-up that gets lost is a test that
// never ends. What contention costs: `npm run bench -- contention`.
import { availableParallelism } from "node:os";
import { add, fill, linear, openDevice, type Scope } from "@posttrain/kernels";
import { expect, it } from "vitest";
import { Random } from "./cases/case.js";
import { firstDifference } from "./cases/run.js";

const random = new Random(21);
const x = random.normal([37, 48]).data as Float32Array;
const weight = random.normal([48, 48], 1 / 7).data as Float32Array;

/** Alternating products and sums, each the next one's input: a part that is missing or taken twice shows in the end. */
async function chain(threads: number, length: number): Promise<Float32Array> {
  const device = openDevice({ threads });
  try {
    return await device.run(async (scope: Scope) => {
      const w = scope.from(weight, [48, 48]);
      let y = scope.from(x, [37, 48]);
      for (let i = 0; i < length; i++) {
        y = add(scope, linear(scope, y, w), y);
        if (i % 50 === 49) {
          const kept = (await y.read()) as Float32Array;
          const largest = kept.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
          y = scope.from(
            kept.map((value) => value / largest),
            [37, 48],
          );
        }
      }
      return (await y.read()) as Float32Array;
    });
  } finally {
    await device.close();
  }
}

it("gives the same bits on many more threads than there are cores", async () => {
  const alone = await chain(1, 2000);
  for (const threads of [2, 3, 4 * availableParallelism() + 1])
    expect(firstDifference(await chain(threads, 2000), alone), `${threads} threads`).toBe(-1);
});

it("takes no processor time when idle", async () => {
  const device = openDevice({ threads: 2 * availableParallelism() });
  await device.run(async (scope) => {
    const y = scope.empty([100_000]);
    for (let i = 0; i < 100; i++) fill(y, i);
    await device.drain();
    await new Promise((resolve) => setTimeout(resolve, 50));
    const before = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, 500));
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000, "milliseconds of 500").toBeLessThan(150);
  });
  await device.close();
});
