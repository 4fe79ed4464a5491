import { gatherIds, type Tensor } from "@posttrain/kernels";
import type { OpCase } from "./case.js";

export const gatherIdsCase: OpCase = {
  stem: "gather_ids",
  shapes: [
    { M: 1, R: 1 },
    { M: 5, R: 33 },
  ],
  benchmarks: [],
  inputs: ({ M = 0, R = 0 }, random) => ({
    x: random.integers([M], 2 ** 31 - 1),
    rows: random.integers([R], M),
  }),
  run: (scope, inputs, { R = 0 }) => {
    const { x, rows } = inputs as { x: Tensor; rows: Tensor };
    const y = scope.empty([R], "i32");
    gatherIds(y, x, rows);
    return { y };
  },
  reference: ({ x, rows }, { R = 0 }) => ({
    y: {
      data: Float64Array.from({ length: R }, (_, r) => x?.data[rows?.data[r] as number] as number),
      shape: [R],
    },
  }),
  tolerance: () => ({ y: { bound: 0, reason: "a copy" } }),
  cost: ({ R = 0 }) => ({ flops: 0, bytes: 8 * R }),
};
