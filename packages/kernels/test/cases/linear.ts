import { linear } from "@posttrain/kernels";
import { epsilon, type OpCase } from "./case.js";

export const linearCase: OpCase = {
  stem: "linear",
  // Tiles are 14 x 32 (avx512), 6 x 16 (avx2), 4 x 16 (plain); up to two tiles of rows take another path. Sums go by 256 along K,
  // packing by up to 1,024; the widest shape crosses both, and the row rule is tried on it.
  shapes: [
    { M: 1, N: 1, K: 1 },
    { M: 2, N: 33, K: 17 },
    { M: 13, N: 100, K: 70 },
    { M: 29, N: 31, K: 1025 },
    { M: 64, N: 96, K: 1100 },
    { M: 300, N: 300, K: 33 },
  ],
  benchmarks: [
    { M: 1, N: 4864, K: 896 },
    { M: 16, N: 4864, K: 896 },
    { M: 512, N: 896, K: 896 },
    { M: 2048, N: 896, K: 896 },
    { M: 2048, N: 4864, K: 896 },
    { M: 2048, N: 896, K: 4864 },
  ],
  inputs: ({ M = 0, N = 0, K = 0 }, random) => ({
    x: random.normal([M, K]),
    weight: random.normal([N, K], 1 / Math.sqrt(K)),
    bias: random.normal([N]),
  }),
  run: (scope, { x, weight, bias }) => ({ y: linear(scope, x as never, weight as never, bias) }),
  reference: ({ x, weight, bias }, { M = 0, N = 0, K = 0 }) => {
    const y = new Float64Array(M * N);
    for (let m = 0; m < M; m++) {
      for (let n = 0; n < N; n++) {
        let sum = bias?.data[n] as number;
        for (let k = 0; k < K; k++)
          sum += (x?.data[m * K + k] as number) * (weight?.data[n * K + k] as number);
        y[m * N + n] = sum;
      }
    }
    return { y: { data: y, shape: [M, N] } };
  },
  tolerance: ({ K = 0 }) => ({
    y: {
      bound: (3 + Math.sqrt(Math.min(K, 256)) + Math.sqrt(K / 256)) * epsilon,
      reason:
        "chains of 256 fused multiply-adds, each rounding a partial sum no larger than the result's scale; their sums; the bias",
    },
  }),
  gradients: {
    outputs: ["y"],
    activations: ["x"],
    parameters: ["weight", "bias"],
    tolerance: ({ M = 0, N = 0 }) => ({
      bound: (2 + Math.sqrt(Math.max(M, N))) * epsilon,
      reason: "chains over N for dx, over M tokens for dweight and dbias",
    }),
  },
  rows: { dim: "M", inputs: ["x"], outputs: ["y"] },
  cost: ({ M = 0, N = 0, K = 0 }) => ({ flops: 2 * M * N * K, bytes: 4 * (M * K + N * K + M * N) }),
};
