// How time grows: attention with the length of sequences at a constant number of tokens, a product with its rows, and what a second
// thread gives.
import { type Device, type FloatDtype, openDevice } from "@posttrain/kernels";
import { linearForward } from "@posttrain/kernels/binding";
import { attentionOf } from "./attention.js";
import { measure, median, timed } from "./measure.js";
import { report, rowOf } from "./results.js";
import { filled } from "./tensors.js";

const tokens = 16_384;
const lengths = [512, 1024, 2048, 4096, 8192, 16_384];
const rows = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];
const [n, k] = [4864, 896];

export async function curves(device: Device, dtypes: readonly FloatDtype[]): Promise<void> {
  for (const dtype of dtypes) {
    for (const length of lengths) {
      for (const [direction, found] of await attentionOf(device, dtype, tokens / length, length, 9, 3)) {
        const shape = `${tokens / length} x ${length}`;
        report(
          rowOf(device, found, { group: "curves", what: "attention by length", direction, dtype, shape }),
        );
      }
    }
    for (const m of rows) await productOf(device, dtype, m);
  }
  if (device.threads > 1) await threads(device);
}

async function productOf(device: Device, dtype: FloatDtype, m: number): Promise<void> {
  await device.run(async (scope) => {
    const [x, weight] = [filled(scope, [m, k], dtype), filled(scope, [n, k], dtype)];
    const y = scope.empty([m, n], dtype);
    const run = (): void => linearForward(y, x, weight, null);
    const found = await measure(device, { run, cost: 2 * m * n * k, limit: "fp32 peak" });
    const names = { group: "curves", what: "product by rows", direction: "forward", dtype };
    report(rowOf(device, found, { ...names, shape: `${m} x ${n} x ${k}` }));
  });
}

/** One thread against all of them, one after the other in each repetition. */
async function threads(device: Device): Promise<void> {
  const single = openDevice({ path: device.path, threads: 1 });
  try {
    for (const m of [512, 2048]) {
      const time = async (on: Device): Promise<number[]> =>
        on.run(async (scope) => {
          const [x, weight] = [filled(scope, [m, k]), filled(scope, [n, k])];
          const y = scope.empty([m, n]);
          const spans: number[] = [];
          for (let i = 0; i < 3; i++) {
            linearForward(y, x, weight, null);
            await on.drain();
            const { wall } = await timed(async () => {
              linearForward(y, x, weight, null);
              await on.drain();
            });
            spans.push(wall);
          }
          return spans;
        });
      const ratios: number[] = [];
      let seconds = 0;
      for (let i = 0; i < 7; i++) {
        const one = median(await time(single));
        seconds = median(await time(device));
        ratios.push(one / seconds);
      }
      report({
        group: "curves",
        what: `${device.threads} threads against 1`,
        direction: "forward",
        dtype: "f32",
        shape: `${m} x ${n} x ${k}`,
        path: device.path,
        threads: device.threads,
        milliseconds: 1000 * seconds,
        rate: median(ratios),
        unit: "x",
        roof: "one thread",
        roofRate: 1,
        share: median(ratios),
        cpuShare: Number.NaN,
        target: device.threads === 2 ? 1.85 : undefined,
      });
    }
  } finally {
    await single.close();
  }
}
