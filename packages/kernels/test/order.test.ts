// The order of every sum, written down a second time: what the kernels give, bit for bit, from the rules alone (ARCHITECTURE.md).
// Tests that compare the kernels with themselves (rows, threads, paths) cannot see an order that changed everywhere at once.
// Tried by `npm run test:mutations`, and red here: key blocks of 32, key blocks that begin elsewhere, a lazy rescale (a maximum that grew
// little is kept), query heads in descending order; blocks of 512 along K, two accumulators in place of one chain; the tree of lanes as
// a chain; a fused multiply-add emulated without rounding to odd; dweight of a norm over tokens in reverse; vocabulary blocks of 1,024; a sum of
// weights as one chain.
import { afterAll, describe, expect, it } from "vitest";
import {
  attentionBackward,
  attentionForward,
  linearBackward,
  rmsNormBackward,
  rmsNormForward,
  tokenLogProbsBackward,
  tokenLogProbsForward,
} from "../src/binding.generated.js";
import {
  cpuPaths,
  type Device,
  fill,
  linear,
  openDevice,
  type Scope,
  sample,
  sumSquares,
  type Tensor,
} from "../src/index.js";
import { Random } from "./cases/case.js";
import { add, blocks, byLanes, chain, div, exp, fma, mul, sqrt, sub } from "./float32.js";
import * as rule from "./rule.js";
import { at, larger, matrix } from "./rule.js";

const sumBlock = 256;
const vocabularyBlock = 2048;
const round = Math.fround;

const devices = cpuPaths().map((path) => openDevice({ path, threads: 2 }));
afterAll(async () => {
  for (const device of devices) await device.close();
});

const random = new Random(42);
const normal = (...shape: number[]): Float32Array => random.normal(shape).data as Float32Array;
const expectBits = async (
  expected: Readonly<Record<string, Float32Array>>,
  body: (scope: Scope, device: Device) => Readonly<Record<string, Tensor>>,
): Promise<void> => {
  for (const [name, values] of Object.entries(expected))
    expect(values.every(Number.isFinite), `the rule for ${name}`).toBe(true);
  await rule.expectBits(devices, expected, body);
};
const filled = (scope: Scope, shape: readonly number[], value: number): Tensor => {
  const tensor = scope.empty(shape);
  fill(tensor, value);
  return tensor;
};
describe("linear", () => {
  const [M, N, K] = [3, 530, 600];
  const [x, w, bias, dy] = [normal(M, K), normal(N, K), normal(N), normal(M, N)];

  it("sums along K by blocks of 256, each one chain, and adds the bias last", async () => {
    const y = matrix(M, N, (m, n) =>
      add(
        blocks(
          K,
          sumBlock,
          (k) => at(x, K, m, k),
          (k) => at(w, K, n, k),
        ),
        bias[n] as number,
      ),
    );
    await expectBits({ y }, (scope) => ({
      y: linear(scope, scope.from(x, [M, K]), scope.from(w, [N, K]), scope.from(bias)),
    }));
  });

  it("sums dx along N by blocks of 256; dweight and dbias are chains over tokens from the stored gradient", async () => {
    const dx = matrix(M, K, (m, k) =>
      blocks(
        N,
        sumBlock,
        (n) => at(dy, N, m, n),
        (n) => at(w, K, n, k),
      ),
    );
    const dweight = matrix(N, K, (n, k) =>
      chain(
        0,
        M,
        (m) => at(dy, N, m, n),
        (m) => at(x, K, m, k),
        0.5,
      ),
    );
    const dbias = Float32Array.from({ length: N }, (_, n) =>
      [0, 1, 2].reduce((sum, m) => add(sum, at(dy, N, m, n)), 0.5),
    );
    await expectBits({ dx, dweight, dbias }, (scope) => {
      const made = {
        dx: scope.empty([M, K]),
        dweight: filled(scope, [N, K], 0.5),
        dbias: filled(scope, [N], 0.5),
      };
      linearBackward(
        made.dx,
        made.dweight,
        made.dbias,
        scope.from(dy, [M, N]),
        scope.from(x, [M, K]),
        scope.from(w, [N, K]),
      );
      return made;
    });
  });

  it("has one chain over 300 tokens for dweight", async () => {
    const [rows, n, k] = [300, 5, 7];
    const [many, gradient, weight] = [normal(rows, k), normal(rows, n), normal(n, k)];
    const dweight = matrix(n, k, (i, j) =>
      chain(
        0,
        rows,
        (m) => at(gradient, n, m, i),
        (m) => at(many, k, m, j),
        -2,
      ),
    );
    await expectBits({ dweight }, (scope) => {
      const made = filled(scope, [n, k], -2);
      linearBackward(
        null,
        made,
        null,
        scope.from(gradient, [rows, n]),
        scope.from(many, [rows, k]),
        scope.from(weight, [n, k]),
      );
      return { dweight: made };
    });
  });
});

