// Logits and scores of minus infinity, as finite weights make them where a product overflows: a token or key of probability zero. It
// contributes nothing, be it one among others or a whole block, before the others or after. Tried: a block's sums relative to its own
// maximum of minus infinity; blocks merged by the difference of two such maxima; zero times minus infinity in the entropy.
import { attention, backward, cpuPaths, openDevice, sample, Tape, tokenLogProbs } from "@posttrain/kernels";
import { afterAll, describe, expect, it } from "vitest";
import { Random } from "./cases/case.js";
import { firstDifference } from "./cases/run.js";

const V = 3 * 2048 + 100; // blocks of 2,048 and one of 100
const patterns: readonly (readonly [name: string, possible: (v: number) => boolean])[] = [
  ["the first block", (v) => v >= 2048],
  ["the first two blocks", (v) => v >= 4096],
  ["a block in the middle", (v) => v < 2048 || v >= 4096],
  ["the last block", (v) => v < 3 * 2048],
  ["all blocks but the last", (v) => v >= 3 * 2048],
  ["every other token", (v) => v % 2 === 1],
  ["all but one token", (v) => v === 5000],
];

/** Weight rows that give x = (1e30, 1) its logit, minus infinity where it is not possible. */
function head(possible: (v: number) => boolean): { weight: Float32Array; logits: Float64Array } {
  const random = new Random(11);
  const drawn = random.normal([V]).data as Float32Array;
  const weight = new Float32Array(2 * V);
  const logits = new Float64Array(V).fill(Number.NEGATIVE_INFINITY);
  for (let v = 0; v < V; v++) {
    weight[2 * v] = possible(v) ? 0 : -1e30;
    weight[2 * v + 1] = drawn[v] as number;
    if (possible(v)) logits[v] = drawn[v] as number;
  }
  return { weight, logits };
}

function softmax(logits: Float64Array): { logSumExp: number; entropy: number; best: number } {
  let best = 0;
  for (const [v, z] of logits.entries()) if (z > (logits[best] as number)) best = v;
  let sum = 0;
  for (const z of logits) sum += Math.exp(z);
  const logSumExp = Math.log(sum);
  let entropy = logSumExp;
  for (const z of logits) if (z > Number.NEGATIVE_INFINITY) entropy -= Math.exp(z - logSumExp) * z;
  return { logSumExp, entropy, best };
}

