// To f32 exactly, to bf16 and f16 by rounding to nearest, ties to even. Every bf16 and f16 bit pattern is tried in convert.test.ts.
import { convert } from "@posttrain/kernels";
import type { OpCase } from "./case.js";

export const convertCase: OpCase = {
  stem: "convert",
  shapes: [{ N: 1 }, { N: 31 }, { N: 4099 }],
  benchmarks: [{ N: 1 << 25 }],
  inputs: ({ N = 0 }, random) => ({ x: random.normal([N]) }),
  run: (scope, { x }, { N = 0 }) => {
    const there = scope.empty([N], "bf16");
    const back = scope.empty([N]);
    convert(there, x as never);
    convert(back, there);
    return { y: back };
  },
  reference: ({ x }, { N = 0 }) => ({ y: { data: Float64Array.from(x?.data ?? []), shape: [N] } }),
  tolerance: () => ({
    y: { bound: 2 ** -8, reason: "bf16 keeps 8 bits of the fraction: half a unit is 2^-9, relative 2^-8" },
  }),
  cost: ({ N = 0 }) => ({ flops: 0, bytes: 12 * N }),
};
