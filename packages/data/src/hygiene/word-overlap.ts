/**
 * How many words a row and each test item have in common, as multisets: never fewer than their common subsequence has, so what stays below the rule cannot match. Lists
 * of items by word are walked: one for a word's first occurrence, one for its second, and so on.
 */

export interface WordOverlap {
  /** Calls `found` for items that have at least `needed(length)` words in common with row[from..to), ascending. */
  each(
    row: Int32Array,
    from: number,
    to: number,
    needed: (length: number) => number,
    found: (item: number) => void,
  ): void;
}

/** Of items (sequences of numbers below `words`), numbered in ascending order of their lengths. */
export function createWordOverlap(items: readonly Int32Array[], words: number): WordOverlap {
  const { firstList, starts, members } = listsOf(items, words);
  const longest = items.at(-1)?.length ?? 0;
  const Counts = longest < 2 ** 8 ? Uint8Array : longest < 2 ** 16 ? Uint16Array : Uint32Array;
  const common = new Counts(items.length);
  const occurrences = new Int32Array(words);
  const lengths = Int32Array.from(items, ({ length }) => length);
  return {
    each(row, from, to, needed, found) {
      for (let at = from; at < to; at++) {
        const word = row[at]!;
        if (word < 0) continue;
        const list = firstList[word]! + occurrences[word]!++;
        if (list >= firstList[word + 1]!) continue;
        const end = starts[list + 1]!;
        for (let i = starts[list]!; i < end; i++) common[members[i]!]!++;
      }
      for (let at = from; at < to; at++) if (row[at]! >= 0) occurrences[row[at]!] = 0;
      let [length, least] = [-1, 0];
      for (let item = 0; item < common.length; item++) {
        if (lengths[item] !== length) {
          length = lengths[item]!;
          least = needed(length);
        }
        if (common[item]! >= least) found(item);
      }
      common.fill(0);
    },
  };
}

/** List `firstList[word] + k` has the items in which the word stands more than k times: members[starts[list]..starts[list + 1]). */
function listsOf(items: readonly Int32Array[], words: number) {
  const most = new Int32Array(words);
  const counted = items.map((item) => {
    const counts = new Map<number, number>();
    for (const word of item) counts.set(word, (counts.get(word) ?? 0) + 1);
    for (const [word, count] of counts) most[word] = Math.max(most[word]!, count);
    return counts;
  });
  const firstList = new Int32Array(words + 1);
  for (let word = 0; word < words; word++) firstList[word + 1] = firstList[word]! + most[word]!;
  const starts = new Int32Array(firstList[words]! + 1);
  for (const counts of counted)
    for (const [word, count] of counts) for (let k = 0; k < count; k++) starts[firstList[word]! + k + 1]!++;
  for (let list = 0; list + 1 < starts.length; list++) starts[list + 1]! += starts[list]!;
  const members = new Int32Array(starts.at(-1)!);
  const filled = starts.slice();
  for (const [item, counts] of counted.entries())
    for (const [word, count] of counts)
      for (let k = 0; k < count; k++) members[filled[firstList[word]! + k]!++] = item;
  return { firstList, starts, members };
}