describe.each(cpuPaths().map((path) => [path]))("minus infinity on %s", (path) => {
  const device = openDevice({ path });
  afterAll(() => device.close());

  it.each(patterns)("token_log_probs: %s", async (_, possible) => {
    const { weight, logits } = head(possible);
    const expected = softmax(logits);
    const impossible = logits.indexOf(Number.NEGATIVE_INFINITY);
    const targets = Int32Array.of(expected.best, impossible);
    const tape = new Tape();
    await device.run(async (scope) => {
      const x = scope.from(Float32Array.of(1e30, 1, 1e30, 1), [2, 2]);
      const made = tokenLogProbs(scope, x, scope.from(weight, [V, 2]), scope.from(targets), {
        inverseTemperature: 1,
      });
      const [logProb, entropy, logSumExp, argmax] = await Promise.all([
        made.logProb.read(),
        made.entropy.read(),
        made.logSumExp.read(),
        made.argmax.read(),
      ]);
      const best = (logits[expected.best] as number) - expected.logSumExp;
      expect(logProb[0]).toBeCloseTo(best, 4);
      expect(logProb[1]).toBe(Number.NEGATIVE_INFINITY);
      for (const row of [0, 1]) {
        expect(entropy[row]).toBeCloseTo(expected.entropy, 4);
        expect(logSumExp[row]).toBeCloseTo(expected.logSumExp, 4);
        expect(argmax[row]).toBe(expected.best);
      }
      // d log p(target) / dx[1] = w[target, 1] - sum of p_v w[v, 1] over what is possible.
      const gradient = scope.from(Float32Array.of(1, 0), [2]);
      const [dx] = backward(scope, tape, [{ tensor: made.logProb, gradient }], [x]);
      let slope = weight[2 * expected.best + 1] as number;
      for (const [v, z] of logits.entries())
        slope -= Math.exp(z - expected.logSumExp) * (weight[2 * v + 1] as number);
      expect((await dx?.read())?.[1]).toBeCloseTo(slope, 4);
    }, tape);
  });

  it.each(patterns)("sample: %s", async (_, possible) => {
    const { weight, logits } = head(possible);
    const rows = 8;
    await device.run(async (scope) => {
      const x = scope.from(
        Float32Array.from({ length: 2 * rows }, (_, i) => (i % 2 === 0 ? 1e30 : 1)),
        [rows, 2],
      );
      const w = scope.from(weight, [V, 2]);
      const settings = Array.from({ length: rows }, (_, row) => ({
        temperature: row === 0 ? 0 : 1,
        topK: row === 2 ? 10 : 0,
        topP: row === 3 ? 0.9 : 1,
        minP: row === 4 ? 0.05 : 0,
        repetitionPenalty: row === 5 ? 1.3 : 1,
        seen: row === 5 ? [0, 5000] : [],
        uniform: row / rows,
      }));
      const drawn = sample(scope, x, w, settings, V);
      const tokens = (await drawn.tokens.read()) as Int32Array;
      for (const token of tokens) expect(logits[token]).toBeGreaterThan(Number.NEGATIVE_INFINITY);
      const scored = tokenLogProbs(scope, x, w, scope.from(tokens), { inverseTemperature: 1 });
      expect(firstDifference(await drawn.entropy.read(), await scored.entropy.read())).toBe(-1);
      const [a, b] = [await drawn.logProb.read(), await scored.logProb.read()];
      expect(firstDifference(a, b)).toBe(-1);
      for (const value of [...a, ...(await drawn.entropy.read())]) expect(Number.isFinite(value)).toBe(true);
    });
  });

  it("attention: whole blocks of keys, and keys among others", async () => {
    const [M, D] = [200, 2];
    const random = new Random(12);
    const [scores, values] = [random.normal([M]), random.normal([M, D])].map(({ data }) => data) as [
      Float32Array,
      Float32Array,
    ];
    for (const possible of [
      (j: number) => j >= 64,
      (j: number) => j >= 128,
      (j: number) => j < 64 || j >= 128,
      (j: number) => j < 128,
      (j: number) => j % 3 === 0,
    ]) {
      const q = Float32Array.from({ length: M * D }, (_, i) => (i % D === 0 ? 1e30 : 1));
      const k = Float32Array.from({ length: M * D }, (_, i) => {
        const j = Math.floor(i / D);
        return i % D === 0 ? (possible(j) ? 0 : -1e30) : (scores[j] as number);
      });
      const tape = new Tape();
      await device.run(async (scope) => {
        const [tq, tk, tv] = [q, k, values].map((data) => scope.from(data, [M, 1, D]));
        if (tq === undefined || tk === undefined || tv === undefined) throw new Error("unreachable");
        const y = attention(scope, tq, tk, tv, scope.from(Int32Array.of(0, M)), 1);
        const found = await y.read();
        for (let i = 0; i < M; i++) {
          const sums = [0, 0];
          let total = 0;
          for (let j = 0; j <= i; j++) {
            if (!possible(j)) continue;
            const weight = Math.exp(scores[j] as number);
            total += weight;
            for (let d = 0; d < D; d++)
              sums[d] = (sums[d] as number) + weight * (values[j * D + d] as number);
          }
          if (total === 0) continue; // a row that may see no key has no softmax
          for (let d = 0; d < D; d++) expect(found[i * D + d]).toBeCloseTo((sums[d] as number) / total, 4);
        }
        if (!possible(0)) return;
        const dy = scope.from(new Float32Array(M * D).fill(1), y.shape);
        for (const gradient of backward(scope, tape, [{ tensor: y, gradient: dy }], [tq, tk, tv]))
          for (const value of (await gradient?.read()) ?? [Number.NaN])
            expect(Number.isFinite(value)).toBe(true);
      }, tape);
    }
  });
});
