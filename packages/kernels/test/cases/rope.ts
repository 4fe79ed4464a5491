import { rope, type Tensor } from "@posttrain/kernels";
import { bf16Rounding, epsilon, type OpCase } from "./case.js";

export const ropeCase: OpCase = {
  stem: "rope",
  shapes: [
    { M: 1, H: 1, A: 1 },
    { M: 5, H: 3, A: 9 },
    { M: 70, H: 4, A: 32 },
  ],
  benchmarks: [{ M: 4096, H: 14, A: 32 }],
  inputs: ({ M = 0, H = 0, A = 0 }, random) => {
    const angles = Array.from({ length: M * A }, () => 6.3 * random.uniform());
    return {
      x: random.normal([M, H, 2 * A]),
      cosines: { data: Float32Array.from(angles, Math.cos), shape: [M, A], dtype: "f32" },
      sines: { data: Float32Array.from(angles, Math.sin), shape: [M, A], dtype: "f32" },
    };
  },
  run: (scope, inputs) => {
    const { x, cosines, sines } = inputs as { x: Tensor; cosines: Tensor; sines: Tensor };
    return { y: rope(scope, x, { cosines, sines }) };
  },
  reference: ({ x, cosines, sines }, { M = 0, H = 0, A = 0 }) => {
    const y = new Float64Array(M * H * 2 * A);
    for (let m = 0; m < M; m++) {
      for (let h = 0; h < H; h++) {
        for (let p = 0; p < A; p++) {
          const first = (m * H + h) * 2 * A + p;
          const a = x?.data[first] as number;
          const b = x?.data[first + A] as number;
          const cosine = cosines?.data[m * A + p] as number;
          const sine = sines?.data[m * A + p] as number;
          y[first] = a * cosine - b * sine;
          y[first + A] = b * cosine + a * sine;
        }
      }
    }
    return { y: { data: y, shape: [M, H, 2 * A] } };
  },
  tolerance: () => ({ y: { bound: 3 * epsilon, reason: "one product and one fused multiply-add" } }),
  gradients: {
    outputs: ["y"],
    activations: ["x"],
    parameters: [],
    tolerance: () => ({ bound: 4 * epsilon, reason: "the same rotation backwards" }),
  },
  rows: { dim: "M", inputs: ["x", "cosines", "sines"], outputs: ["y"] },
  cost: ({ M = 0, H = 0, A = 0 }) => ({ flops: 6 * M * H * A, bytes: 16 * M * H * A }),
};

export const ropeBf16Case: OpCase = {
  ...ropeCase,
  variant: "bf16",
  inputs: (dims, random) => {
    const { M = 0, H = 0, A = 0 } = dims;
    return { ...ropeCase.inputs(dims, random), x: random.normalBf16([M, H, 2 * A]) };
  },
  tolerance: () => ({
    y: { bound: 3 * epsilon + bf16Rounding.bound, reason: `one product, one sum; ${bf16Rounding.reason}` },
  }),
  cost: ({ M = 0, H = 0, A = 0 }) => ({ flops: 6 * M * H * A, bytes: 8 * M * H * A }),
};
