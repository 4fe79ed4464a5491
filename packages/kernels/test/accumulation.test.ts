// Parameter gradients are one chain over tokens that starts from the stored gradient: rows in one call, one by one or in uneven
// parts leave the same bits. (Summing a call from zero and adding the sum afterwards turns these tests red.)
import { type Device, fill, openDevice, type Scope, type Tensor } from "@posttrain/kernels";
import { linearBackward, tokenLogProbsBackward, tokenLogProbsForward } from "@posttrain/kernels/binding";
import { afterAll, expect, it } from "vitest";
import { Random } from "./cases/case.js";
import { firstDifference } from "./cases/run.js";

const device: Device = openDevice({ threads: 2 });
afterAll(() => device.close());

const rows = 70;
const partitions = [[70], Array<number>(70).fill(1), [5, 33, 32], [64, 6]];

/** The gradients that `accumulate` leaves when it is called for each part of the rows, for each partition. */
async function gradients(
  shapes: readonly (readonly number[])[],
  accumulate: (scope: Scope, gradients: readonly Tensor[], at: number, count: number) => void,
): Promise<Float32Array[]> {
  const results: Float32Array[] = [];
  for (const partition of partitions) {
    await device.run(async (scope) => {
      const found = shapes.map((shape) => scope.empty(shape));
      for (const gradient of found) fill(gradient, 0.1);
      let at = 0;
      for (const count of partition) {
        accumulate(scope, found, at, count);
        at += count;
      }
      const values = await Promise.all(found.map((gradient) => gradient.read()));
      results.push(Float32Array.from(values.flatMap((data) => [...data])));
    });
  }
  return results;
}

function slice(
  scope: Scope,
  values: { readonly data: unknown },
  width: number,
  at: number,
  count: number,
): Tensor {
  const data = values.data as Float32Array;
  return scope.from(data.slice(at * width, (at + count) * width), width === 1 ? [count] : [count, width]);
}

it("linear: weight and bias gradients of 70 rows, however they are cut", async () => {
  const [N, K] = [37, 45];
  const random = new Random(1);
  const [x, dy, weight] = [random.normal([rows, K]), random.normal([rows, N]), random.normal([N, K])];
  const [whole, ...parts] = await gradients([[N, K], [N]], (scope, [dweight, dbias], at, count) => {
    const w = scope.from(weight.data, [N, K]);
    linearBackward(
      null,
      dweight as Tensor,
      dbias as Tensor,
      slice(scope, dy, N, at, count),
      slice(scope, x, K, at, count),
      w,
    );
  });
  for (const part of parts) expect(firstDifference(part, whole as Float32Array)).toBe(-1);
});

it("tokenLogProbs: the weight's gradient of 70 rows, however they are cut", async () => {
  const [C, V] = [24, 2100];
  const random = new Random(2);
  const [x, weight] = [random.normal([rows, C]), random.normal([V, C], 0.3)];
  const [dlogProb, targets] = [random.normal([rows]), random.integers([rows], V)];
  const [whole, ...parts] = await gradients([[V, C]], (scope, [dweight], at, count) => {
    const [lp, entropy, lse, mean] = [0, 1, 2, 3].map(() => scope.empty([count])) as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ];
    const [inputs, w, ids] = [
      slice(scope, x, C, at, count),
      scope.from(weight.data, [V, C]),
      slice(scope, targets, 1, at, count),
    ];
    tokenLogProbsForward(lp, entropy, lse, mean, scope.empty([count], "i32"), inputs, w, ids, 1);
    tokenLogProbsBackward(
      null,
      dweight as Tensor,
      slice(scope, dlogProb, 1, at, count),
      inputs,
      w,
      ids,
      lse,
      1,
    );
  });
  for (const part of parts) expect(firstDifference(part, whole as Float32Array)).toBe(-1);
});