describe("rms_norm", () => {
  const [M, C] = [20, 77];
  const [x, residual, weight, dy] = [normal(M, C), normal(M, C), normal(C), normal(M, C)];
  const sum = x.map((value, i) => add(value, residual[i] as number));
  const s = (m: number, c: number): number => at(sum, C, m, c);
  const rstd = Float32Array.from({ length: M }, (_, m) =>
    div(
      1,
      sqrt(
        add(
          div(
            byLanes(C, 0, (c, lane) => fma(s(m, c), s(m, c), lane)),
            C,
          ),
          round(1e-6),
        ),
      ),
    ),
  );
  const r = (m: number): number => rstd[m] as number;

  it("sums squares in 16 lanes and the tree", async () => {
    const y = matrix(M, C, (m, c) => mul(mul(s(m, c), r(m)), weight[c] as number));
    await expectBits({ sum, rstd, y }, (scope) => {
      const made = { y: scope.empty([M, C]), rstd: scope.empty([M]), sum: scope.empty([M, C]) };
      rmsNormForward(
        made.y,
        made.rstd,
        made.sum,
        scope.from(x, [M, C]),
        scope.from(residual, [M, C]),
        scope.from(weight),
        1e-6,
      );
      return made;
    });
  });

  it("sums dx in lanes, dweight as a chain over tokens from the stored gradient", async () => {
    const g = (m: number, c: number): number => mul(at(dy, C, m, c), weight[c] as number);
    const dx = matrix(M, C, (m, c) => {
      const t = div(
        mul(
          byLanes(C, 0, (i, lane) => fma(g(m, i), s(m, i), lane)),
          r(m),
        ),
        C,
      );
      return mul(r(m), fma(-mul(s(m, c), r(m)), t, g(m, c)));
    });
    const dweight = Float32Array.from({ length: C }, (_, c) =>
      chain(
        0,
        M,
        (m) => at(dy, C, m, c),
        (m) => mul(s(m, c), r(m)),
        3,
      ),
    );
    await expectBits({ dx, dweight }, (scope) => {
      const made = { dx: scope.empty([M, C]), dweight: filled(scope, [C], 3) };
      rmsNormBackward(
        made.dx,
        made.dweight,
        scope.from(dy, [M, C]),
        null,
        scope.from(sum, [M, C]),
        scope.from(weight),
        scope.from(rstd),
      );
      return made;
    });
  });
});

// Two sequences, two query heads for each of two key-value heads.
describe.each([16, 10])("attention with heads of %s", (D) => {
  const [H, G] = [4, 2];
  const starts = Int32Array.of(0, 5, 155);
  const M = starts.at(-1) as number;
  const scale = round(0.3);
  const [q, k, v, dy] = [normal(M, H * D), normal(M, G * D), normal(M, G * D), normal(M, H * D)];
  const element = (data: Float32Array, heads: number, row: number, head: number, d: number): number =>
    data[(row * heads + head) * D + d] as number;
  const group = (h: number): number => h / (H / G);
  const first = (row: number): number => (row < 5 ? 0 : 5);
  const score = (i: number, h: number, j: number): number =>
    mul(
      chain(
        0,
        D,
        (d) => element(q, H, i, h, d),
        (d) => element(k, G, j, Math.floor(group(h)), d),
      ),
      scale,
    );
  const { y, lse } = rule.attentionByRule({ M, H, D, first }, score, (_, h, block, p, d) =>
    chain(
      0,
      p.length,
      (j) => p[j] as number,
      (j) => element(v, G, block + j, Math.floor(group(h)), d),
    ),
  );

  it("joins blocks of 64 keys in order, each from zero against its own maximum", async () => {
    await expectBits({ y }, (scope) => {
      const made = { y: scope.empty([M, H, D]), lse: scope.empty([M, H]) };
      attentionForward(
        made.y,
        made.lse,
        scope.from(q, [M, H, D]),
        scope.from(k, [M, G, D]),
        scope.from(v, [M, G, D]),
        scope.from(starts),
        0.3,
      );
      return made;
    });
  });

  it("sums dq over keys, dk and dv over heads and queries, as chains in ascending order", async () => {
    const p = new Map<number, number>();
    const ds = new Map<number, number>();
    const pair = (i: number, h: number, j: number): number => (i * H + h) * M + j;
    for (let i = 0; i < M; i++)
      for (let h = 0; h < H; h++) {
        const delta = byLanes(D, 0, (d, lane) => fma(element(dy, H, i, h, d), element(y, H, i, h, d), lane));
        for (let j = first(i); j <= i; j++) {
          const weight = exp(sub(score(i, h, j), lse[i * H + h] as number));
          const dp = chain(
            0,
            D,
            (d) => element(dy, H, i, h, d),
            (d) => element(v, G, j, Math.floor(group(h)), d),
          );
          p.set(pair(i, h, j), weight);
          ds.set(pair(i, h, j), mul(weight, sub(dp, delta)));
        }
      }
    const dq = new Float32Array(M * H * D);
    const dk = new Float32Array(M * G * D);
    const dv = new Float32Array(M * G * D);
    for (let i = 0; i < M; i++)
      for (let h = 0; h < H; h++)
        for (let d = 0; d < D; d++)
          dq[(i * H + h) * D + d] = mul(
            chain(
              first(i),
              i + 1,
              (j) => ds.get(pair(i, h, j)) as number,
              (j) => element(k, G, j, Math.floor(group(h)), d),
            ),
            scale,
          );
    for (let j = 0; j < M; j++)
      for (let g = 0; g < G; g++)
        for (let d = 0; d < D; d++) {
          let [sumK, sumV] = [0, 0];
          for (let h = g * 2; h < g * 2 + 2; h++)
            for (let i = j; i < (j < 5 ? 5 : M); i++) {
              sumK = fma(ds.get(pair(i, h, j)) as number, element(q, H, i, h, d), sumK);
              sumV = fma(p.get(pair(i, h, j)) as number, element(dy, H, i, h, d), sumV);
            }
          dk[(j * G + g) * D + d] = mul(sumK, scale);
          dv[(j * G + g) * D + d] = sumV;
        }
    await expectBits({ dq, dk, dv }, (scope) => {
      const made = { dq: scope.empty([M, H, D]), dk: scope.empty([M, G, D]), dv: scope.empty([M, G, D]) };
      const [queries, heads] = [
        [M, H, D],
        [M, G, D],
      ];
      attentionBackward(
        made.dq,
        made.dk,
        made.dv,
        scope.from(dy, queries),
        scope.from(y, queries),
        scope.from(lse, [M, H]),
        scope.from(q, queries),
        scope.from(k, heads),
        scope.from(v, heads),
        scope.from(starts),
        0.3,
      );
      return made;
    });
  });
});

