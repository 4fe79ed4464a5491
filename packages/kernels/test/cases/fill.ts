import { fill } from "@posttrain/kernels";
import type { OpCase } from "./case.js";

export const fillCase: OpCase = {
  stem: "fill",
  shapes: [{ N: 1 }, { N: 17 }, { N: 70_001 }],
  benchmarks: [{ N: 1 << 26 }],
  inputs: () => ({}),
  run: (scope, _, { N = 0 }) => {
    const y = scope.empty([N]);
    fill(y, -1.5);
    return { y };
  },
  reference: (_, { N = 0 }) => ({ y: { data: new Float64Array(N).fill(-1.5), shape: [N] } }),
  tolerance: () => ({ y: { bound: 0, reason: "the value is an fp32 number" } }),
  cost: ({ N = 0 }) => ({ flops: 0, bytes: 4 * N }),
};
