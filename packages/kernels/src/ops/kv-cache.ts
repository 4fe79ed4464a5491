import { kvCacheCopyForward, kvCacheWriteForward } from "../binding.generated.js";
import type { Scope } from "../scope.js";
import type { FloatDtype, Tensor } from "../tensor.js";

/** Keys (P, G, D, B) and values (P, G, B, D) of one layer in pages of B keys; what of a page was never written is undefined. */
export interface KvPages {
  readonly keys: Tensor;
  readonly values: Tensor;
}

/** Keys a page, and a block of attention: pages must be this large. */
export const keysPerPage = 64;

/** An empty cache for one layer. */
export function kvPages(
  scope: Scope,
  pages: number,
  kvHeads: number,
  headDim: number,
  dtype: FloatDtype = "f32",
): KvPages {
  return {
    keys: scope.empty([pages, kvHeads, headDim, keysPerPage], dtype, "kvPages"),
    values: scope.empty([pages, kvHeads, keysPerPage, headDim], dtype, "kvPages"),
  };
}

/** Stores rows of k and v (M, G, D) at slots (i32, M): page * keysPerPage + place in the page. A bf16 cache rounds them. */
export function kvCacheWrite(cache: KvPages, k: Tensor, v: Tensor, slots: Tensor): void {
  kvCacheWriteForward(cache.keys, cache.values, k, v, slots);
}

/** Copies whole pages: sources[i] to targets[i] (i32). */
export function kvCacheCopy(cache: KvPages, sources: Tensor, targets: Tensor): void {
  kvCacheCopyForward(cache.keys, cache.values, sources, targets);
}
