import { tokenLogProbs } from "@posttrain/kernels";
import { epsilon, type OpCase } from "./case.js";

export const tokenLogProbsCase: OpCase = {
  stem: "token_log_probs",
  // The vocabulary is summed in blocks of 2,048, rows in chunks of 256 and groups of 1,024; the last shape crosses them in the
  // backward too, which takes more columns at a time for fewer rows. T: temperature in percent.
  shapes: [
    { M: 1, C: 1, V: 1, T: 100 },
    { M: 3, C: 17, V: 33, T: 70 },
    { M: 7, C: 24, V: 2049, T: 100 },
    { M: 20, C: 33, V: 4100, T: 70 },
    { M: 270, C: 16, V: 300, T: 130 },
    { M: 1030, C: 2, V: 2060, T: 100 },
  ],
  benchmarks: [
    { M: 512, C: 576, V: 49152, T: 100 },
    { M: 64, C: 896, V: 151936, T: 100 },
  ],
  inputs: ({ M = 0, C = 0, V = 0 }, random) => ({
    x: random.normal([M, C]),
    weight: random.normal([V, C], 2 / Math.sqrt(C)),
    targets: random.integers([M], V),
  }),
  run: (scope, { x, weight, targets }, { T = 100 }) => ({
    ...tokenLogProbs(scope, x as never, weight as never, targets as never, { inverseTemperature: 100 / T }),
  }),
  reference: ({ x, weight, targets }, { M = 0, C = 0, V = 0, T = 100 }) => {
    const inverseTemperature = Math.fround(100 / T);
    const column = () => ({ data: new Float64Array(M), shape: [M] });
    const [logProb, entropy, logSumExp, meanLogit, argmax] = [
      column(),
      column(),
      column(),
      column(),
      column(),
    ];
    const z = new Float64Array(V);
    for (let m = 0; m < M; m++) {
      let best = 0;
      let total = 0;
      for (let v = 0; v < V; v++) {
        let sum = 0;
        for (let c = 0; c < C; c++)
          sum += (x?.data[m * C + c] as number) * (weight?.data[v * C + c] as number);
        z[v] = sum * inverseTemperature;
        total += z[v] as number;
        if ((z[v] as number) > (z[best] as number)) best = v;
      }
      const largest = z[best] as number;
      let exponentials = 0;
      let weighted = 0;
      for (const logit of z) {
        const e = Math.exp(logit - largest);
        exponentials += e;
        weighted += e * (logit - largest);
      }
      logSumExp.data[m] = largest + Math.log(exponentials);
      logProb.data[m] = (z[targets?.data[m] as number] as number) - (logSumExp.data[m] as number);
      entropy.data[m] = Math.log(exponentials) - weighted / exponentials;
      meanLogit.data[m] = total / V;
      argmax.data[m] = best;
    }
    return { logProb, entropy, logSumExp, meanLogit, argmax };
  },
  tolerance: ({ C = 0, V = 0 }) => {
    const bound = (4 + Math.sqrt(C)) * epsilon;
    const chain = "a logit is a chain of C multiply-adds and one product";
    return {
      logProb: { bound, reason: `${chain}; two logits and the result's rounding` },
      entropy: {
        bound: 2 * bound + 8 * epsilon,
        reason: `${chain}; exponentials and their sums in 16 lanes of 128 round beside it`,
      },
      logSumExp: { bound, reason: `${chain}; the sum's relative error is added to its logarithm` },
      meanLogit: {
        bound: bound + (Math.sqrt(V) / 4) * epsilon,
        reason: `${chain}; sums of V logits of either sign, whose mean is sqrt(V) times smaller than they are`,
      },
      argmax: { bound: 0, reason: "no two largest logits of these inputs are closer than their rounding" },
    };
  },
  gradients: {
    outputs: ["logProb"],
    activations: ["x"],
    parameters: ["weight"],
    tolerance: ({ M = 0, C = 0, V = 0 }) => ({
      bound: (16 + 2 * Math.sqrt(C) + Math.sqrt(Math.max(M, V))) * epsilon,
      reason:
        "exp turns the absolute error of z - log_sum_exp (both near 10, z a chain over C) into a relative one; then a chain over V or over M tokens",
    }),
  },
  rows: {
    dim: "M",
    inputs: ["x", "targets"],
    outputs: ["logProb", "entropy", "logSumExp", "meanLogit", "argmax"],
  },
  cost: ({ M = 0, C = 0, V = 0 }) => ({ flops: 2 * M * V * C, bytes: 4 * (V * C + M * C) }),
};

// With a bf16 weight and a bf16 x (an f32 x: linear's cases, order-bf16.test.ts).
export const tokenLogProbsBf16Case: OpCase = {
  ...tokenLogProbsCase,
  variant: "bf16",
  inputs: ({ M = 0, C = 0, V = 0 }, random) => ({
    x: random.normalBf16([M, C]),
    weight: random.normalBf16([V, C], 2 / Math.sqrt(C)),
    targets: random.integers([M], V),
  }),
  gradients: {
    outputs: ["logProb"],
    activations: ["x"],
    parameters: ["weight"],
    tolerance: ({ M = 0, C = 0, V = 0 }) => ({
      bound: 2 ** -8 + (16 + 2 * Math.sqrt(C) + Math.sqrt(Math.max(M, V))) * epsilon,
      reason: "dz is rounded to bf16, each element by at most 2^-8 of itself; all else as in fp32",
    }),
  },
};
