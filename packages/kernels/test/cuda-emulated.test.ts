// The kernels for GPUs, run by the host compiler's code on the CPU (native/cuda/README.md): in fp32 every op has the cpu's bits, at
// every shape of its case file, with blocks and threads in their order and, where that is quick, backwards. No GPU has a part in this, unless
// POSTTRAIN_DEVICE names one: then it is that device's bits which are compared (npm run test:cuda). The tiny run's SHA-256 is in
// packages/cli/test/tiny-run.test.ts.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import {
  add,
  addonFile,
  attention,
  attentionCached,
  type Device,
  embedding,
  keysPerPage,
  kvCacheCopy,
  kvCacheWrite,
  kvPages,
  onlineMerging,
  openDevice,
  probeAmxPeak,
  probeFmaPeak,
  probeMemory,
  type Scope,
  sample,
  type TensorData,
  taskVector,
} from "../src/index.js";
import { attentionCachedCase } from "./cases/attention-cached.js";
import { type Dims, type OpCase, Random, type Reference } from "./cases/case.js";
import { cases } from "./cases/index.js";
import { firstDifference, type Inputs, references, relativeDeviation, runCase } from "./cases/run.js";

const emulation = join(addonFile().path, "../test/cuda-emulated.so");
const backend = process.env["POSTTRAIN_DEVICE"] ?? emulation;

/** What stands on bf16 products: the bits are those of tensor cores, not the cpu's (order-tensor-cores.test.ts,
 * attention-tensor-cores.test.ts). */
const isOfTensorCores = ({ stem, variant }: OpCase) =>
  variant === "bf16" &&
  ["attention", "attention_cached", "linear", "linears", "sample", "token_log_probs"].includes(stem);

const nameOf = ({ stem, variant }: OpCase) => [stem, variant].filter(Boolean).join(" ");

