// Online merging beyond what its cases say (cases/online-merging.ts): that it is AdamW where it should be, that no drift is lost to rounding,
// that what is drawn depends on the place in the arena alone, and which of equals survive.
import { afterAll, describe, expect, it } from "vitest";
import { adamw, KernelError, onlineMerging, openDevice, type Tensor, taskVector } from "../src/index.js";
import { Random } from "./cases/case.js";
import { firstDifference } from "./cases/run.js";
import { drawnMask } from "./survivors.js";

const device = openDevice({ threads: 3 });
afterAll(() => device.close());

const adam = { learningRate: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, gradientScale: 0.7 };
const merge = { scaling: "paper", rescale: false, seed: 42, reserve: 1, first: 0 } as const;
const plain = { ...adam, ...merge, alpha: 0, merges: true, decayAfter: false, step: 1 } as const;

describe("with alpha 0 and all surviving, as the paper has it", () => {
  it.each(["dare", "ties"] as const)("%s is AdamW to the last bit, rounding to bf16 too", async (method) => {
    await device.run(async (scope) => {
      const random = new Random(3);
      const size = 5003;
      const start = random.normal([size], 0.05).data as Float32Array;
      start[0] = -0;
      const make = () => ({
        p: scope.from(start),
        m: scope.from(new Float32Array(size)),
        v: scope.from(new Float32Array(size)),
        rounded: scope.empty([size], "bf16"),
      });
      const [ours, its] = [make(), make()];
      for (let step = 1; step <= 5; step++) {
        const values = random.normal([size]).data as Float32Array;
        values[0] = 0;
        const [a, b] = [scope.from(values), scope.from(values)];
        onlineMerging(ours.p, ours.m, ours.v, a, { ...plain, method, step, rounded: ours.rounded });
        adamw(its.p, its.m, its.v, b, { ...adam, step, rounded: its.rounded, clearGradient: true });
        for (const name of ["p", "m", "v", "rounded"] as const)
          expect(firstDifference(await ours[name].read(), await its[name].read()), name).toBe(-1);
        expect(firstDifference(await a.read(), await b.read())).toBe(-1);
      }
    });
  });
});

describe("drift", () => {
  it("far below half a unit in the weights' last place is not lost: weights follow it, and the log says so", async () => {
    await device.run(async (scope) => {
      const size = 100;
      const [weight, tau, alpha, steps] = [0.02, 1e-3, 1e-7, 1000] as const;
      const zeros = () => scope.from(new Float32Array(size));
      const [p, m, v, gradient, carry] = [
        scope.from(new Float32Array(size).fill(weight)),
        ...[zeros(), zeros(), zeros(), zeros()],
      ] as [Tensor, Tensor, Tensor, Tensor, Tensor];
      const signs = Float32Array.from({ length: size }, (_, i) => (i % 3 === 0 ? -tau : tau));
      const drift = scope.empty([2], "f64");
      let [meant, taken] = [0, 0];
      let moved = 0;
      for (let step = 1; step <= steps; step++) {
        onlineMerging(p, m, v, gradient, {
          ...{ ...plain, weightDecay: 0, method: "dare", step, alpha, carry, drift },
          tau: scope.from(signs),
        });
        const [a, b] = (await drift.read()) as Float64Array;
        meant += a as number;
        taken += b as number;
        if (b !== 0) moved++;
      }
      const distance = alpha * tau * steps;
      const now = await p.read();
      const behind = await carry.read();
      for (let i = 0; i < size; i++) {
        const sign = i % 3 === 0 ? -1 : 1;
        const exact = (now[i] as number) - Math.fround(weight) + (behind[i] as number);
        expect(Math.abs(sign * exact - distance) / distance).toBeLessThan(1e-5);
        // Half a unit in the last place of 0.02.
        expect(Math.abs(behind[i] as number)).toBeLessThanOrEqual(2 ** -30);
      }
      expect(meant / (size * distance)).toBeCloseTo(1, 5);
      expect(Math.abs(taken - meant)).toBeLessThanOrEqual(size * 2 ** -30);
      // Most steps move nothing: a drift is added when it counts.
      expect(moved).toBeLessThan(steps / 5);
    });
  });
});

