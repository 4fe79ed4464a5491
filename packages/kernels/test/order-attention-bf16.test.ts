// The order of attention's sums in bf16, written down a second time (attention.cpp, attention_backward.cpp) and compared bit for bit on
// every path: products in blocks of 32, even and odd apart, everything else as in fp32; what is rounded and what is not. Tried by
// `npm run test:mutations`, and red here: p not rounded, l summed from p as rounded, ds not rounded, dq restarted at each key block, even
// and odd products in one chain, subnormals kept.
import { afterAll, describe, expect, it } from "vitest";
import { attentionBackward, attentionForward } from "../src/binding.generated.js";
import { attentionCached, keysPerPage, kvCacheWrite, openDevice, type TensorData } from "../src/index.js";
import { Random } from "./cases/case.js";
import { firstDifference, numbers, pathsOf } from "./cases/run.js";
import { bf16Bits, blocksOf32, byLanes, exp, fma, mul, sub, toBf16 } from "./float32.js";
import { attentionByRule, keyBlock } from "./rule.js";

const round = Math.fround;
const devices = pathsOf({ variant: "bf16" }).flatMap((path) =>
  [1, 2].map((threads) => openDevice({ path, threads, guards: true })),
);
afterAll(async () => {
  for (const device of devices) await device.close();
});

const random = new Random(44);
const bits = (values: Float32Array): Uint16Array => Uint16Array.from(values, bf16Bits);
const widened = (data: TensorData): Float32Array => numbers(data, "bf16") as Float32Array;

