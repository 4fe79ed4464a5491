import { gatherRows, type Tensor } from "@posttrain/kernels";
import type { OpCase } from "./case.js";

export const gatherRowsCase: OpCase = {
  stem: "gather_rows",
  shapes: [
    { M: 1, R: 1, C: 1 },
    { M: 5, R: 9, C: 17 },
    { M: 200, R: 77, C: 250 },
  ],
  benchmarks: [{ M: 4096, R: 2048, C: 896 }],
  inputs: ({ M = 0, R = 0, C = 0 }, random) => ({ x: random.normal([M, C]), rows: random.integers([R], M) }),
  run: (scope, inputs) => {
    const { x, rows } = inputs as { x: Tensor; rows: Tensor };
    return { y: gatherRows(scope, x, rows) };
  },
  reference: ({ x, rows }, { R = 0, C = 0 }) => {
    const y = new Float64Array(R * C);
    for (let r = 0; r < R; r++) {
      for (let c = 0; c < C; c++) y[r * C + c] = x?.data[(rows?.data[r] as number) * C + c] as number;
    }
    return { y: { data: y, shape: [R, C] } };
  },
  tolerance: () => ({ y: { bound: 0, reason: "a copy" } }),
  gradients: {
    outputs: ["y"],
    activations: ["x"],
    parameters: [],
    tolerance: ({ R = 0 }) => ({
      bound: Math.sqrt(R) * 2 ** -24,
      reason: "rows taken more than once add up",
    }),
  },
  rows: { dim: "R", inputs: ["rows"], outputs: ["y"] },
  cost: ({ R = 0, C = 0 }) => ({ flops: 0, bytes: 8 * R * C }),
};

export const gatherRowsBf16Case: OpCase = {
  ...gatherRowsCase,
  variant: "bf16",
  inputs: ({ M = 0, R = 0, C = 0 }, random) => ({
    x: random.normalBf16([M, C]),
    rows: random.integers([R], M),
  }),
  cost: ({ R = 0, C = 0 }) => ({ flops: 0, bytes: 4 * R * C }),
};