describe("token_log_probs", () => {
  const [M, C, V] = [3, 20, 4500];
  const [x, w, dlogProb] = [normal(M, C), normal(V, C), normal(M)];
  const targets = Int32Array.of(0, 4499, 2050);
  const factor = round(1 / 0.7);
  const z = matrix(M, V, (m, n) =>
    mul(
      chain(
        0,
        C,
        (c) => at(x, C, m, c),
        (c) => at(w, C, n, c),
      ),
      factor,
    ),
  );

  it("sums blocks of 2,048 logits in lanes against their own maximum, and joins them in double", async () => {
    const meanLogit = new Float32Array(M);
    const logSumExp = new Float32Array(M);
    for (let m = 0; m < M; m++) {
      let [maximum, sum, total] = [Number.NEGATIVE_INFINITY, 0, 0];
      for (let block = 0; block < V; block += vocabularyBlock) {
        const columns = Math.min(vocabularyBlock, V - block);
        const logit = (j: number): number => at(z, V, m, block + j);
        const here = byLanes(columns, Number.NEGATIVE_INFINITY, (j, lane) => larger(logit(j), lane), larger);
        const part = byLanes(columns, 0, (j, lane) => add(lane, exp(sub(logit(j), here))));
        total += byLanes(columns, 0, (j, lane) => add(lane, logit(j)));
        const both = larger(maximum, here);
        sum = block === 0 ? part : sum * exp(sub(maximum, both)) + part * exp(sub(here, both));
        maximum = both;
      }
      meanLogit[m] = total / V;
      logSumExp[m] = maximum + Math.log(sum);
    }
    await expectBits({ meanLogit, logSumExp }, (scope) => {
      const [logProb, entropy, lse, mean] = [1, 2, 3, 4].map(() => scope.empty([M])) as [
        Tensor,
        Tensor,
        Tensor,
        Tensor,
      ];
      tokenLogProbsForward(
        logProb,
        entropy,
        lse,
        mean,
        scope.empty([M], "i32"),
        scope.from(x, [M, C]),
        scope.from(w, [V, C]),
        scope.from(targets),
        1 / 0.7,
      );
      return { meanLogit: mean, logSumExp: lse };
    });
  });

  it("sums dx over the vocabulary by blocks of 256, dweight over rows from the stored gradient", async () => {
    const lse = Float32Array.of(5, 5.5, 6);
    const dz = matrix(M, V, (m, n) => {
      const rest = exp(sub(at(z, V, m, n), lse[m] as number));
      return mul(mul(factor, dlogProb[m] as number), n === targets[m] ? sub(1, rest) : sub(0, rest));
    });
    const dx = matrix(M, C, (m, c) =>
      blocks(
        V,
        sumBlock,
        (n) => at(dz, V, m, n),
        (n) => at(w, C, n, c),
      ),
    );
    const dweight = matrix(V, C, (n, c) =>
      chain(
        0,
        M,
        (m) => at(dz, V, m, n),
        (m) => at(x, C, m, c),
        0.25,
      ),
    );
    await expectBits({ dx, dweight }, (scope) => {
      const made = { dx: scope.empty([M, C]), dweight: filled(scope, [V, C], 0.25) };
      tokenLogProbsBackward(
        made.dx,
        made.dweight,
        scope.from(dlogProb),
        scope.from(x, [M, C]),
        scope.from(w, [V, C]),
        scope.from(targets),
        scope.from(lse),
        1 / 0.7,
      );
      return made;
    });
  });
});