// Two sequences, two query heads for each of two key-value heads; sizes that fill blocks of 32 and that do not. Small numbers in some
// places make products that are flushed, and one dimension of nothing else shows it in what is summed over keys and queries.
describe.each([32, 10, 40])("bf16 attention with heads of %s", (D) => {
  const [H, G] = [4, 2];
  const starts = Int32Array.of(0, 5, 155);
  const M = starts.at(-1) as number;
  const scale = round(0.3);
  const normal = (heads: number): Float32Array => {
    const values = (random.normal([M, heads, D]).data as Float32Array).map(toBf16);
    return values.map((x, i) =>
      i % D === 3 ? toBf16(x * 2 ** -125) : i % 13 === 5 ? toBf16(x * 2 ** -70) : x,
    );
  };
  const [q, k, v] = [normal(H), normal(G), normal(G)];
  // Not bf16: attention's backward rounds it.
  const dy = random.normal([M, H, D]).data as Float32Array;
  const slope = dy.map(toBf16);
  const element = (data: Float32Array, heads: number, row: number, head: number, d: number): number =>
    data[(row * heads + head) * D + d] as number;
  const group = (h: number): number => Math.floor(h / (H / G));
  const first = (row: number): number => (row < 5 ? 0 : 5);
  const last = (row: number): number => (row < 5 ? 5 : M);
  const score = (i: number, h: number, j: number): number =>
    mul(
      blocksOf32(
        D,
        (d) => element(q, H, i, h, d),
        (d) => element(k, G, j, group(h), d),
      ),
      scale,
    );
  const forward = attentionByRule({ M, H, D, first }, score, (i, h, block, p, d) =>
    blocksOf32(
      keyBlock,
      (j) => toBf16(p[j] ?? 0),
      (j) => (block + j < last(i) ? element(v, G, block + j, group(h), d) : 0),
    ),
  );
  const y = forward.y.map(toBf16);
  const { lse } = forward;

  it("sums y in blocks of 32 along heads and keys, packed", async () => {
    for (const device of devices)
      await device.run(async (scope) => {
        const made = { y: scope.empty([M, H, D], "bf16"), lse: scope.empty([M, H]) };
        const [tq, tk, tv] = [
          scope.from(bits(q), [M, H, D], "bf16"),
          scope.from(bits(k), [M, G, D], "bf16"),
          scope.from(bits(v), [M, G, D], "bf16"),
        ];
        attentionForward(made.y, made.lse, tq, tk, tv, scope.from(starts), 0.3);
        const found = widened(await made.y.read());
        const at = firstDifference(y, found);
        expect(at, `y on ${device.path}: ${found[at]}, by the rule ${y[at]}`).toBe(-1);
        expect(firstDifference(lse, await made.lse.read()), `lse on ${device.path}`).toBe(-1);
        expect(await device.checkGuards()).toBe(0);
      });
  });

  it.each([1, 7, 50, 150])(
    "gives the same y over a cache that is filled %i tokens at a time",
    async (piece) => {
      for (const device of devices)
        await device.run(async (scope) => {
          const pageCount = 6;
          // NaN in every slot that no key was written to.
          const garbage = new Uint16Array(pageCount * G * keysPerPage * D).fill(0x7fc0);
          const cache = {
            keys: scope.from(garbage, [pageCount, G, D, keysPerPage], "bf16"),
            values: scope.from(garbage, [pageCount, G, keysPerPage, D], "bf16"),
          };
          const pages = scope.from(Int32Array.of(5, 4, 3, 2, 1, 0), [2, 3]);
          const page = (s: number, b: number) => 5 - (s * 3 + b);
          for (let done = 0; done < 150; done += piece) {
            const rows: number[] = [];
            const slots: number[] = [];
            const offsets = [0];
            const lengths: number[] = [];
            for (const s of [0, 1]) {
              const [from, length] = s === 0 ? [0, 5] : [5, 150];
              for (let i = done; i < Math.min(done + piece, length); i++) {
                rows.push(from + i);
                slots.push(page(s, Math.floor(i / keysPerPage)) * keysPerPage + (i % keysPerPage));
              }
              offsets.push(rows.length);
              lengths.push(Math.min(length, done + piece));
            }
            const pick = (data: Float32Array, heads: number) =>
              scope.from(
                bits(
                  Float32Array.from(
                    rows.flatMap((row) => [...data.subarray(row * heads * D, (row + 1) * heads * D)]),
                  ),
                ),
                [rows.length, heads, D],
                "bf16",
              );
            kvCacheWrite(cache, pick(k, G), pick(v, G), scope.from(Int32Array.from(slots)));
            const layout = {
              starts: scope.from(Int32Array.from(offsets)),
              lengths: scope.from(Int32Array.from(lengths)),
              pages,
            };
            const found = widened(await attentionCached(scope, pick(q, H), cache, layout, 0.3).read());
            for (const [n, row] of rows.entries())
              expect(
                firstDifference(
                  y.subarray(row * H * D, (row + 1) * H * D),
                  found.subarray(n * H * D, (n + 1) * H * D),
                ),
                `row ${row} on ${device.path}`,
              ).toBe(-1);
          }
          expect(await device.checkGuards()).toBe(0);
        });
    },
  );

  it("sums dq over key blocks, dk and dv over heads and query blocks, from p and ds rounded", async () => {
    const p = new Map<number, number>();
    const ds = new Map<number, number>();
    const pair = (i: number, h: number, j: number): number => (i * H + h) * M + j;
    for (let i = 0; i < M; i++)
      for (let h = 0; h < H; h++) {
        const delta = byLanes(D, 0, (d, lane) =>
          fma(element(slope, H, i, h, d), element(y, H, i, h, d), lane),
        );
        for (let j = first(i); j <= i; j++) {
          const weight = exp(sub(score(i, h, j), lse[i * H + h] as number));
          const dp = blocksOf32(
            D,
            (d) => element(slope, H, i, h, d),
            (d) => element(v, G, j, group(h), d),
          );
          p.set(pair(i, h, j), toBf16(weight));
          ds.set(pair(i, h, j), toBf16(mul(weight, sub(dp, delta))));
        }
      }
    const seen = (weights: Map<number, number>, i: number, h: number, j: number) =>
      weights.get(pair(i, h, j)) ?? 0;
    const inside = (row: number, of: number, value: () => number) => (row < last(of) ? value() : 0);
    const dq = new Float32Array(M * H * D);
    const dk = new Float32Array(M * G * D);
    const dv = new Float32Array(M * G * D);
    for (let i = 0; i < M; i++)
      for (let h = 0; h < H; h++)
        for (let d = 0; d < D; d++) {
          let sum = 0;
          for (let block = first(i); block <= i; block += keyBlock)
            sum = blocksOf32(
              keyBlock,
              (j) => seen(ds, i, h, block + j),
              (j) => inside(block + j, i, () => element(k, G, block + j, group(h), d)),
              sum,
            );
          dq[(i * H + h) * D + d] = mul(sum, scale);
        }
    for (let j = 0; j < M; j++)
      for (let g = 0; g < G; g++)
        for (let d = 0; d < D; d++) {
          let [sumK, sumV] = [0, 0];
          const own = first(j) + Math.floor((j - first(j)) / keyBlock) * keyBlock;
          for (let h = g * 2; h < g * 2 + 2; h++)
            for (let block = own; block < last(j); block += keyBlock) {
              const of = (data: Float32Array) => (i: number) =>
                inside(block + i, j, () => element(data, H, block + i, h, d));
              sumK = blocksOf32(keyBlock, (i) => seen(ds, block + i, h, j), of(q), sumK);
              sumV = blocksOf32(keyBlock, (i) => seen(p, block + i, h, j), of(slope), sumV);
            }
          dk[(j * G + g) * D + d] = mul(sumK, scale);
          dv[(j * G + g) * D + d] = sumV;
        }
    for (const device of devices)
      for (const narrow of [false, true])
        await device.run(async (scope) => {
          const made = { dq: scope.empty([M, H, D]), dk: scope.empty([M, G, D]), dv: scope.empty([M, G, D]) };
          attentionBackward(
            made.dq,
            made.dk,
            made.dv,
            narrow ? scope.from(bits(slope), [M, H, D], "bf16") : scope.from(dy, [M, H, D]),
            scope.from(bits(y), [M, H, D], "bf16"),
            scope.from(lse, [M, H]),
            scope.from(bits(q), [M, H, D], "bf16"),
            scope.from(bits(k), [M, G, D], "bf16"),
            scope.from(bits(v), [M, G, D], "bf16"),
            scope.from(starts),
            0.3,
          );
          for (const [name, values] of Object.entries({ dq, dk, dv })) {
            const found = await made[name as "dq"].read();
            const at = firstDifference(values, found);
            expect(at, `${name} on ${device.path}: ${found[at]}, by the rule ${values[at]}`).toBe(-1);
          }
          expect(await device.checkGuards()).toBe(0);
        });
  });
});
