import { add } from "@posttrain/kernels";
import { epsilon, type OpCase } from "./case.js";

export const addCase: OpCase = {
  stem: "add",
  shapes: [{ N: 1 }, { N: 33 }, { N: 65_539 }],
  benchmarks: [{ N: 1 << 25 }],
  inputs: ({ N = 0 }, random) => ({ a: random.normal([N]), b: random.normal([N]) }),
  run: (scope, { a, b }) => ({ y: add(scope, a as never, b as never) }),
  reference: ({ a, b }, { N = 0 }) => ({
    y: {
      data: Float64Array.from({ length: N }, (_, i) => (a?.data[i] as number) + (b?.data[i] as number)),
      shape: [N],
    },
  }),
  tolerance: () => ({ y: { bound: epsilon, reason: "one addition" } }),
  gradients: {
    outputs: ["y"],
    activations: ["a", "b"],
    parameters: [],
    tolerance: () => ({ bound: 0, reason: "the gradient is the incoming one" }),
  },
  rows: { dim: "N", inputs: ["a", "b"], outputs: ["y"] },
  cost: ({ N = 0 }) => ({ flops: N, bytes: 12 * N }),
};
