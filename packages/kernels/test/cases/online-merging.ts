import { type MergeMethod, onlineMerging, type Tensor, taskVector } from "@posttrain/kernels";
import { drawnMask, largest } from "../survivors.js";
import { bf16Rounding, epsilon, type OpCase, type Random, type Values } from "./case.js";

const adam = {
  learningRate: 0.01,
  beta1: 0.9,
  beta2: 0.95,
  eps: 1e-8,
  weightDecay: 0.1,
  step: 3,
  gradientScale: 0.37,
};
const alpha = 0.3;
/** Not the arena's first: draws depend on the place. */
const first = 64 * 1003;

const sum = (x: Float64Array): number => x.reduce((total, value) => total + Math.abs(value), 0);
const clamp = (x: number): number => Math.max(-1, Math.min(1, x));
const numbers = (n: number, of: (i: number) => number) => Float64Array.from({ length: n }, (_, i) => of(i));

function thinned(x: Float64Array, merge: MergeMethod, step: number, purpose: 0 | 1): Float64Array {
  if (merge.method === "ties") return largest(x, merge.reserve);
  const mask = drawnMask(x.length, merge.reserve, merge.seed, first, step, purpose);
  return x.map((value, i) => value * (mask[i] as number));
}

/** Everything that a merge of `merge` can have: interim moves, carry, rounding, both decays by scaling. */
function mergingCase(merge: MergeMethod, variant: string): OpCase {
  const repo = merge.scaling === "repo";
  const scale = repo && merge.method === "dare" ? 1 / merge.reserve : 1;
  const rounds = variant === "bf16";
  const rows = merge.method === "dare" && !merge.rescale;
  return {
    stem: "online_merging",
    variant,
    shapes: [{ N: 1 }, { N: 61 }, { N: 4160 }, { N: 20_011 }],
    benchmarks: [{ N: 1 << 25 }],
    inputs: ({ N = 0 }, random: Random) => {
      const v = random.normal([N], 0.01);
      const inputs: Record<string, Values> = {
        parameter: random.normal([N]),
        m: random.normal([N], 0.1),
        v: { ...v, data: Float32Array.from(v.data, (x) => 0.001 + Math.abs(x)) },
        gradient: random.normal([N]),
        tau: random.normal([N], 0.01),
        carry: random.normal([N], 1e-8),
        interim: random.normal([N], 0.01),
      };
      return inputs;
    },
    run: (scope, inputs, { N = 0 }) => {
      const { parameter, m, v, gradient, tau, carry, interim } = inputs as Record<
        "parameter" | "m" | "v" | "gradient" | "tau" | "carry" | "interim",
        Tensor
      >;
      const rounded = scope.empty([N], "bf16");
      const drift = scope.empty([2], "f64");
      onlineMerging(parameter, m, v, gradient, {
        ...adam,
        ...merge,
        ...{ alpha, first, tau, carry, interim, drift, merges: true, decayAfter: repo },
        ...(rounds && { rounded }),
      });
      return {
        ...{ parameter, m, v, gradient, carry, interim },
        ...{ meant: scope.view(drift, 0, [1]), taken: scope.view(drift, 1, [1]) },
        ...(rounds && { rounded }),
      };
    },
    reference: (inputs, { N = 0 }) => {
      const at = (name: string, i: number): number => inputs[name]?.data[i] as number;
      const { learningRate, beta1, beta2, eps, weightDecay, step, gradientScale } = adam;
      const g = numbers(N, (i) => at("gradient", i) * gradientScale);
      const m = numbers(N, (i) => beta1 * at("m", i) + (1 - beta1) * (g[i] as number));
      const v = numbers(N, (i) => beta2 * at("v", i) + (1 - beta2) * (g[i] as number) ** 2);
      const [c1, c2] = [1 - beta1 ** step, Math.sqrt(1 - beta2 ** step)];
      const d = numbers(N, (i) => {
        const root = Math.sqrt(v[i] as number);
        const divisor = repo ? (root + eps) / c2 : root / c2 + eps;
        return at("interim", i) - ((learningRate / c1) * (m[i] as number)) / divisor;
      });
      let a = thinned(d, merge, step, 0).map((x) => x * scale);
      if (merge.rescale) {
        const factor = sum(d) / (sum(a) + (merge.method === "dare" ? eps : 0));
        a = a.map((x) => (merge.method === "dare" ? clamp(x * factor) : x * factor));
      }
      const tau = numbers(N, (i) => at("tau", i));
      const b = merge.method === "dare" && !repo ? thinned(tau, merge, step, 1) : tau;
      const drift = numbers(N, (i) => alpha * (b[i] as number));
      const update = numbers(N, (i) => (1 - alpha) * (a[i] as number));
      for (let i = 0; i < N && merge.method === "ties"; i++) {
        const [x, y] = [a[i] as number, b[i] as number];
        const [u, w] = [update[i] as number, drift[i] as number];
        if (repo) {
          const positive = x + y >= 0;
          if (x > 0 !== positive) update[i] = 0;
          if (y > 0 !== positive) drift[i] = 0;
        } else if (u * w < 0) (Math.abs(u) >= Math.abs(w) ? drift : update)[i] = 0;
      }
      const decay = 1 - learningRate * weightDecay;
      const parameter = numbers(N, (i) => {
        const before = at("parameter", i) - at("interim", i);
        const moved = (update[i] as number) + (drift[i] as number) + at("carry", i);
        return repo ? (before + moved) * decay : before * decay + moved;
      });
      const of = (data: Float64Array) => ({ data, shape: [data.length] });
      const none = of(new Float64Array(N));
      return {
        ...{ parameter: of(parameter), m: of(m), v: of(v), gradient: none, interim: none },
        ...{ meant: of(Float64Array.of(sum(drift))), ...(rounds && { rounded: of(parameter) }) },
      };
    },
    tolerance: () => ({
      parameter: {
        bound: 10 * epsilon,
        reason: "interim, decay, update and drift round once each; the update, with its own errors, is small",
      },
      m: { bound: 6 * epsilon, reason: "scale, difference, product, sum" },
      v: { bound: 6 * epsilon, reason: "scale, two products, sum" },
      meant: { bound: 4 * epsilon, reason: "alpha and a product round for each term" },
      gradient: { bound: 0, reason: "cleared" },
      interim: { bound: 0, reason: "merged" },
      ...(rounds && {
        rounded: {
          bound: 10 * epsilon + bf16Rounding.bound,
          reason: `the parameter; ${bf16Rounding.reason}`,
        },
      }),
    }),
    ...(rows && merge.reserve === 1
      ? {
          rows: {
            dim: "N",
            inputs: ["parameter", "m", "v", "gradient", "tau", "carry", "interim"],
            outputs: ["parameter", "m", "v", "gradient", "carry", "interim"],
          },
        }
      : {}),
    cost: ({ N = 0 }) => ({ flops: 30 * N, bytes: (merge.method === "ties" ? 72 : 52) * N }),
  };
}

