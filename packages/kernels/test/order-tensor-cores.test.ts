// bf16 products on the emulated tensor cores of sm_80 and sm_90, bit for bit by their rule (tensor-cores.ts): whatever tile an element is in, whatever
// stands around it. So a row alone, in any batch, has the same bits.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { linearBackward } from "../src/binding.generated.js";
import { addonFile, type Device, linear, openDevice, sample, tokenLogProbs } from "../src/index.js";
import { Random } from "./cases/case.js";
import { firstDifference } from "./cases/run.js";
import { add, bf16Bits, toBf16 } from "./float32.js";
import { at, matrix } from "./rule.js";
import { type Capability, tensorCoreDot } from "./tensor-cores.js";

const library = join(addonFile().path, "../test/cuda-emulated.so");
const random = new Random(44);
/** Of very different sizes, so that what is cut off shows. */
const spread = (...shape: number[]): Float32Array =>
  (random.normal(shape).data as Float32Array).map((x) => x * 2 ** (random.integer(24) - 12));
const rounded = (values: Float32Array): Float32Array => values.map(toBf16);
const bits = (values: Float32Array): Uint16Array => Uint16Array.from(values, bf16Bits);

describe.runIf(existsSync(library)).each([80, 90] as const)("products on sm_%s", (capability: Capability) => {
  process.env["POSTTRAIN_SIMT_CAPABILITY"] = String(capability);
  const device: Device = existsSync(library)
    ? openDevice({ backend: library, threads: 1, guards: true })
    : openDevice();
  delete process.env["POSTTRAIN_SIMT_CAPABILITY"];
  afterAll(() => device.close());

  // A row or two, tiles of 64 and of 128; along the inner dimension less than a step, blocks of 256 and a rest; rows that allow 16 bytes at once.
  it.each([
    [1, 5, 3],
    [16, 70, 600],
    [17, 66, 97],
    [70, 64, 264],
    [20, 264, 40],
  ])("sums %s x %s outputs along %s inputs", async (M, N, K) => {
    const [x, w, bias] = [spread(M, K), rounded(spread(N, K)), rounded(spread(N))];
    const inputs = rounded(x);
    const bare = matrix(M, N, (m, n) =>
      tensorCoreDot(
        capability,
        K,
        (k) => at(inputs, K, m, k),
        (k) => at(w, K, n, k),
      ),
    );
    const y = bare.map((value, i) => add(value, bias[i % N] as number));
    await device.run(async (scope) => {
      const weight = scope.from(bits(w), [N, K], "bf16");
      const b = scope.from(bits(bias), [N], "bf16");
      const wide = scope.from(x, [M, K]);
      expect(firstDifference(bare, await linear(scope, wide, weight).read())).toBe(-1);
      expect(firstDifference(y, await linear(scope, wide, weight, b).read())).toBe(-1);
      const narrow = await linear(scope, wide, weight, b, { dtype: "bf16" }).read();
      expect(firstDifference(bits(rounded(y)), narrow)).toBe(-1);
      expect(await device.checkGuards()).toBe(0);
    });
  });

  it.each([
    [3, 70, 40],
    [300, 16, 72],
    [600, 7, 5],
  ])(
    "sums gradients of %s rows, %s outputs, %s inputs: dx over outputs, dweight over tokens from the stored gradient",
    async (M, N, K) => {
      const [x, w, dy] = [rounded(spread(M, K)), rounded(spread(N, K)), rounded(spread(M, N))];
      const stored = spread(N, K);
      const dx = matrix(M, K, (m, k) =>
        tensorCoreDot(
          capability,
          N,
          (n) => at(dy, N, m, n),
          (n) => at(w, K, n, k),
        ),
      );
      const dweight = matrix(N, K, (n, k) =>
        tensorCoreDot(
          capability,
          M,
          (m) => at(dy, N, m, n),
          (m) => at(x, K, m, k),
          at(stored, K, n, k),
        ),
      );
      await device.run(async (scope) => {
        const found = {
          dx: scope.empty([M, K]),
          dweight: scope.from(stored, [N, K]),
          parts: scope.from(stored, [N, K]),
        };
        const weight = scope.from(bits(w), [N, K], "bf16");
        const tensors = (from: number, to: number) => ({
          dy: scope.from(dy.slice(from * N, to * N), [to - from, N]),
          x: scope.from(x.slice(from * K, to * K), [to - from, K]),
        });
        const all = tensors(0, M);
        linearBackward(found.dx, found.dweight, null, all.dy, all.x, weight);
        expect(firstDifference(dx, await found.dx.read())).toBe(-1);
        expect(firstDifference(dweight, await found.dweight.read())).toBe(-1);
        // Micro-batches that end at multiples of 256 tokens go on with the same sum.
        for (let from = 0; from < M; from += 256) {
          const part = tensors(from, Math.min(M, from + 256));
          linearBackward(null, found.parts, null, part.dy, part.x, weight);
        }
        expect(firstDifference(dweight, await found.parts.read())).toBe(-1);
      });
    },
  );

  it("gives the sampler the trainer's log-probabilities", async () => {
    const [M, C, V] = [9, 40, 2100];
    const x = random.normal([M, C]).data as Float32Array;
    const w = rounded(random.normal([V, C], 0.3).data as Float32Array);
    await device.run(async (scope) => {
      const weight = scope.from(bits(w), [V, C], "bf16");
      const one = { temperature: 0.5, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seen: [] };
      const settings = Array.from({ length: M }, () => ({ ...one, uniform: random.uniform() }));
      const drawn = sample(scope, scope.from(x, [M, C]), weight, settings, V);
      // The trainer has other rows around these, so that other tiles make them.
      const among = new Float32Array(40 * C);
      for (let m = 0; m < 40; m++) among.set(x.subarray((m % M) * C, ((m % M) + 1) * C), m * C);
      const tokens = (await drawn.tokens.read()) as Int32Array;
      const targets = Int32Array.from({ length: 40 }, (_, m) => tokens[m % M] as number);
      const trained = tokenLogProbs(scope, scope.from(among, [40, C]), weight, scope.from(targets), {
        inverseTemperature: 2,
      });
      const [ours, its] = [await drawn.logProb.read(), await trained.logProb.read()];
      for (let m = 0; m < 40; m++) expect(its[m]).toBe(ours[m % M]);
    });
  });
});
