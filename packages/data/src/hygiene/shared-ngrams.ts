/** Which test items share n words in a row with a row. Runs are told by their hash: what only looks the same is told apart by whoever compares. */

export interface SharedNgrams {
  in(row: Int32Array): ReadonlySet<number>;
}

export function createSharedNgrams(items: readonly Int32Array[], n: number): SharedNgrams {
  const runs = items.reduce((sum, { length }) => sum + Math.max(0, length - n + 1), 0);
  // An open hash table of runs, each with a list of its items.
  const size = 2 ** Math.max(4, Math.ceil(Math.log2(2 * runs + 1)));
  const keys = new Int32Array(size);
  const heads = new Int32Array(size).fill(-1);
  const next = new Int32Array(runs);
  const itemOf = new Int32Array(runs);
  const slotOf = (hash: number): number => {
    let slot = spread(hash) & (size - 1);
    while (heads[slot]! >= 0 && keys[slot] !== hash) slot = (slot + 1) & (size - 1);
    return slot;
  };
  let run = 0;
  for (const [item, words] of items.entries()) {
    eachRun(words, n, (hash) => {
      const slot = slotOf(hash);
      keys[slot] = hash;
      next[run] = heads[slot]!;
      itemOf[run] = item;
      heads[slot] = run++;
    });
  }
  return {
    in(row) {
      const found = new Set<number>();
      eachRun(row, n, (hash) => {
        for (let run = heads[slotOf(hash)]!; run >= 0; run = next[run]!) found.add(itemOf[run]!);
      });
      return found;
    },
  };
}

const BASE = 0x01000193;

/** Hashes of n numbers in a row, none of them below 0. */
function eachRun(words: Int32Array, n: number, tell: (hash: number) => void): void {
  let leading = 1;
  for (let i = 1; i < n; i++) leading = Math.imul(leading, BASE);
  let [hash, length] = [0, 0];
  for (let i = 0; i < words.length; i++) {
    if (words[i]! < 0) {
      hash = 0;
      length = 0;
      continue;
    }
    if (length === n) hash -= Math.imul(spread(words[i - n]!), leading);
    else length++;
    hash = (Math.imul(hash, BASE) + spread(words[i]!)) | 0;
    if (length === n) tell(hash);
  }
}

/** Multiplied by the golden ratio, high bits down. */
function spread(value: number): number {
  const bits = Math.imul(value + 1, 0x9e3779b1);
  return bits ^ (bits >>> 15);
}
