// What the benchmark divides by, and the times that each op took.
import { afterAll, describe, expect, it } from "vitest";
import { skipUnless } from "../../../tests/support/skip.js";
import { probeAmxForward } from "../src/binding.generated.js";
import { add, cpuPaths, type Device, fill, openDevice, probeAmxPeak, probeFmaPeak } from "../src/index.js";

const opened: Device[] = [];
const open = (path?: string): Device => {
  const device = openDevice({ path, threads: 2 });
  opened.push(device);
  return device;
};
afterAll(async () => {
  for (const device of opened) await device.close();
});

const wide = skipUnless(cpuPaths().includes("avx512"), "no AVX-512 on this machine", "");

describe("peaks", () => {
  it("the rate of multiply-adds is some number of operations a second", async () => {
    expect(await probeFmaPeak(open(), 0.02)).toBeGreaterThan(1e8);
  });

  it("tiles multiply as their instruction does, and have a rate", wide, async () => {
    const device = open("amx_emulated");
    const sums = await device.run(async (scope) => {
      const y = scope.empty([2]);
      probeAmxForward(y, 512);
      return y.read();
    });
    // Four accumulators, to each of which a round adds 32 products of 2^-7 by 2^-7.
    expect([...sums]).toEqual([4, 4]);
    expect(await probeAmxPeak(device, 0.02)).toBeGreaterThan(1e6);
  });

  it("a path without tiles has no rate of theirs", async () => {
    await expect(probeAmxPeak(open("plain"), 0.02)).rejects.toThrow("this path has no tiles");
  });
});

describe("times of ops", () => {
  it("calls are counted and timed, by op", async () => {
    const device = open();
    await device.run(async (scope) => {
      const x = scope.empty([1 << 20]);
      fill(x, 1);
      for (let i = 0; i < 3; i++) add(scope, x, x);
      await device.drain();
    });
    const times = new Map(device.opTimes().map(({ op, ...time }) => [op, time]));
    expect(times.get("fill_forward")?.calls).toBe(1);
    expect(times.get("add_forward")?.calls).toBe(3);
    expect(times.get("add_forward")?.milliseconds).toBeGreaterThan(0.01);
    expect(times.get("linear_forward")).toEqual({ calls: 0, milliseconds: 0 });
  });
});
