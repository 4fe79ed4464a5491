// A paged key-value cache in the model's dtype: fixed pages of 64 keys for every layer, handed out to sequences and counted, so that the
// samples of one prompt share the pages that the prompt fills. A budget bounds it; whoever does not fit waits.
import { type KvPages, keysPerPage, kvCacheCopy, kvPages, type Scope } from "@posttrain/kernels";
import { computeBytes, type Model } from "./model.js";

export interface KvCache {
  readonly layers: readonly KvPages[];
  /** Free page numbers; the last is handed out next. */
  readonly free: number[];
  /** How many sequences use each page. */
  readonly users: Int32Array;
}

/** Bytes of `pages` pages over all layers, keys and values, in the model's dtype. */
export function cacheBytes({ config, dtype }: Pick<Model, "config" | "dtype">, pages: number): number {
  const { layers, kvHeads, headDim } = config;
  return layers * 2 * pages * kvHeads * keysPerPage * headDim * computeBytes[dtype];
}

export function createKvCache(scope: Scope, model: Model, pages: number): KvCache {
  const { layers, kvHeads, headDim } = model.config;
  return {
    layers: Array.from({ length: layers }, () => kvPages(scope, pages, kvHeads, headDim, model.dtype)),
    free: Array.from({ length: pages }, (_, i) => pages - 1 - i),
    users: new Int32Array(pages),
  };
}

export function pagesFor(tokens: number): number {
  return Math.ceil(tokens / keysPerPage);
}

/** A page of one's own. The caller has made sure that there is one. */
export function takePage(cache: KvCache): number {
  const page = cache.free.pop();
  if (page === undefined) throw new Error("the cache has no free page: admission let too many sequences in");
  cache.users[page] = 1;
  return page;
}

export function sharePage(cache: KvCache, page: number): number {
  cache.users[page] = (cache.users[page] as number) + 1;
  return page;
}

export function releasePages(cache: KvCache, pages: readonly number[]): void {
  for (const page of pages) {
    const left = (cache.users[page] as number) - 1;
    cache.users[page] = left;
    if (left === 0) cache.free.push(page);
  }
}

/** Copies pages in every layer, sources[i] to targets[i]. */
export function copyPages(
  scope: Scope,
  cache: KvCache,
  sources: readonly number[],
  targets: readonly number[],
): void {
  if (sources.length === 0) return;
  scope.child((inner) => {
    const from = inner.from(Int32Array.from(sources));
    const to = inner.from(Int32Array.from(targets));
    for (const layer of cache.layers) kvCacheCopy(layer, from, to);
    return undefined;
  });
}

/** Slot of key `position` in a sequence with these pages. */
export function slotOf(pages: readonly number[], position: number): number {
  return (pages[Math.floor(position / keysPerPage)] as number) * keysPerPage + (position % keysPerPage);
}
