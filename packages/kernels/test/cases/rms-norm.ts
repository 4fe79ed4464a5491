import { rmsNorm } from "@posttrain/kernels";
import { bf16Rounding, epsilon, type OpCase, type Tolerance } from "./case.js";

const eps = 1e-6;

export const rmsNormCase: OpCase = {
  stem: "rms_norm",
  shapes: [
    { M: 1, C: 1 },
    { M: 3, C: 17 },
    { M: 7, C: 64 },
    { M: 33, C: 250 },
    { M: 300, C: 896 },
  ],
  benchmarks: [{ M: 4096, C: 896 }],
  inputs: ({ M = 0, C = 0 }, random) => ({
    x: random.normal([M, C]),
    residual: random.normal([M, C]),
    weight: random.normal([C], 0.2, 1),
  }),
  run: (scope, { x, residual, weight }) =>
    rmsNorm(scope, x as never, weight as never, { eps, residual: residual as never }),
  reference: ({ x, residual, weight }, { M = 0, C = 0 }) => {
    const y = new Float64Array(M * C);
    const sum = new Float64Array(M * C);
    for (let m = 0; m < M; m++) {
      let squares = 0;
      for (let c = 0; c < C; c++) {
        const s = (x?.data[m * C + c] as number) + (residual?.data[m * C + c] as number);
        sum[m * C + c] = s;
        squares += s * s;
      }
      const rstd = 1 / Math.sqrt(squares / C + eps);
      for (let c = 0; c < C; c++)
        y[m * C + c] = (sum[m * C + c] as number) * rstd * (weight?.data[c] as number);
    }
    return { y: { data: y, shape: [M, C] }, sum: { data: sum, shape: [M, C] } };
  },
  tolerance: ({ C = 0 }) => ({
    y: {
      bound: (6 + Math.sqrt(C) / 8) * epsilon,
      reason:
        "sum, rstd and two products round once each (6 half units with the residual's sum in the square); the mean of squares adds sqrt(C/16) lane steps, halved by the root",
    },
    sum: { bound: epsilon, reason: "one addition" },
  }),
  gradients: {
    outputs: ["y", "sum"],
    activations: ["x", "residual"],
    parameters: ["weight"],
    tolerance: ({ M = 0, C = 0 }) => ({
      bound: (16 + Math.sqrt(C) / 2 + Math.sqrt(M)) * epsilon,
      reason:
        "two reductions over C for dx, one chain over M tokens for dweight, a dozen roundings beside them",
    }),
  },
  rows: { dim: "M", inputs: ["x", "residual"], outputs: ["y", "sum"] },
  cost: ({ M = 0, C = 0 }) => ({ flops: 6 * M * C, bytes: 16 * M * C }),
};

// Weight and y are bf16, x and the residual f32, as in a model in bf16.
export const rmsNormBf16Case: OpCase = {
  ...rmsNormCase,
  variant: "bf16",
  inputs: ({ M = 0, C = 0 }, random) => ({
    x: random.normal([M, C]),
    residual: random.normal([M, C]),
    weight: random.normalBf16([C]),
  }),
  tolerance: (dims) => {
    const { y, sum } = rmsNormCase.tolerance(dims) as Readonly<Record<"y" | "sum", Tolerance>>;
    return { y: { bound: y.bound + bf16Rounding.bound, reason: `${y.reason}; ${bf16Rounding.reason}` }, sum };
  },
  cost: ({ M = 0, C = 0 }) => ({ flops: 6 * M * C, bytes: 14 * M * C }),
};
