// Promise 1 for attention: a row's bits do not depend on what is packed beside it, on a cache or on how the cache was filled; and
// causality: what a later token holds, even NaN, reaches no earlier row. Tried, and red here: blocks counted back from the last key.
import {
  attention,
  attentionCached,
  convert,
  cpuPaths,
  type Device,
  fill,
  keysPerPage,
  kvCacheWrite,
  kvPages,
  openDevice,
} from "@posttrain/kernels";
import { attentionBackward, attentionForward } from "@posttrain/kernels/binding";
import { afterAll, describe, expect, it } from "vitest";
import { Random } from "./cases/case.js";
import { firstDifference } from "./cases/run.js";

// Seven query heads to a key-value head, as in Qwen2.5-0.5B: one decoded token is a full tile of six rows and a tile of one.
const [H, G, D, scale] = [14, 2, 16, 0.25];
const lengths = [130, 1, 64, 0, 71];
const starts = Int32Array.from([0, 130, 131, 195, 195, 266]);
const M = 266;
const random = new Random(3);
const [q, k, v, dy] = [H, G, G, H].map((heads) => random.normal([M, heads, D]).data as Float32Array) as [
  Float32Array,
  Float32Array,
  Float32Array,
  Float32Array,
];
const queryRows = (data: Float32Array, from: number, to: number) => data.slice(from * H * D, to * H * D);
const keyRows = (data: Float32Array, from: number, to: number) => data.slice(from * G * D, to * G * D);

interface Packed {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly dy: Float32Array;
  readonly starts: Int32Array;
}

/** y, dq, dk, dv of packed sequences. */
async function packed(device: Device, input: Packed): Promise<readonly Float32Array[]> {
  return device.run(async (scope) => {
    const rows = input.q.length / (H * D);
    const queries = () => scope.empty([rows, H, D]);
    const keys = () => scope.empty([rows, G, D]);
    const [y, lse, dq, dk, dv] = [queries(), scope.empty([rows, H]), queries(), keys(), keys()];
    const [tq, td] = [scope.from(input.q, [rows, H, D]), scope.from(input.dy, [rows, H, D])];
    const [tk, tv] = [scope.from(input.k, [rows, G, D]), scope.from(input.v, [rows, G, D])];
    const offsets = scope.from(input.starts);
    attentionForward(y, lse, tq, tk, tv, offsets, scale);
    attentionBackward(dq, dk, dv, td, y, lse, tq, tk, tv, offsets, scale);
    const results: Float32Array[] = [];
    for (const tensor of [y, dq, dk, dv]) results.push((await tensor.read()) as Float32Array);
    return results;
  });
}

/** y of the packed sequences, token by token or in larger pieces over a cache whose pages lie in reverse. */
async function cached(device: Device, piece: number): Promise<Float32Array> {
  const perSequence = 3;
  const pageCount = lengths.length * perSequence;
  const y = new Float32Array(M * H * D);
  await device.run(async (scope) => {
    const cache = kvPages(scope, pageCount, G, D);
    fill(cache.keys, Number.NaN);
    fill(cache.values, Number.NaN);
    const page = (s: number, b: number) => pageCount - 1 - (b * lengths.length + s);
    const pages = scope.from(
      Int32Array.from({ length: pageCount }, (_, i) => page(Math.floor(i / perSequence), i % perSequence)),
      [lengths.length, perSequence],
    );
    for (let done = 0; done < 130; done += piece) {
      const rows: number[] = [];
      const slots: number[] = [];
      const offsets = [0];
      for (const [s, length] of lengths.entries()) {
        for (let i = done; i < Math.min(done + piece, length); i++) {
          rows.push((starts[s] as number) + i);
          slots.push(page(s, Math.floor(i / keysPerPage)) * keysPerPage + (i % keysPerPage));
        }
        offsets.push(rows.length);
      }
      const pick = (data: Float32Array, width: number) =>
        Float32Array.from(rows.flatMap((row) => [...data.subarray(row * width, (row + 1) * width)]));
      kvCacheWrite(
        cache,
        scope.from(pick(k, G * D), [rows.length, G, D]),
        scope.from(pick(v, G * D), [rows.length, G, D]),
        scope.from(Int32Array.from(slots)),
      );
      const layout = {
        starts: scope.from(Int32Array.from(offsets)),
        lengths: scope.from(Int32Array.from(lengths, (length) => Math.min(length, done + piece))),
        pages,
      };
      const part = attentionCached(
        scope,
        scope.from(pick(q, H * D), [rows.length, H, D]),
        cache,
        layout,
        scale,
      );
      const values = (await part.read()) as Float32Array;
      for (const [i, row] of rows.entries()) y.set(queryRows(values, i, i + 1), row * H * D);
    }
  });
  return y;
}

