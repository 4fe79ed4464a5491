// attention.test.ts for bf16 on the emulated tensor cores of sm_80 and sm_90: a row's bits do not depend on what is packed beside it, on a cache, on how
// the cache was filled or in how many parts its pages are read; and what a later token holds, even NaN, reaches no earlier row.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { attentionBackward, attentionForward } from "../src/binding.generated.js";
import {
  addonFile,
  attentionCached,
  type Device,
  keysPerPage,
  kvCacheWrite,
  kvPages,
  openDevice,
} from "../src/index.js";
import { Random } from "./cases/case.js";
import { firstDifference } from "./cases/run.js";
import { bf16Bits } from "./float32.js";

const library = join(addonFile().path, "../test/cuda-emulated.so");
const [H, G, D, scale] = [4, 2, 24, 0.2];
const lengths = [130, 1, 71];
const M = lengths.reduce((a, b) => a + b, 0);
const random = new Random(8);
const bits = (heads: number): Uint16Array =>
  Uint16Array.from(random.normal([M, heads, D]).data as Float32Array, bf16Bits);
const inputs = { q: bits(H), k: bits(G), v: bits(G), dy: bits(H) };
type Inputs = typeof inputs;
const cut = (data: Uint16Array, heads: number, from: number, to: number) =>
  data.slice(from * heads * D, to * heads * D);
const rowsOf = ({ q, k, v, dy }: Inputs, from: number, to: number): Inputs => ({
  q: cut(q, H, from, to),
  k: cut(k, G, from, to),
  v: cut(v, G, from, to),
  dy: cut(dy, H, from, to),
});
const startsOf = (all: readonly number[]) =>
  Int32Array.from([0, ...all.map((_, i) => all.slice(0, i + 1).reduce((a, b) => a + b, 0))]);

/** y, dq, dk, dv of packed sequences. */
function packed(device: Device, { q, k, v, dy }: Inputs, sequences: readonly number[]) {
  return device.run(async (scope) => {
    const rows = q.length / (H * D);
    const from = (data: Uint16Array, heads: number) => scope.from(data, [rows, heads, D], "bf16");
    const [tq, tk, tv, td] = [from(q, H), from(k, G), from(v, G), from(dy, H)];
    const [y, lse] = [scope.empty([rows, H, D], "bf16"), scope.empty([rows, H])];
    const [dq, dk, dv] = [scope.empty([rows, H, D]), scope.empty([rows, G, D]), scope.empty([rows, G, D])];
    const starts = scope.from(startsOf(sequences));
    attentionForward(y, lse, tq, tk, tv, starts, scale);
    attentionBackward(dq, dk, dv, td, y, lse, tq, tk, tv, starts, scale);
    const [ry, rq] = [(await y.read()) as Uint16Array, (await dq.read()) as Float32Array];
    return { y: ry, dq: rq, dk: (await dk.read()) as Float32Array, dv: (await dv.read()) as Float32Array };
  });
}

/** y of the last `asked` tokens of the first sequence, over a cache with its pages in no order. */
function cached(device: Device, asked: number, pages: number) {
  return device.run(async (scope) => {
    const length = lengths[0] as number;
    const cache = kvPages(scope, pages + 1, G, D, "bf16");
    const { q, k, v } = rowsOf(inputs, 0, length);
    const pageOf = (b: number) => (b * 3 + 1) % (pages + 1);
    const slots = Int32Array.from(
      { length },
      (_, i) => pageOf(Math.floor(i / keysPerPage)) * keysPerPage + (i % keysPerPage),
    );
    const from = (data: Uint16Array, heads: number) =>
      scope.from(data, [data.length / (heads * D), heads, D], "bf16");
    kvCacheWrite(cache, from(k, G), from(v, G), scope.from(slots));
    const layout = {
      starts: scope.from(Int32Array.of(0, asked)),
      lengths: scope.from(Int32Array.of(length)),
      pages: scope.from(
        Int32Array.from({ length: pages }, (_, b) => pageOf(b)),
        [1, pages],
      ),
    };
    return attentionCached(scope, from(cut(q, H, length - asked, length), H), cache, layout, scale).read();
  });
}

describe.runIf(existsSync(library)).each([80, 90])("attention on sm_%s", (capability) => {
  process.env["POSTTRAIN_SIMT_CAPABILITY"] = String(capability);
  const device: Device = existsSync(library)
    ? openDevice({ backend: library, threads: 1, guards: true })
    : openDevice();
  delete process.env["POSTTRAIN_SIMT_CAPABILITY"];
  afterAll(() => device.close());

  it("of a sequence alone has the bits of the sequence among others", async () => {
    const whole = await packed(device, inputs, lengths);
    const starts = startsOf(lengths);
    for (const [s, length] of lengths.entries()) {
      const from = starts[s] as number;
      const alone = await packed(device, rowsOf(inputs, from, from + length), [length]);
      for (const [name, heads] of [
        ["y", H],
        ["dq", H],
        ["dk", G],
        ["dv", G],
      ] as const)
        expect(
          firstDifference(alone[name], whole[name].slice(from * heads * D, (from + length) * heads * D)),
          `${name} of sequence ${String(s)}`,
        ).toBe(-1);
    }
    expect(await device.checkGuards()).toBe(0);
  });

  // A page a block of threads, then joined; walked by blocks of threads with a few rows, and with many.
  it.each([
    [1, 3],
    [5, 3],
    [100, 3],
    [130, 4],
  ])("of the last %i tokens over a cache has the bits without one", async (asked, pages) => {
    const { y } = await packed(device, rowsOf(inputs, 0, 130), [130]);
    expect(firstDifference(await cached(device, asked, pages), cut(y, H, 130 - asked, 130))).toBe(-1);
  });

  it("of what is infinite or no number stays with those who see it", async () => {
    const sequence = rowsOf(inputs, 0, 130);
    const clean = await packed(device, sequence, [130]);
    const poisoned = (names: readonly (keyof Inputs)[], token: number): Inputs =>
      Object.fromEntries(
        Object.entries(sequence).map(([name, data]) => {
          const heads = name === "q" || name === "dy" ? H : G;
          const copy = data.slice();
          if (names.includes(name as keyof Inputs))
            copy
              .fill(0x7f80, token * heads * D, (token + 1) * heads * D)
              .fill(0x7fc0, token * heads * D + 1, token * heads * D + 3);
          return [name, copy];
        }),
      ) as Inputs;
    const later = await packed(device, poisoned(["k", "v"], 100), [130]);
    for (const name of ["y", "dq"] as const)
      expect(
        firstDifference(later[name].slice(0, 100 * H * D), clean[name].slice(0, 100 * H * D)),
        name,
      ).toBe(-1);
    expect(later.dq.subarray(100 * H * D).some(Number.isNaN)).toBe(true);
    const earlier = await packed(device, poisoned(["q", "dy"], 50), [130]);
    for (const name of ["dk", "dv"] as const)
      expect(firstDifference(earlier[name].slice(51 * G * D), clean[name].slice(51 * G * D)), name).toBe(-1);
    expect(earlier.dv.subarray(0, 51 * G * D).some(Number.isNaN)).toBe(true);
  });
});
