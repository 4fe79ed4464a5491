import { sumSquares, type Tensor } from "@posttrain/kernels";
import type { OpCase } from "./case.js";

export const sumSquaresCase: OpCase = {
  stem: "sum_squares",
  shapes: [{ N: 1 }, { N: 4095 }, { N: 4097 }, { N: 100_003 }],
  benchmarks: [{ N: 1 << 26 }],
  inputs: ({ N = 0 }, random) => ({ x: random.normal([N]) }),
  run: (scope, { x }) => ({ total: sumSquares(scope, x as Tensor) }),
  // Compensated (Kahan), so that the reference does not round more than what it judges.
  reference: ({ x }) => {
    let sum = 0;
    let lost = 0;
    for (const value of x?.data ?? []) {
      const term = value * value - lost;
      const next = sum + term;
      lost = next - sum - term;
      sum = next;
    }
    return { total: { data: Float64Array.of(sum), shape: [1] } };
  },
  tolerance: ({ N = 0 }) => ({
    total: {
      bound: (2 + Math.sqrt(N / 16)) * 2 ** -53,
      reason: "float64 lanes of 256 terms in a block, then the blocks; squares of fp32 numbers are exact",
    },
  }),
  cost: ({ N = 0 }) => ({ flops: 2 * N, bytes: 4 * N }),
};

export const sumSquaresBf16Case: OpCase = {
  ...sumSquaresCase,
  variant: "bf16",
  inputs: ({ N = 0 }, random) => ({ x: random.normalBf16([N]) }),
  cost: ({ N = 0 }) => ({ flops: 2 * N, bytes: 2 * N }),
};
