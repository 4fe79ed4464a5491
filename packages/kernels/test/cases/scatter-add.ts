import type { Tensor } from "@posttrain/kernels";
import { scatterAddForward } from "@posttrain/kernels/binding";
import type { OpCase } from "./case.js";

export const scatterAddCase: OpCase = {
  stem: "scatter_add",
  shapes: [
    { V: 1, R: 1, C: 1 },
    { V: 7, R: 20, C: 17 },
    { V: 300, R: 90, C: 250 },
  ],
  benchmarks: [{ V: 49152, R: 2048, C: 896 }],
  inputs: ({ V = 0, R = 0, C = 0 }, random) => ({
    y: random.normal([V, C]),
    x: random.normal([R, C]),
    rows: random.integers([R], V),
  }),
  run: (_, inputs) => {
    const { y, x, rows } = inputs as { y: Tensor; x: Tensor; rows: Tensor };
    scatterAddForward(y, x, rows);
    return { y };
  },
  reference: ({ y, x, rows }, { V = 0, R = 0, C = 0 }) => {
    const sum = Float64Array.from(y?.data ?? []);
    for (let r = 0; r < R; r++) {
      const row = rows?.data[r] as number;
      for (let c = 0; c < C; c++)
        sum[row * C + c] = (sum[row * C + c] as number) + (x?.data[r * C + c] as number);
    }
    return { y: { data: sum, shape: [V, C] } };
  },
  tolerance: ({ R = 0 }) => ({
    y: { bound: Math.sqrt(R) * 2 ** -24, reason: "a chain of additions over the rows that meet" },
  }),
  cost: ({ R = 0, C = 0 }) => ({ flops: R * C, bytes: 12 * R * C }),
};