it("a fused multiply-add is rounded once, where a sum in double would be halfway between two floats", async () => {
  const [up, down] = [1 + 2 ** -18, 1 - 2 ** -18];
  // c + 2^-24 (1 - 2^-36): just below halfway from an odd c to the even number above it; and its mirror images.
  const cases = [1, -1].flatMap((sign) => [
    { c: sign * (1 + 2 ** -23), a: sign * up, expected: sign * (1 + 2 ** -23) },
    { c: sign * (1 + 2 ** -22), a: -sign * up, expected: sign * (1 + 2 ** -22) },
    { c: sign * (1 + 2 ** -23), a: -sign * up, expected: sign * (1 + 2 ** -23) },
  ]);
  const y = Float32Array.from(cases, ({ expected }) => expected);
  for (const [i, { c, a }] of cases.entries()) expect(fma(a * 2 ** -12, down * 2 ** -12, c)).toBe(y[i]);
  await expectBits({ y }, (scope) => {
    const x = scope.from(Float32Array.from(cases.flatMap(({ c, a }) => [c, a * 2 ** -12])), [
      cases.length,
      2,
    ]);
    return { y: linear(scope, x, scope.from(Float32Array.of(1, down * 2 ** -12), [1, 2])) };
  });
});

it("sum_squares adds blocks of 4,096 in 16 lanes and the tree, in double", async () => {
  const x = normal(10_000);
  let expected = 0;
  for (let block = 0; block < x.length; block += 4096) {
    const count = Math.min(4096, x.length - block);
    const term = (i: number, lane: number): number => lane + (x[block + i] as number) ** 2;
    expected += byLanes(count, 0, term, (a, b) => a + b);
  }
  for (const device of devices)
    await device.run(async (scope) => {
      const all = scope.from(x);
      expect((await sumSquares(scope, all).read())[0], device.path).toBe(expected);
      // Whole blocks, then what follows them.
      const cut = 2 * 4096;
      const [before] = await sumSquares(scope, scope.view(all, 0, [cut])).read();
      const rest = sumSquares(scope, scope.view(all, cut, [x.length - cut]), before);
      expect((await rest.read())[0], device.path).toBe(expected);
    });
});

it("sample adds weights by blocks of 1,024 ids, each one chain from zero, whatever was left out", async () => {
  // Beside the first word each other one is less than half a unit in the last place: a chain of all would lose them.
  const V = 3000;
  const z = Float32Array.from({ length: V }, (_, v) => (v === 0 ? 0 : v % 3 === 0 ? -1000 : -37.5));
  const weight = (id: number): number => exp(z[id] as number);
  const sums = (until: (sum: number, id: number) => boolean): { sum: number; id: number } => {
    let [before, block] = [0, 0];
    for (let id = 0; id < V; id++) {
      if (id % 1024 === 0) [before, block] = [before + block, 0];
      block += weight(id);
      if (until(before + block, id)) return { sum: before + block, id };
    }
    return { sum: before + block, id: -1 };
  };
  const total = sums(() => false).sum;
  const uniforms = [0.5, 1 - 2e-14, 1 - 4e-14, 1 - 6e-14, 1 - 2 ** -53];
  const drawn = uniforms.map((uniform) => sums((sum) => sum > uniform * total).id);
  expect(new Set(drawn).size).toBe(uniforms.length);
  // All words; those that reach the second largest, picked, or found among all.
  for (const topK of [0, 2, 1999])
    for (const device of devices)
      await device.run(async (scope) => {
        const settings = uniforms.map((uniform) => ({
          ...{ temperature: 1, topK, topP: 1, minP: 0, repetitionPenalty: 1, seen: [], uniform },
        }));
        const x = filled(scope, [uniforms.length, 1], 1);
        const { tokens } = sample(scope, x, scope.from(z, [V, 1]), settings, V);
        expect([...(await tokens.read())], `${device.path}, top-k ${topK}`).toEqual(drawn);
      });
});
