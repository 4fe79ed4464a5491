import { linear } from "@posttrain/kernels";
import { epsilon, type OpCase } from "./case.js";
import { references } from "./run.js";

export const linearCase: OpCase = {
  stem: "linear",
  // Tiles are 14 x 32 (avx512), 6 x 16 (avx2), 4 x 16 (plain); one or two rows and up to 256 take other paths. Sums go by 256 along
  // K, packing by up to 1,024; the widest shape crosses both, and the row rule is tried on it. Rows of 1,024 are packed, few or many.
  shapes: [
    { M: 1, N: 1, K: 1 },
    { M: 2, N: 33, K: 17 },
    { M: 13, N: 100, K: 70 },
    { M: 3, N: 40, K: 1700 },
    { M: 29, N: 31, K: 1025 },
    { M: 64, N: 96, K: 1100 },
    { M: 35, N: 40, K: 1024 },
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
    const rows = x?.data as Float64Array;
    for (let n = 0; n < N; n++) {
      const column = weight?.data.subarray(n * K, (n + 1) * K) as Float64Array;
      // Four rows at a time, three times as fast: their sums do not wait for each other.
      for (let m = 0; m < M; m += 4) {
        const [a, b, c, d] = [0, 1, 2, 3].map((i) => Math.min(m + i, M - 1) * K) as [
          number,
          number,
          number,
          number,
        ];
        let sumA = bias?.data[n] as number;
        let [sumB, sumC, sumD] = [sumA, sumA, sumA];
        for (let k = 0; k < K; k++) {
          const w = column[k] as number;
          sumA += (rows[a + k] as number) * w;
          sumB += (rows[b + k] as number) * w;
          sumC += (rows[c + k] as number) * w;
          sumD += (rows[d + k] as number) * w;
        }
        for (const [i, sum] of [sumA, sumB, sumC, sumD].entries()) if (m + i < M) y[(m + i) * N + n] = sum;
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

// With a bf16 weight. wide: x is f32 (of values that are bf16, so that the reference needs no rounding); narrow: y is bf16. Up to 64 rows
// the weight is streamed; for more, blocks are up to 1,024 deep (640 on tiles), a bf16 y's up to 4,096.
export const linearBf16Case: OpCase = {
  ...linearCase,
  variant: "bf16",
  shapes: [
    { M: 1, N: 1, K: 1, wide: 1, narrow: 0 },
    { M: 2, N: 33, K: 17, wide: 0, narrow: 1 },
    { M: 13, N: 100, K: 70, wide: 1, narrow: 0 },
    { M: 29, N: 31, K: 1025, wide: 0, narrow: 1 },
    { M: 5, N: 40, K: 600, wide: 1, narrow: 1 },
    { M: 65, N: 96, K: 1100, wide: 0, narrow: 0 },
    { M: 300, N: 300, K: 33, wide: 0, narrow: 1 },
  ],
  benchmarks: linearCase.benchmarks.map((dims) => ({ ...dims, wide: 0, narrow: 0 })),
  inputs: ({ M = 0, N = 0, K = 0, wide = 0 }, random) => {
    const x = random.normalBf16([M, K]);
    return {
      x:
        wide === 0
          ? x
          : { ...x, data: Float32Array.from(references({ x })["x"]?.data ?? []), dtype: "f32" as const },
      weight: random.normalBf16([N, K], 1 / Math.sqrt(K)),
      bias: random.normalBf16([N]),
    };
  },
  run: (scope, { x, weight, bias }, { narrow = 0 }) => ({
    y: linear(scope, x as never, weight as never, bias, { dtype: narrow === 0 ? "f32" : "bf16" }),
  }),
  tolerance: ({ K = 0, narrow = 0 }) => ({
    y: {
      bound: (5 + Math.sqrt(K / 32)) * epsilon + narrow * 2 ** -8,
      reason:
        "products of bf16 are exact; two chains of 16 a block, sums of K / 32 blocks, the bias; a bf16 y is rounded to 8 bits",
    },
  }),
  gradients: {
    outputs: ["y"],
    activations: ["x"],
    parameters: ["weight", "bias"],
    tolerance: ({ M = 0, N = 0 }) => ({
      bound: 2 ** -8 + (2 + Math.sqrt(Math.max(M, N))) * epsilon,
      reason: "dy is rounded to bf16, each element by at most 2^-8 of itself; sums over N or M in fp32",
    }),
  },
};