describe.each(cpuPaths())("attention on %s", (path) => {
  const device = openDevice({ path, threads: 2, guards: true });
  afterAll(() => device.close());

  it("gives a sequence the same y and gradients alone and packed with others", async () => {
    const whole = await packed(device, { q, k, v, dy, starts });
    for (const s of [0, 1, 2, 4]) {
      const [from, to] = [starts[s] as number, starts[s + 1] as number];
      const alone = await packed(device, {
        q: queryRows(q, from, to),
        k: keyRows(k, from, to),
        v: keyRows(v, from, to),
        dy: queryRows(dy, from, to),
        starts: Int32Array.of(0, to - from),
      });
      for (const [i, name] of ["y", "dq", "dk", "dv"].entries()) {
        const rows = (i < 2 ? queryRows : keyRows)(whole[i] as Float32Array, from, to);
        expect(firstDifference(rows, alone[i] as Float32Array), `${name} of sequence ${s}`).toBe(-1);
      }
    }
    expect(await device.checkGuards()).toBe(0);
  });

  it.each([1, 7, 33, 130])(
    "gives the same y over a cache that is filled %i tokens at a time",
    async (piece) => {
      const [y] = await packed(device, { q, k, v, dy, starts });
      expect(firstDifference(y as Float32Array, await cached(device, piece))).toBe(-1);
      expect(await device.checkGuards()).toBe(0);
    },
  );

  // Single queries are worked on together, and those that share a page meet it together: neither may be seen in a bit.
  it.each([
    ["f32", 3, 16],
    ["f32", 7, 64],
    ["bf16", 3, 24],
    ["bf16", 7, 64],
  ] as const)(
    "gives single queries in %s the same y alone and with others, pages shared or not",
    async (dtype, heads, size) => {
      const groups = 2;
      // A prompt of two pages with samples of unequal lengths; sequences that end within one page, in any order; several queries, and none.
      const table = [
        ...[140, 140, 150, 140, 129, 191, 140, 140].map((length, i) => ({
          pages: [0, 1, 2 + i],
          length,
          asks: 1,
        })),
        ...[10, 40, 20, 64].map((length) => ({ pages: [10], length, asks: 1 })),
        { pages: [11], length: 0, asks: 0 },
        { pages: [10, 12], length: 70, asks: 1 },
        { pages: [13], length: 1, asks: 1 },
        { pages: [0, 14], length: 100, asks: 5 },
        { pages: [0, 1], length: 128, asks: 1 },
        { pages: [0, 15], length: 65, asks: 1 },
      ];
      const random = new Random(9);
      const normal = (shape: readonly number[]) => Float32Array.from(random.normal(shape).data);
      const queries = normal([table.length, 5, groups * heads, size]);
      const keys = normal([16, groups, size, keysPerPage]);
      const values = normal([16, groups, keysPerPage, size]);
      // Whoever ends before key 30 of page 10 does not see it; the others do.
      for (let g = 0; g < groups; g++)
        values[((10 * groups + g) * keysPerPage + 30) * size] =
          g === 0 ? Number.NaN : Number.POSITIVE_INFINITY;
      const ask = (rows: readonly number[]) =>
        device.run(async (scope) => {
          const tensor = (data: Float32Array, shape: readonly number[]) => {
            const exact = scope.from(data, shape);
            if (dtype === "f32") return exact;
            const narrow = scope.empty(shape, dtype);
            convert(narrow, exact);
            return narrow;
          };
          const chosen = rows.map((row) => table[row] as (typeof table)[number]);
          const offsets = [0];
          const q: number[] = [];
          for (const [i, { asks }] of chosen.entries()) {
            const from = (rows[i] as number) * 5 * groups * heads * size;
            q.push(...queries.subarray(from, from + asks * groups * heads * size));
            offsets.push((offsets[i] as number) + asks);
          }
          const pages = chosen.flatMap(({ pages }) => [0, 1, 2].map((b) => pages[b] ?? -1));
          const y = attentionCached(
            scope,
            tensor(Float32Array.from(q), [offsets[rows.length] as number, groups * heads, size]),
            {
              keys: tensor(keys, [16, groups, size, keysPerPage]),
              values: tensor(values, [16, groups, keysPerPage, size]),
            },
            {
              starts: scope.from(Int32Array.from(offsets)),
              lengths: scope.from(Int32Array.from(chosen, ({ length }) => length)),
              pages: scope.from(Int32Array.from(pages), [rows.length, 3]),
            },
            size ** -0.5,
          );
          return { y: (await y.read()) as Float32Array | Uint16Array, offsets };
        });
      const all = table.map((_, row) => row);
      for (const order of [all, [...all].reverse(), all.filter((row) => row % 3 !== 1)]) {
        const together = await ask(order);
        for (const [i, row] of order.entries()) {
          const width = groups * heads * size;
          const part = together.y.slice(
            (together.offsets[i] as number) * width,
            (together.offsets[i + 1] as number) * width,
          );
          expect(Array.from(part), `sequence ${row}`).toEqual(Array.from((await ask([row])).y));
        }
      }
      expect(await device.checkGuards()).toBe(0);
    },
  );

  it("lets a NaN in a token reach later rows of its sequence only", async () => {
    const clean = await packed(device, { q, k, v, dy, starts });
    const bad = 100;
    const spoilt = (data: Float32Array, width: number) =>
      data.slice().fill(Number.NaN, bad * width, (bad + 1) * width);
    const [y, dq] = await packed(device, {
      q,
      k: spoilt(k, G * D),
      v: spoilt(v, G * D),
      dy: spoilt(dy, H * D),
      starts,
    });
    for (let m = 0; m < M; m++) {
      const equal = (i: number, data: Float32Array | undefined) =>
        firstDifference(
          queryRows(clean[i] as Float32Array, m, m + 1),
          queryRows(data as Float32Array, m, m + 1),
        ) === -1;
      const untouched = m < bad || m >= (starts[1] as number);
      expect(equal(0, y), `y of row ${m}`).toBe(untouched);
      expect(equal(1, dq), `dq of row ${m}`).toBe(untouched);
    }
  });

  it("keeps the gradient of later keys clean of an earlier query's NaN", async () => {
    const clean = await packed(device, { q, k, v, dy, starts });
    const bad = 100;
    const spoilt = (data: Float32Array) => data.slice().fill(Number.NaN, bad * H * D, (bad + 1) * H * D);
    const dirty = await packed(device, { q: spoilt(q), k, v, dy: spoilt(dy), starts });
    for (const i of [2, 3]) {
      const later = (results: readonly Float32Array[]) => keyRows(results[i] as Float32Array, bad + 1, M);
      expect(firstDifference(later(clean), later(dirty)), i === 2 ? "dk" : "dv").toBe(-1);
      expect(keyRows(dirty[i] as Float32Array, bad, bad + 1).every(Number.isNaN)).toBe(true);
    }
  });
});

describe("attention's refusals", () => {
  // A device each: an error stays with its stream.
  const refusal = async (heads: number, offsets: readonly number[]) => {
    const device = openDevice({ threads: 1 });
    try {
      await device.run(async (scope) => {
        const keys = scope.from(new Float32Array(4 * 2), [4, 2, 1]);
        const queries = scope.from(new Float32Array(4 * heads), [4, heads, 1]);
        await attention(scope, queries, keys, keys, scope.from(Int32Array.from(offsets)), 1).read();
      });
    } finally {
      await device.close();
    }
  };

  it("names heads that do not divide", async () => {
    await expect(refusal(3, [0, 4])).rejects.toThrow(/3 query heads .* 2 key-value heads/);
  });
  it.each(["1 4", "0 3", "0 5", "0 3 2 4"])(
    "names starts that do not cover the rows: %s",
    async (offsets) => {
      await expect(refusal(2, offsets.split(" ").map(Number))).rejects.toThrow(/starts\[\d\] is \d.* 4 rows/);
    },
  );
});