const seed = 0xdecafbad;
export const onlineMergingCases: readonly OpCase[] = [
  mergingCase({ method: "dare", scaling: "repo", reserve: 0.25, rescale: false, seed }, "dare repo"),
  mergingCase({ method: "dare", scaling: "paper", reserve: 0.6, rescale: false, seed }, "dare paper"),
  mergingCase({ method: "dare", scaling: "paper", reserve: 1, rescale: false, seed }, "dare of all"),
  mergingCase({ method: "dare", scaling: "repo", reserve: 0.5, rescale: true, seed }, "dare rescaled"),
  mergingCase({ method: "ties", scaling: "repo", reserve: 0.3, rescale: false, seed }, "ties repo"),
  mergingCase({ method: "ties", scaling: "paper", reserve: 0.3, rescale: false, seed }, "ties paper"),
  mergingCase({ method: "ties", scaling: "repo", reserve: 0.1, rescale: true, seed }, "ties rescaled"),
  mergingCase({ method: "ties", scaling: "paper", reserve: 0.2, rescale: false, seed }, "bf16"),
];

function taskVectorCase(merge: MergeMethod, variant: string): OpCase {
  return {
    stem: "task_vector",
    variant,
    shapes: [{ N: 1 }, { N: 61 }, { N: 20_011 }],
    benchmarks: [{ N: 1 << 25 }],
    inputs: ({ N = 0 }, random) => ({ start: random.normal([N]), base: random.normal([N]) }),
    run: (scope, { start, base }, { N = 0 }) => {
      const tau = scope.empty([N]);
      return { distance: taskVector(scope, tau, start as Tensor, base as Tensor, { ...merge, first }), tau };
    },
    reference: ({ start, base }, { N = 0 }) => {
      // The difference is rounded to fp32 before it is looked at: whole numbers from there on.
      const raw = numbers(N, (i) => Math.fround((start?.data[i] as number) - (base?.data[i] as number)));
      const later = merge.method === "dare" && merge.scaling === "paper";
      const kept = later ? raw : thinned(raw, merge, 0, 1);
      const factor = merge.rescale && merge.method === "ties" ? sum(raw) / sum(kept) : 1;
      const tau = kept.map((x) =>
        merge.method === "dare" && !later ? clamp(x / merge.reserve) : x * factor,
      );
      return { tau: { data: tau, shape: [N] }, distance: { data: Float64Array.of(sum(raw)), shape: [1] } };
    },
    tolerance: () => ({
      tau: { bound: 4 * epsilon, reason: "the difference, the factor and the product round once each" },
      distance: { bound: 1e-12, reason: "exact terms, summed in float64" },
    }),
    cost: ({ N = 0 }) => ({ flops: 4 * N, bytes: 24 * N }),
  };
}

export const taskVectorCases: readonly OpCase[] = [
  taskVectorCase({ method: "dare", scaling: "repo", reserve: 0.6, rescale: false, seed }, "dare repo"),
  taskVectorCase({ method: "dare", scaling: "paper", reserve: 0.6, rescale: false, seed }, "dare paper"),
  taskVectorCase({ method: "ties", scaling: "paper", reserve: 0.3, rescale: false, seed }, "ties"),
  taskVectorCase({ method: "ties", scaling: "repo", reserve: 0.01, rescale: true, seed }, "ties rescaled"),
];
