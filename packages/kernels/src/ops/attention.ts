import { attentionBackward, attentionCachedForward, attentionForward } from "../binding.generated.js";
import type { Scope } from "../scope.js";
import { shapeOf, type Tensor } from "../tensor.js";
import type { KvPages } from "./kv-cache.js";

/**
 * Causal grouped-query attention over sequences packed one after the other: q (M, H, D), k and v (M, G, D), sequence s in rows
 * starts[s] .. starts[s+1] - 1. Returns y (M, H, D). Online softmax over blocks of 64 keys (Dao et al. 2022), each block from zero
 * against its own maximum, merged in block order. q, k and v are of one dtype, y too; gradients are f32.
 */
export function attention(
  scope: Scope,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  starts: Tensor,
  scale: number,
): Tensor {
  const [rows = 0, heads = 0] = shapeOf("attention", "q", q, 3);
  const y = scope.empty(q.shape, q.dtype, "attention");
  const lse = scope.empty([rows, heads], "f32", "attention");
  attentionForward(y, lse, q, k, v, starts, scale);
  scope.tape?.record({
    outputs: [y],
    inputs: [q, k, v],
    saved: [q, k, v, y, lse, starts],
    backward: (inner, [dy]) => {
      if (dy === undefined) return [];
      const dq = inner.empty(q.shape);
      const dk = inner.empty(k.shape);
      const dv = inner.empty(v.shape);
      attentionBackward(dq, dk, dv, dy, y, lse, q, k, v, starts, scale);
      return [dq, dk, dv];
    },
  });
  return y;
}

/**
 * The same function over a paged cache, the same bits: the new rows' keys are in the cache already. lengths (i32, S): keys of each
 * sequence, new ones included; pages (i32, S, L): which page holds its keys 64 b .. 64 b + 63. No gradient.
 */
export function attentionCached(
  scope: Scope,
  q: Tensor,
  cache: KvPages,
  layout: { readonly starts: Tensor; readonly lengths: Tensor; readonly pages: Tensor },
  scale: number,
): Tensor {
  const [rows = 0, heads = 0] = shapeOf("attentionCached", "q", q, 3);
  const y = scope.empty(q.shape, q.dtype, "attentionCached");
  scope.child((inner) => {
    const lse = inner.empty([rows, heads], "f32", "attentionCached");
    attentionCachedForward(
      y,
      lse,
      q,
      cache.keys,
      cache.values,
      layout.starts,
      layout.lengths,
      layout.pages,
      scale,
    );
    return undefined;
  });
  return y;
}