describe("DARE's draws", () => {
  it("are Philox's for seed, place, step and purpose, so a range of an arena has those of the whole", async () => {
    await device.run(async (scope) => {
      const size = 4096 + 200;
      const ones = (n: number) => scope.from(new Float32Array(n).fill(1));
      const zeros = (n: number) => scope.from(new Float32Array(n));
      const options = { ...plain, method: "dare", reserve: 0.37, step: 9 } as const;
      const survivors = async (from: number, n: number): Promise<Float32Array> => {
        const p = zeros(n);
        onlineMerging(p, zeros(n), zeros(n), ones(n), { ...options, first: from });
        return Float32Array.from(await p.read(), (x) => (x === 0 ? 0 : 1));
      };
      const high = 64 * 2 ** 30; // beyond 32 bits of Philox's counter
      for (const from of [0, 640, high]) {
        const expected = drawnMask(size, 0.37, 42, from, 9, 0);
        expect(firstDifference(await survivors(from, size), expected)).toBe(-1);
        expect(firstDifference(await survivors(from + 64, 100), expected.slice(64, 164))).toBe(-1);
      }
      const whole = drawnMask(size, 0.37, 42, 0, 9, 0);
      expect(Math.abs(whole.reduce((a, b) => a + b, 0) / size - 0.37)).toBeLessThan(0.03);
      const tau = zeros(size);
      taskVector(scope, tau, ones(size), zeros(size), { ...options, scaling: "repo" });
      const kept = Float32Array.from(await tau.read(), (x) => (x === 0 ? 0 : 1));
      expect(firstDifference(kept, drawnMask(size, 0.37, 42, 0, 0, 1))).toBe(-1);
      expect(firstDifference(kept, whole)).not.toBe(-1);
    });
  });
});

describe("TIES", () => {
  it("keeps the first of equals, over blocks, and all where the share is no whole element", async () => {
    await device.run(async (scope) => {
      const size = 10_000;
      const values = new Float32Array(size).fill(-2);
      values[9_999] = 3;
      values[5_000] = 1;
      const options = { ...merge, method: "ties" } as const;
      const kept = async (reserve: number): Promise<Float32Array> => {
        const tau = scope.empty([size]);
        const zeros = scope.from(new Float32Array(size));
        taskVector(scope, tau, scope.from(values), zeros, { ...options, reserve });
        return (await tau.read()) as Float32Array;
      };
      const some = await kept(0.6);
      expect([...some.keys()].filter((i) => some[i] !== 0)).toEqual([
        ...Array.from({ length: 6_000 }, (_, i) => i).filter((i) => i !== 5_000),
        9_999,
      ]);
      expect(firstDifference(await kept(1), values)).toBe(-1);
      expect(firstDifference(await kept(0.00001), values)).toBe(-1);
    });
  });
});

describe("TIES at Adam's first step, where all move by the rate up to eps", () => {
  it.each(["paper", "repo"] as const)("%s keeps those of the largest gradients", async (scaling) => {
    await device.run(async (scope) => {
      const size = 9000;
      const values = new Random(5).normal([size]).data as Float32Array;
      const zeros = () => scope.from(new Float32Array(size));
      const p = zeros();
      onlineMerging(p, zeros(), zeros(), scope.from(values), {
        ...{ ...plain, weightDecay: 0, method: "ties", scaling, reserve: 0.25 },
      });
      const moved = [...(await p.read()).entries()].filter(([, x]) => x !== 0).map(([i]) => i);
      const order = [...values.keys()].sort(
        (i, j) => Math.abs(values[j] as number) - Math.abs(values[i] as number),
      );
      expect(moved).toEqual(order.slice(0, size / 4).sort((i, j) => i - j));
    });
  });
});

it("refuses what would draw nothing, or draw elsewhere", async () => {
  await device.run(async (scope) => {
    const t = () => scope.from(new Float32Array(4));
    const run = (options: object) => () =>
      onlineMerging(t(), t(), t(), t(), { ...plain, method: "dare", ...options });
    expect(run({ reserve: 0 })).toThrow(KernelError);
    expect(run({ reserve: 0 })).toThrow(/reserve is 0, expected in \(0, 1\]/);
    expect(run({ step: 0 })).toThrow(/step is 0/);
    run({ first: 3 })();
    await expect(device.drain()).rejects.toThrow(/first is 3, expected a multiple of 64/);
    await device.recover();
  });
});