// The sanitizers' builds are without it.
describe.runIf(backend !== emulation || existsSync(emulation))("cuda-emulated", () => {
  const devices: Device[] = [];
  const open = (options: Parameters<typeof openDevice>[0] = {}): Device => {
    const device = openDevice({ threads: 1, ...options });
    devices.push(device);
    return device;
  };
  const cpu = open({ backend: "cpu" });
  const emulated = open({ backend, guards: true });
  process.env["POSTTRAIN_SIMT_ORDER"] = "backwards";
  const backwards = open({ backend, guards: true });
  delete process.env["POSTTRAIN_SIMT_ORDER"];
  process.env["POSTTRAIN_SIMT_CAPABILITY"] = "80";
  const ampere = open({ backend, guards: true });
  delete process.env["POSTTRAIN_SIMT_CAPABILITY"];
  afterAll(async () => {
    for (const device of devices) await device.close();
  });

  const inputsOf = (opCase: OpCase, dims: Dims): Inputs =>
    opCase.inputs(dims, new Random(1000 + opCase.shapes.indexOf(dims)));
  const run = (device: Device, opCase: OpCase, dims: Dims) =>
    runCase(device, opCase, dims, inputsOf(opCase, dims), opCase.gradients === undefined ? undefined : 7);

  for (const opCase of cases.filter((c) => !isOfTensorCores(c)))
    it.each(opCase.shapes.map((dims) => [JSON.stringify(dims), dims] as const))(
      `${nameOf(opCase)} has the cpu's bits at %s`,
      async (_, dims) => {
        const expected = await run(cpu, opCase, dims);
        for (const device of opCase.cost(dims).flops < 1e6 ? [emulated, backwards] : [emulated]) {
          const found = await run(device, opCase, dims);
          for (const part of ["outputs", "gradients"] as const) {
            expect(Object.keys(found[part])).toEqual(Object.keys(expected[part]));
            for (const [name, data] of Object.entries(expected[part]))
              expect(firstDifference(data, found[part][name] as typeof data), name).toBe(-1);
          }
          expect(await device.checkGuards()).toBe(0);
        }
      },
    );

  for (const opCase of cases.filter(isOfTensorCores))
    it.each(opCase.shapes.map((dims) => [JSON.stringify(dims), dims] as const))(
      `${nameOf(opCase)} is as near to its reference as the cpu must be, on both chips, at %s`,
      async (_, dims) => {
        const inputs = inputsOf(opCase, dims);
        const expected = opCase.reference(references(inputs), dims);
        const theirs = await run(cpu, opCase, dims);
        for (const device of [emulated, ampere]) {
          const { outputs, gradients } = await run(device, opCase, dims);
          for (const [name, { bound, reason }] of Object.entries(opCase.tolerance(dims)))
            expect(
              relativeDeviation(outputs[name] as TensorData, (expected[name] as Reference).data),
              `${name}: ${reason}`,
            ).toBeLessThanOrEqual(bound);
          // Each of the two is within the bound of the true gradient.
          for (const [name, gradient] of Object.entries(gradients))
            expect(
              relativeDeviation(gradient, Float64Array.from(theirs.gradients[name] as TensorData)),
            ).toBeLessThanOrEqual(2 * (opCase.gradients?.tolerance(dims).bound ?? 0));
          expect(await device.checkGuards()).toBe(0);
        }
      },
    );

  /** What `made` gives on the cpu and, emulated, in both orders of blocks and threads: the same bits. */
  async function expectTheBits(made: (scope: Scope) => Promise<readonly TensorData[]>): Promise<void> {
    const expected = await cpu.run(made);
    for (const device of [emulated, backwards])
      for (const [i, found] of (await device.run(made)).entries())
        expect(firstDifference(expected[i] as TensorData, found), `output ${String(i)}`).toBe(-1);
  }

  describe("beyond the case files", () => {
    it.each([
      { H: 20, G: 1, D: 100 },
      { H: 2, G: 1, D: 160 },
    ])("attention_cached has wide heads, and many that share one, at %j", async (dims) => {
      const expected = await run(cpu, attentionCachedCase, dims);
      for (const device of [emulated, backwards]) {
        const { outputs } = await run(device, attentionCachedCase, dims);
        expect(firstDifference(expected.outputs["y"] as TensorData, outputs["y"] as TensorData)).toBe(-1);
      }
    });

    it("the last token written to a slot stays, and copies of pages go in their order", async () => {
      const random = new Random(5);
      const rows = random.normal([300, 2, 3]).data as Float32Array;
      const slots = Int32Array.from({ length: 300 }, (_, m) => (m * 37) % 150);
      await expectTheBits(async (scope) => {
        const cache = kvPages(scope, 4, 2, 3);
        const [k, v] = [scope.from(rows, [300, 2, 3]), scope.from(rows.toReversed(), [300, 2, 3])];
        kvCacheWrite(cache, k, v, scope.from(slots.map((slot) => slot + 64)));
        kvCacheWrite(cache, k, v, scope.from(slots));
        kvCacheCopy(cache, scope.from(Int32Array.of(0, 1, 3, 2)), scope.from(Int32Array.of(1, 3, 2, 2)));
        const pages = scope.view(cache.keys, 0, [3 * 2 * 3 * keysPerPage]);
        return [await pages.read(), await scope.view(cache.values, 0, [3 * 2 * 3 * keysPerPage]).read()];
      });
    });

    it("of equal magnitudes the first survive, and of an update those with the larger moment", async () => {
      const size = 9000;
      const random = new Random(6);
      const start = Float32Array.from({ length: size }, () => (random.integer(5) - 2) * 0.25);
      const merge = { scaling: "paper", rescale: false, seed: 1, first: 0, method: "ties" } as const;
      for (const reserve of [0.1, 0.35, 0.9])
        await expectTheBits(async (scope) => {
          const numbers = (by: number) => scope.from(start.map((x, i) => (i % 7 === 0 ? 0 : by * x)));
          const tau = scope.empty([size]);
          const [from, base] = [scope.from(start), scope.from(new Float32Array(size))];
          const distance = taskVector(scope, tau, from, base, { ...merge, reserve });
          const [p, m, v, gradient] = [numbers(1), numbers(0), numbers(0), numbers(3)];
          onlineMerging(p, m, v, gradient, {
            ...{ ...merge, learningRate: 0.01, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0, step: 1 },
            ...{ gradientScale: 1, alpha: 0.2, merges: true, decayAfter: false, reserve, tau },
          });
          return [await tau.read(), await distance.read(), await p.read(), await m.read()];
        });
    });

    it("tokens are drawn from logits that are equal, minus infinity, or no numbers, by filters at their ends", async () => {
      const V = 2300;
      const random = new Random(7);
      const weight = Float32Array.from({ length: 2 * V }, (_, i) => (i % 2 === 0 ? 0 : random.integer(9)));
      for (let v = 0; v < V; v += 3) weight[2 * v] = -1e30;
      const none = {
        temperature: 1,
        topK: 0,
        topP: 1,
        minP: 0,
        repetitionPenalty: 1,
        seen: [],
        uniform: 0.7,
      };
      const settings = [
        none,
        { ...none, uniform: 1 - 2 ** -53 },
        { ...none, topP: 0 },
        { ...none, topP: 1 - 2 ** -24, topK: 700 },
        { ...none, topP: 0.5, minP: 0.9 },
        { ...none, topK: 1, uniform: 0 },
        { ...none, topK: 40, topP: 0.3, repetitionPenalty: 1.5, seen: [1, 2, 4, 1] },
        { ...none, temperature: 0, repetitionPenalty: 3, seen: [7] },
        { ...none, minP: 2 },
      ];
      const x = Float32Array.from({ length: 2 * 3 * settings.length }, (_, i) =>
        i % 2 === 1 ? 1 : i < 2 * settings.length ? 1e30 : i < 4 * settings.length ? 0 : Number.NaN,
      );
      await expectTheBits(async (scope) => {
        const made = sample(
          scope,
          scope.from(x, [3 * settings.length, 2]),
          scope.from(weight, [V, 2]),
          [...settings, ...settings, ...settings],
          2290,
        );
        return [await made.tokens.read(), await made.logProb.read(), await made.entropy.read()];
      });
    });

    it("tokens are drawn by the cpu's blocks of weights that one chain would lose", async () => {
      const V = 3000;
      const z = Float32Array.from({ length: V }, (_, v) => (v === 0 ? 0 : v % 3 === 0 ? -1000 : -37.5));
      const some = { temperature: 1, topP: 1, minP: 0, repetitionPenalty: 1, seen: [] };
      const settings = [0, 2].flatMap((topK) =>
        [1 - 2e-14, 1 - 4e-14, 1 - 6e-14].map((uniform) => ({ ...some, topK, uniform })),
      );
      await expectTheBits(async (scope) => {
        const x = scope.from(new Float32Array(settings.length).fill(1), [settings.length, 1]);
        return [await sample(scope, x, scope.from(z, [V, 1]), settings, V).tokens.read()];
      });
    });

    it("the device's rates are measured", async () => {
      expect(await probeFmaPeak(emulated, 0.01)).toBeGreaterThan(1e6);
      expect(await probeAmxPeak(emulated, 0.01)).toBeGreaterThan(1e5);
      const rates = await probeMemory(emulated, 1 << 20);
      for (const rate of Object.values(rates)) expect(rate).toBeGreaterThan(1e5);
    });
  });

  describe("indices that are wrong", () => {
    it("are found on the device, and told late with the op that they are of", async () => {
      await emulated.run(async (scope) => {
        const table = scope.from(new Float32Array(6), [3, 2]);
        const bad = embedding(scope, table, scope.from(Int32Array.of(1, 3, -1)));
        const after = add(scope, table, table);
        const says =
          /^embedding\(y f32 \[3, 2\], table f32 \[3, 2\], ids i32 \[3\]\): ids\[1\] is 3, but the table has 3 rows/;
        await expect(after.read()).rejects.toThrow(says);
        await expect(bad.read()).rejects.toThrow(says);
        await emulated.recover();
        expect([...(await add(scope, table, table).read())]).toEqual([0, 0, 0, 0, 0, 0]);
      });
    });

    const cached = (scope: Scope, length: number, page: number) => {
      const q = scope.from(new Float32Array(3), [3, 1, 1]);
      const layout = {
        starts: scope.from(Int32Array.of(0, 3)),
        lengths: scope.from(Int32Array.of(length)),
        pages: scope.from(Int32Array.of(0, page), [1, 2]),
      };
      return attentionCached(scope, q, kvPages(scope, 3, 1, 1), layout, 1);
    };
    it.each([
      [2, 1, /lengths\[0\] is 2: expected the 3 new keys at least and 128, all its pages, at most/],
      [129, 1, /lengths\[0\] is 129: expected the 3 new keys at least and 128, all its pages, at most/],
      [66, 3, /pages\[0, 1\] is 3, but the cache has 3 pages/],
    ])("are found in lengths and pages: %i, %i", async (length, page, says) => {
      await emulated.run(async (scope) => {
        await expect(cached(scope, length, page).read()).rejects.toThrow(says);
        await emulated.recover();
      });
    });

    it("are found in slots and pages to copy, and the cache stays as it was", async () => {
      await emulated.run(async (scope) => {
        const cache = kvPages(scope, 3, 1, 1);
        const ones = scope.from(Float32Array.of(1, 1), [2, 1, 1]);
        kvCacheWrite(cache, ones, ones, scope.from(Int32Array.of(0, 1)));
        const before = await cache.values.read();
        kvCacheWrite(cache, ones, ones, scope.from(Int32Array.of(0, 192)));
        kvCacheCopy(cache, scope.from(Int32Array.of(0)), scope.from(Int32Array.of(-1)));
        await expect(cache.keys.read()).rejects.toThrow(/slots\[1\] is 192, but the cache has 192 slots/);
        await emulated.recover();
        expect(firstDifference(before, await cache.values.read())).toBe(-1);
      });
    });

    it("are found in what was seen", async () => {
      await emulated.run(async (scope) => {
        const one = { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 2, uniform: 0 };
        const x = scope.from(new Float32Array(2), [1, 2]);
        const made = sample(scope, x, scope.from(new Float32Array(6), [3, 2]), [{ ...one, seen: [0, 3] }], 3);
        await expect(made.tokens.read()).rejects.toThrow(/seen\[1\] is 3, but weight has 3 rows/);
        await emulated.recover();
      });
    });

    it("are found in starts", async () => {
      await emulated.run(async (scope) => {
        const x = scope.from(new Float32Array(8), [4, 1, 2]);
        const starts = scope.from(Int32Array.of(0, 3, 2, 4));
        const y = attention(scope, x, x, x, starts, 1);
        await expect(y.read()).rejects.toThrow(
          /starts\[2\] is 2: starts must begin with 0, never fall and end with the 4 rows/,
        );
        await emulated.recover();
      });
    });
  });
});
