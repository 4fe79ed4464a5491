// What an op costs that does next to nothing: enqueued from JavaScript, and until it is done.
import { type Device, fill } from "@posttrain/kernels";
import { addForward, swigluForward } from "@posttrain/kernels/binding";
import { median, timed } from "./measure.js";
import { report } from "./results.js";

const ops = 2000; // They fit the stream: nothing waits for room.
const target = 3;

export async function overhead(device: Device): Promise<void> {
  await device.run(async (scope) => {
    const [a, b, y] = [1, 2, 3].map(() => scope.empty([1, 16])) as [never, never, never];
    fill(a, 1);
    fill(b, 1);
    const kinds = [
      ["add", () => addForward(y, a, b)],
      ["SwiGLU", () => swigluForward(y, a, b)],
    ] as const;
    for (const [what, op] of kinds) {
      const spans: { enqueued: number; done: number; cpu: number }[] = [];
      for (let i = 0; i < 40; i++) {
        await device.drain();
        let enqueued = 0;
        const { wall, cpu } = await timed(async () => {
          const start = performance.now();
          for (let k = 0; k < ops; k++) op();
          enqueued = performance.now() - start;
          await device.drain();
        });
        spans.push({ enqueued: enqueued / 1000, done: wall, cpu });
      }
      for (const [direction, key] of [
        ["enqueued", "enqueued"],
        ["until done", "done"],
      ] as const) {
        const microseconds = (1e6 * median(spans.map((span) => span[key]))) / ops;
        report({
          group: "overhead",
          what: `${what} of 16 numbers`,
          direction,
          dtype: "f32",
          shape: "1 x 16",
          path: device.path,
          threads: device.threads,
          milliseconds: microseconds / 1000,
          rate: 1 / microseconds,
          unit: "1/us",
          roof: `${target} us an op`,
          roofRate: 1 / target,
          share: target / microseconds,
          cpuShare: (target * ops) / (1e6 * median(spans.map((span) => span.cpu))),
          target: direction === "enqueued" ? 1 : undefined,
        });
      }
    }
  });
}
