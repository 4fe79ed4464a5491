import { attention, type Tensor } from "@posttrain/kernels";
import { bf16Rounding, epsilon, type OpCase, type Reference } from "./case.js";

/** Lengths of the packed sequences: one token, a block of keys and one beside it, the rest. */
function startsOf(M: number): Int32Array {
  const starts = [0];
  for (const length of [1, 64, 0, 65, 130]) {
    const last = starts[starts.length - 1] as number;
    if (last + length < M) starts.push(last + length);
  }
  starts.push(M);
  return Int32Array.from(starts);
}

/** Causal grouped-query attention in float64: y of query rows over the keys of their sequences. */
export function attentionReference(
  q: Reference,
  k: Reference,
  v: Reference,
  starts: ArrayLike<number>,
  { M = 0, H = 0, G = 0, D = 0 }: Readonly<Record<string, number>>,
  scale: number,
): Reference {
  const y = new Float64Array(M * H * D);
  for (let s = 0; s + 1 < starts.length; s++) {
    const first = starts[s] as number;
    for (let i = first; i < (starts[s + 1] as number); i++) {
      for (let h = 0; h < H; h++) {
        const g = Math.floor(h / (H / G));
        const scores: number[] = [];
        for (let j = first; j <= i; j++) {
          let dot = 0;
          for (let d = 0; d < D; d++)
            dot += (q.data[(i * H + h) * D + d] as number) * (k.data[(j * G + g) * D + d] as number);
          scores.push(dot * scale);
        }
        const largest = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
        const weights = scores.map((score) => Math.exp(score - largest));
        const total = weights.reduce((a, b) => a + b, 0);
        for (const [j, weight] of weights.entries()) {
          for (let d = 0; d < D; d++) {
            const at = (i * H + h) * D + d;
            y[at] = (y[at] as number) + (weight / total) * (v.data[((first + j) * G + g) * D + d] as number);
          }
        }
      }
    }
  }
  return { data: y, shape: [M, H, D] };
}

export const attentionCase: OpCase = {
  stem: "attention",
  shapes: [
    { M: 1, H: 1, G: 1, D: 1 },
    { M: 7, H: 4, G: 2, D: 5 },
    { M: 70, H: 2, G: 1, D: 16 },
    { M: 300, H: 3, G: 1, D: 33 },
    { M: 131, H: 4, G: 4, D: 64 },
    { M: 90, H: 7, G: 1, D: 128 },
  ],
  benchmarks: [{ M: 1024, H: 9, G: 3, D: 64 }],
  inputs: ({ M = 0, H = 0, G = 0, D = 0 }, random) => ({
    q: random.normal([M, H, D]),
    k: random.normal([M, G, D]),
    v: random.normal([M, G, D]),
    starts: { data: startsOf(M), shape: [startsOf(M).length], dtype: "i32" },
  }),
  run: (scope, inputs, { D = 0 }) => {
    const { q, k, v, starts } = inputs as { q: Tensor; k: Tensor; v: Tensor; starts: Tensor };
    return { y: attention(scope, q, k, v, starts, D ** -0.5) };
  },
  reference: ({ q, k, v, starts }, dims) => ({
    y: attentionReference(
      q as Reference,
      k as Reference,
      v as Reference,
      starts?.data ?? [],
      dims,
      (dims["D"] ?? 1) ** -0.5,
    ),
  }),
  tolerance: ({ M = 0, D = 0 }) => ({
    y: {
      bound: (8 + 2 * Math.sqrt(D) + Math.sqrt(M)) * epsilon,
      reason:
        "scores: a chain over D (their errors enter through exp); weights and values: chains over up to M keys; exp, merging, division",
    },
  }),
  gradients: {
    outputs: ["y"],
    activations: ["q", "k", "v"],
    parameters: [],
    tolerance: ({ M = 0, H = 0, D = 0 }) => ({
      bound: (16 + 4 * Math.sqrt(D) + 2 * Math.sqrt(M * H)) * epsilon,
      reason:
        "scores again, dy.v over D, then chains over keys (dq) and over queries of all heads of a group (dk, dv)",
    }),
  },
  cost: ({ M = 0, H = 0, D = 0 }) => {
    const starts = startsOf(M);
    let pairs = 0;
    for (let s = 0; s + 1 < starts.length; s++) {
      const length = (starts[s + 1] as number) - (starts[s] as number);
      pairs += (length * (length + 1)) / 2;
    }
    return { flops: 4 * pairs * H * D, bytes: 8 * M * H * D };
  },
};

export const attentionBf16Case: OpCase = {
  ...attentionCase,
  variant: "bf16",
  inputs: ({ M = 0, H = 0, G = 0, D = 0 }, random) => ({
    q: random.normalBf16([M, H, D]),
    k: random.normalBf16([M, G, D]),
    v: random.normalBf16([M, G, D]),
    starts: { data: startsOf(M), shape: [startsOf(M).length], dtype: "i32" },
  }),
  tolerance: ({ M = 0, D = 0 }) => ({
    y: {
      bound: (8 + 2 * Math.sqrt(D) + Math.sqrt(M)) * epsilon + 2 * bf16Rounding.bound,
      reason: `as in fp32; p is rounded to bf16, a mean of values weighted by p moves by as much at most; y: ${bf16Rounding.reason}`,
    },
  }),
  gradients: {
    outputs: ["y"],
    activations: ["q", "k", "v"],
    parameters: [],
    tolerance: () => ({
      bound: 4 * bf16Rounding.bound,
      reason:
        "dy, p, ds and, in delta, y are rounded to bf16, each element by at most 2^-8 of itself: four such factors; sums in fp32",
    }),
  },
  cost: (dims) => {
    const { flops, bytes } = attentionCase.cost(dims);
    return { flops, bytes: bytes / 2 };
  },
};
