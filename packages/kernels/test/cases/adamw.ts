import { adamw, type Tensor } from "@posttrain/kernels";
import { bf16Rounding, epsilon, type OpCase, type Reference } from "./case.js";

const settings = {
  learningRate: 0.01,
  beta1: 0.9,
  beta2: 0.95,
  eps: 1e-8,
  weightDecay: 0.1,
  step: 3,
  gradientScale: 0.37,
};

export const adamwCase: OpCase = {
  stem: "adamw",
  shapes: [{ N: 1 }, { N: 61 }, { N: 20_011 }],
  benchmarks: [{ N: 1 << 25 }],
  inputs: ({ N = 0 }, random) => {
    const v = random.normal([N], 0.01);
    return {
      parameter: random.normal([N]),
      m: random.normal([N], 0.1),
      v: { ...v, data: Float32Array.from(v.data, Math.abs) },
      gradient: random.normal([N]),
    };
  },
  run: (_, inputs) => {
    const { parameter, m, v, gradient } = inputs as {
      parameter: Tensor;
      m: Tensor;
      v: Tensor;
      gradient: Tensor;
    };
    adamw(parameter, m, v, gradient, settings);
    return { parameter, m, v };
  },
  reference: ({ parameter, m, v, gradient }, { N = 0 }) => {
    const { learningRate, beta1, beta2, eps, weightDecay, step, gradientScale } = settings;
    const out = { parameter: new Float64Array(N), m: new Float64Array(N), v: new Float64Array(N) };
    for (let i = 0; i < N; i++) {
      const g = (gradient?.data[i] as number) * gradientScale;
      const first = beta1 * (m?.data[i] as number) + (1 - beta1) * g;
      const second = beta2 * (v?.data[i] as number) + (1 - beta2) * g * g;
      const root = Math.sqrt(second) / Math.sqrt(1 - beta2 ** step) + eps;
      out.m[i] = first;
      out.v[i] = second;
      out.parameter[i] =
        (parameter?.data[i] as number) * (1 - learningRate * weightDecay) -
        ((learningRate / (1 - beta1 ** step)) * first) / root;
    }
    return {
      parameter: { data: out.parameter, shape: [N] },
      m: { data: out.m, shape: [N] },
      v: { data: out.v, shape: [N] },
    };
  },
  tolerance: () => ({
    parameter: {
      bound: 4 * epsilon,
      reason: "decay and step round once each; the step is small beside the parameter",
    },
    m: { bound: 6 * epsilon, reason: "scale, difference, product, sum" },
    v: { bound: 6 * epsilon, reason: "scale, two products, sum" },
  }),
  rows: { dim: "N", inputs: ["parameter", "m", "v", "gradient"], outputs: ["parameter", "m", "v"] },
  cost: ({ N = 0 }) => ({ flops: 14 * N, bytes: 28 * N }),
};

// The masters of a model in bf16: the parameter's rounding is written beside it, and the gradient cleared.
export const adamwBf16Case: OpCase = {
  ...adamwCase,
  variant: "bf16",
  run: (scope, inputs, { N = 0 }) => {
    const { parameter, m, v, gradient } = inputs as Record<"parameter" | "m" | "v" | "gradient", Tensor>;
    const rounded = scope.empty([N], "bf16");
    adamw(parameter, m, v, gradient, { ...settings, rounded, clearGradient: true });
    return { parameter, m, v, gradient, rounded };
  },
  reference: (inputs, dims) => {
    const made = adamwCase.reference(inputs, dims);
    const parameter = made["parameter"] as Reference;
    const gradient = { data: new Float64Array(parameter.data.length), shape: parameter.shape };
    return { ...made, rounded: parameter, gradient };
  },
  tolerance: (dims) => ({
    ...adamwCase.tolerance(dims),
    rounded: { bound: 4 * epsilon + bf16Rounding.bound, reason: `the parameter; ${bf16Rounding.reason}` },
    gradient: { bound: 0, reason: "cleared" },
  }),
  rows: {
    dim: "N",
    inputs: ["parameter", "m", "v", "gradient"],
    outputs: ["parameter", "m", "v", "gradient", "rounded"],
  },
  cost: ({ N = 0 }) => ({ flops: 14 * N, bytes: 34 * N }),
};
