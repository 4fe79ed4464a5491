// The cache in pages, in an order of pages that is no order: keys and values are written, a page is copied and the copy used, then the
// last tokens of each sequence ask. Bit equality with packed attention is tested in tests/row-rule.test.ts.
import {
  attentionCached,
  keysPerPage,
  kvCacheCopy,
  kvCacheWrite,
  kvPages,
  type Scope,
  type Tensor,
} from "@posttrain/kernels";
import { attentionReference } from "./attention.js";
import { bf16Rounding, epsilon, type OpCase, type Reference } from "./case.js";

/** Sequences of these many keys; the last `asked` tokens of each are queries. */
const lengths = [1, 64, 130, 65];
const asked = 5;
const keys = lengths.reduce((a, b) => a + b, 0);
const queries = lengths.map((length) => Math.min(asked, length));
const starts = cumulated(queries);
const keyStarts = cumulated(lengths);
const pagesOfSequence = Math.ceil(Math.max(...lengths) / keysPerPage);
const pages = lengths.length * pagesOfSequence + 1;

function cumulated(counts: readonly number[]): Int32Array {
  const sums = new Int32Array(counts.length + 1);
  for (const [i, count] of counts.entries()) sums[i + 1] = (sums[i] as number) + count;
  return sums;
}
/** Page of key block b of sequence s. */
const pageOf = (s: number, b: number) => (5 * (s * pagesOfSequence + b) + 3) % (pages - 1);

function cachedAttention(scope: Scope, q: Tensor, k: Tensor, v: Tensor, D: number): Tensor {
  const cache = kvPages(scope, pages, k.shape[1] as number, D, k.dtype === "bf16" ? "bf16" : "f32");
  const slots = new Int32Array(keys);
  for (const [s, length] of lengths.entries()) {
    for (let i = 0; i < length; i++) {
      slots[(keyStarts[s] as number) + i] =
        pageOf(s, Math.floor(i / keysPerPage)) * keysPerPage + (i % keysPerPage);
    }
  }
  kvCacheWrite(cache, k, v, scope.from(slots));
  // The second sequence's only page moves to the spare one.
  kvCacheCopy(cache, scope.from(Int32Array.of(pageOf(1, 0))), scope.from(Int32Array.of(pages - 1)));
  const table = new Int32Array(lengths.length * pagesOfSequence).fill(-1);
  for (const [s, length] of lengths.entries()) {
    for (let b = 0; b * keysPerPage < length; b++)
      table[s * pagesOfSequence + b] = s === 1 ? pages - 1 : pageOf(s, b);
  }
  const layout = {
    starts: scope.from(starts),
    lengths: scope.from(Int32Array.from(lengths)),
    pages: scope.from(table, [lengths.length, pagesOfSequence]),
  };
  return attentionCached(scope, q, cache, layout, D ** -0.5);
}

export const attentionCachedCase: OpCase = {
  stem: "attention_cached",
  alsoCovers: ["kv_cache_write", "kv_cache_copy"],
  shapes: [
    { H: 1, G: 1, D: 1 },
    { H: 6, G: 2, D: 17 },
    { H: 2, G: 2, D: 64 },
  ],
  benchmarks: [],
  inputs: ({ H = 0, G = 0, D = 0 }, random) => ({
    q: random.normal([starts[lengths.length] as number, H, D]),
    k: random.normal([keys, G, D]),
    v: random.normal([keys, G, D]),
  }),
  run: (scope, inputs, { D = 0 }) => {
    const { q, k, v } = inputs as { q: Tensor; k: Tensor; v: Tensor };
    return { y: cachedAttention(scope, q, k, v, D) };
  },
  reference: (inputs, { H = 0, G = 0, D = 0 }) => {
    const { q, k, v } = inputs as { q: Reference; k: Reference; v: Reference };
    // Queries for every key's place, of which only the asked ones are real.
    const all = new Float64Array(keys * H * D);
    for (const [s, length] of lengths.entries()) {
      const from = (starts[s] as number) * H * D;
      const count = (queries[s] as number) * H * D;
      all.set(q.data.subarray(from, from + count), ((keyStarts[s] as number) + length) * H * D - count);
    }
    const whole = attentionReference(
      { data: all, shape: [] },
      k,
      v,
      keyStarts,
      { M: keys, H, G, D },
      D ** -0.5,
    );
    const y: number[] = [];
    for (const [s, length] of lengths.entries()) {
      const end = ((keyStarts[s] as number) + length) * H * D;
      y.push(...whole.data.subarray(end - (queries[s] as number) * H * D, end));
    }
    return { y: { data: Float64Array.from(y), shape: q.shape } };
  },
  tolerance: ({ D = 0 }) => ({
    y: { bound: (20 + 2 * Math.sqrt(D)) * epsilon, reason: "as packed attention over up to 130 keys" },
  }),
  cost: ({ H = 0, D = 0 }) => ({ flops: 4 * keys * asked * H * D, bytes: 8 * keys * H * D }),
};

export const attentionCachedBf16Case: OpCase = {
  ...attentionCachedCase,
  variant: "bf16",
  inputs: ({ H = 0, G = 0, D = 0 }, random) => ({
    q: random.normalBf16([starts[lengths.length] as number, H, D]),
    k: random.normalBf16([keys, G, D]),
    v: random.normalBf16([keys, G, D]),
  }),
  tolerance: ({ D = 0 }) => ({
    y: {
      bound: (20 + 2 * Math.sqrt(D)) * epsilon + 2 * bf16Rounding.bound,
      reason: "as packed attention in bf16 over up to 130 keys: p and y are rounded",
    },
  }),
};
