// What the tests of order share: seeded numbers, matrices element by element, the comparison with what the kernels give, and the part of
// attention's rule that is the same in fp32 and in bf16.

import { expect } from "vitest";
import type { Device, Scope, Tensor } from "../src/index.js";
import { firstDifference, numbers } from "./cases/run.js";
import { add, byLanes, div, exp, fma, mul, sub } from "./float32.js";

export const keyBlock = 64;
export const larger = (a: number, b: number): number => (a > b ? a : b);

/** Element `column` of row `row`. */
export const at = (data: ArrayLike<number>, width: number, row: number, column: number): number =>
  data[row * width + column] as number;
export const matrix = (
  rows: number,
  columns: number,
  element: (row: number, column: number) => number,
): Float32Array =>
  Float32Array.from({ length: rows * columns }, (_, i) => element(Math.floor(i / columns), i % columns));

/** Runs `body` on every device and compares what it returns, tensor by tensor, with `expected`. Two NaNs are the same bits. */
export async function expectBits(
  devices: readonly Device[],
  expected: Readonly<Record<string, Float32Array>>,
  body: (scope: Scope, device: Device) => Readonly<Record<string, Tensor>>,
): Promise<void> {
  for (const device of devices) {
    await device.run(async (scope) => {
      const made = body(scope, device);
      for (const [name, values] of Object.entries(expected)) {
        const tensor = made[name] as Tensor;
        const found = numbers(await tensor.read(), tensor.dtype);
        const first = firstDifference(values, found);
        expect(first, `${name} on ${device.path}: ${found[first]}, by the rule ${values[first]}`).toBe(-1);
      }
    });
  }
}

/**
 * y (M, H, D) and lse (M, H) of attention: key blocks from multiples of 64 in the sequence, each from zero against its own maximum, joined in
 * order. `first`: the first row of a row's sequence; `score` of query i, head h, key j; `weigh`: one dimension of a block's sum of p times
 * values, where the dtypes differ.
 */
export function attentionByRule(
  { M, H, D, first }: { M: number; H: number; D: number; first: (row: number) => number },
  score: (i: number, h: number, j: number) => number,
  weigh: (i: number, h: number, block: number, p: readonly number[], d: number) => number,
): { readonly y: Float32Array; readonly lse: Float32Array } {
  const y = new Float32Array(M * H * D);
  const lse = new Float32Array(M * H);
  for (let i = 0; i < M; i++)
    for (let h = 0; h < H; h++) {
      let m = Number.NEGATIVE_INFINITY;
      let l = 0;
      const o = new Array<number>(D).fill(0);
      for (let block = first(i); block <= i; block += keyBlock) {
        const keys = Math.min(keyBlock, i + 1 - block);
        const s = Array.from({ length: keys }, (_, j) => score(i, h, block + j));
        const here = s.reduce(larger);
        const p = s.map((value) => exp(sub(value, here)));
        const sum = byLanes(keys, 0, (j, lane) => add(lane, p[j] as number));
        const both = larger(m, here);
        const [keep, enter] = [exp(sub(m, both)), exp(sub(here, both))];
        m = both;
        l = fma(sum, enter, mul(l, keep));
        for (let d = 0; d < D; d++) o[d] = fma(weigh(i, h, block, p, d), enter, mul(o[d] as number, keep));
      }
      for (let d = 0; d < D; d++) y[(i * H + h) * D + d] = div(o[d] as number, l);
      lse[i * H + h] = m + Math.log(l);
    }
  return { y, lse };
}
