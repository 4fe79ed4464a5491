import { kvCacheCopyForward, kvCacheWriteForward } from "../binding.generated.js";
import type { Tensor } from "../tensor.js";
import type { KvPages } from "./attention.js";

/** Keys a page, and a block of attention: pages must be this large. */
export const keysPerPage = 64;

/** Stores rows of k and v (M, G, D) at slots (i32, M): page * keysPerPage + place in the page. A bf16 cache rounds them. */
export function kvCacheWrite(cache: KvPages, k: Tensor, v: Tensor, slots: Tensor): void {
  kvCacheWriteForward(cache.keys, cache.values, k, v, slots);
}

/** Copies whole pages: sources[i] to targets[i] (i32). */
export function kvCacheCopy(cache: KvPages, sources: Tensor, targets: Tensor): void {
  kvCacheCopyForward(cache.keys, cache.values, sources, targets);
}
