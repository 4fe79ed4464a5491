import { sampleForward } from "@posttrain/kernels/binding";
import { epsilon, type OpCase, type Values } from "./case.js";

/** Ids that the repetition penalty of a row applies to. */
const SEEN = 3;

function each(rows: number, dtype: "f32" | "f64" | "i32", value: (row: number) => number): Values {
  const list = { f32: Float32Array, f64: Float64Array, i32: Int32Array }[dtype];
  return { data: list.from(Array.from({ length: rows }, (_, row) => value(row))), shape: [rows], dtype };
}

/** Each odd row equal to the one before it: ties for the largest logit, at the k-th and within top-p. */
function inPairs(weight: Values): Values {
  const [rows = 0, width = 0] = weight.shape;
  for (let row = 1; row < rows; row += 2) weight.data.copyWithin(row * width, (row - 1) * width, row * width);
  return weight;
}

// Called through the binding: the public function takes settings as numbers, not as tensors that rows can be cut from.
export const sampleCase: OpCase = {
  stem: "sample",
  // Rows cycle through greedy, top-k, top-p, min-p, the penalty and their mixtures. V - drawable rows are padding.
  shapes: [
    { M: 1, C: 1, V: 1, drawable: 1 },
    { M: 40, C: 8, V: 50, drawable: 47 },
    { M: 120, C: 24, V: 2049, drawable: 2049 },
    { M: 60, C: 33, V: 4100, drawable: 4000 },
  ],
  benchmarks: [
    { M: 1, C: 896, V: 151936, drawable: 151665 },
    { M: 16, C: 896, V: 151936, drawable: 151665 },
  ],
  inputs: ({ M = 0, C = 0, V = 0 }, random) => ({
    x: random.normal([M, C]),
    weight: inPairs(random.normal([V, C], 2 / Math.sqrt(C))),
    inverseTemperatures: each(M, "f32", (m) => (m % 8 === 7 ? 0 : 1 / (0.4 + random.uniform()))),
    topK: each(M, "i32", (m) => (m % 2 === 0 ? 0 : 1 + random.integer(40))),
    topP: each(M, "f32", (m) => (m % 4 < 2 ? 1 : 0.1 + 0.89 * random.uniform())),
    minP: each(M, "f32", (m) => (m % 3 === 0 ? 0 : 0.2 * random.uniform())),
    penalties: each(M, "f32", (m) => (m % 5 === 0 ? 1 : 1 + random.uniform())),
    seen: random.integers([M, SEEN], V),
    uniforms: each(M, "f64", () => random.uniform()),
  }),
  run: (scope, inputs, { M = 0, drawable = 0 }) => {
    const { x, weight, inverseTemperatures, topK, topP, minP, penalties, seen, uniforms } = inputs as never;
    const tokens = scope.empty([M], "i32");
    const logProb = scope.empty([M]);
    const entropy = scope.empty([M]);
    const starts = scope.from(Int32Array.from({ length: M + 1 }, (_, row) => row * SEEN));
    sampleForward(
      tokens,
      logProb,
      entropy,
      x,
      weight,
      inverseTemperatures,
      topK,
      topP,
      minP,
      penalties,
      seen,
      starts,
      uniforms,
      drawable,
    );
    return { tokens, logProb, entropy };
  },
  reference: (inputs, { M = 0, C = 0, V = 0, drawable = 0 }) => {
    const at = (name: string, i: number) => inputs[name]?.data[i] as number;
    const tokens = new Float64Array(M);
    const logProb = new Float64Array(M);
    const entropy = new Float64Array(M);
    for (let m = 0; m < M; m++) {
      const raw = Array.from({ length: V }, (_, v) => {
        let sum = 0;
        for (let c = 0; c < C; c++) sum += at("x", m * C + c) * at("weight", v * C + c);
        return sum;
      });
      const greedy = at("inverseTemperatures", m) === 0;
      const inverseTemperature = greedy ? 1 : at("inverseTemperatures", m);

      const z = raw.slice(0, drawable);
      for (let i = 0; i < SEEN; i++) {
        const id = at("seen", m * SEEN + i);
        const logit = raw[id] as number;
        if (id < drawable) z[id] = logit > 0 ? logit / at("penalties", m) : logit * at("penalties", m);
      }
      const logit = (id: number) => (z[id] as number) * inverseTemperature;
      const order = z.map((_, id) => id).sort((a, b) => logit(b) - logit(a) || a - b);
      const best = order[0] as number;
      let kept = order;
      const k = at("topK", m);
      if (k > 0) kept = kept.filter((id) => logit(id) >= logit(order[Math.min(k, drawable) - 1] as number));
      const weight = (id: number) => Math.exp(logit(id) - logit(best));
      const sum = (ids: readonly number[]) => ids.reduce((total, id) => total + weight(id), 0);
      if (at("topP", m) < 1) {
        const target = at("topP", m) * sum(kept);
        let before = 0;
        kept = kept.filter((id) => {
          const wanted = before < target;
          before += weight(id);
          return wanted;
        });
      }
      kept = kept.filter((id) => weight(id) >= at("minP", m)).sort((a, b) => a - b);
      const threshold = at("uniforms", m) * sum(kept);
      let cumulative = 0;
      const drawn = kept.find((id) => {
        cumulative += weight(id);
        return cumulative > threshold;
      });
      const token = greedy ? best : (drawn as number);

      const largest = raw.reduce((a, b) => Math.max(a, b)) * inverseTemperature;
      let total = 0;
      let weighted = 0;
      for (const value of raw) {
        const distance = value * inverseTemperature - largest;
        total += Math.exp(distance);
        weighted += Math.exp(distance) * distance;
      }
      tokens[m] = token;
      logProb[m] = (raw[token] as number) * inverseTemperature - largest - Math.log(total);
      entropy[m] = Math.log(total) - weighted / total;
    }
    const shape = [M];
    return {
      tokens: { data: tokens, shape },
      logProb: { data: logProb, shape },
      entropy: { data: entropy, shape },
    };
  },
  tolerance: ({ C = 0 }) => {
    const bound = (4 + Math.sqrt(C)) * epsilon;
    return {
      tokens: {
        bound: 0,
        reason: "no cumulative weight of these inputs is closer to its uniform than its rounding",
      },
      logProb: { bound, reason: "as token_log_probs, whose bits these are" },
      entropy: { bound: 2 * bound + 8 * epsilon, reason: "as token_log_probs, whose bits these are" },
    };
  },
  rows: {
    dim: "M",
    inputs: ["x", "inverseTemperatures", "topK", "topP", "minP", "penalties", "seen", "uniforms"],
    outputs: ["tokens", "logProb", "entropy"],
  },
  cost: ({ M = 0, C = 0, V = 0 }) => ({ flops: 2 * M * V * C, bytes: 4 * (V * C + M * C) }),
};

export const sampleBf16Case: OpCase = {
  ...sampleCase,
  variant: "bf16",
  inputs: (dims, random) => {
    const { M = 0, C = 0, V = 0 } = dims;
    return {
      ...sampleCase.inputs(dims, random),
      x: random.normalBf16([M, C]),
      weight: inPairs(random.normalBf16([V, C], 2 / Math.sqrt(C))),
    };
  },
};
