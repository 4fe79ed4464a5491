import { swiglu, type Tensor } from "@posttrain/kernels";
import { bf16Rounding, epsilon, type OpCase } from "./case.js";

export const swigluCase: OpCase = {
  stem: "swiglu",
  shapes: [{ N: 1 }, { N: 45 }, { N: 9001 }],
  benchmarks: [{ N: 4096 * 4864 }],
  inputs: ({ N = 0 }, random) => ({ gate: random.normal([N], 3), up: random.normal([N]) }),
  run: (scope, inputs) => {
    const { gate, up } = inputs as { gate: Tensor; up: Tensor };
    return { y: swiglu(scope, gate, up) };
  },
  reference: ({ gate, up }, { N = 0 }) => ({
    y: {
      data: Float64Array.from({ length: N }, (_, i) => {
        const g = gate?.data[i] as number;
        return (g / (1 + Math.exp(-g))) * (up?.data[i] as number);
      }),
      shape: [N],
    },
  }),
  tolerance: () => ({
    y: { bound: 8 * epsilon, reason: "exp (1.4 half units), a sum, a division, two products" },
  }),
  gradients: {
    outputs: ["y"],
    activations: ["gate", "up"],
    parameters: [],
    tolerance: () => ({ bound: 16 * epsilon, reason: "the sigmoid's roundings enter twice" }),
  },
  rows: { dim: "N", inputs: ["gate", "up"], outputs: ["y"] },
  cost: ({ N = 0 }) => ({ flops: 5 * N, bytes: 12 * N }),
};

export const swigluBf16Case: OpCase = {
  ...swigluCase,
  variant: "bf16",
  inputs: ({ N = 0 }, random) => ({ gate: random.normalBf16([N], 3), up: random.normalBf16([N]) }),
  tolerance: () => ({
    y: { bound: 8 * epsilon + bf16Rounding.bound, reason: `as in fp32; ${bf16Rounding.reason}` },
  }),
  gradients: {
    outputs: ["y"],
    activations: ["gate", "up"],
    parameters: [],
    tolerance: () => ({ bound: bf16Rounding.bound, reason: `dgate and dup: ${bf16Rounding.reason}` }),
  },
  cost: ({ N = 0 }) => ({ flops: 5 * N, bytes: 6 * N }),
};
