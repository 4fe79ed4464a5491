/**
 * The longest common subsequence of a fixed sequence (a test item) and others: words in the same order, with anything between them. Whole, by bits (Hyyrö, "Bit-parallel
 * LCS-length computation revisited", 2004): 32 places of the item at a time. In windows, by strands (Tiskin, "Semi-local string comparison", arXiv 0707.3619): one pass
 * tells it for every window of the other sequence.
 */

export interface Subsequences {
  /** Its length in `other`, whole. */
  whole(other: Int32Array): number;
  /** The largest of any `width` neighbours in `other`. */
  inWindows(other: Int32Array, width: number): number;
}

/** For sequences of numbers below `words`; a number below 0 is a word that the item has not. What it makes share one table, so they do not work at once. */
export function createSubsequences(words: number): (item: Int32Array) => Subsequences {
  /** Where the bits of a word of the item at hand begin; -1: it has not the word. */
  const placeOf = new Int32Array(words).fill(-1);
  return (item) => {
    const blocks = Math.ceil(item.length / 32);
    // Kept where it is small: items of up to 512 words.
    const kept = blocks <= 16 ? bitsOf(item, blocks) : undefined;
    return {
      whole(other) {
        const { words, bits } = kept ?? bitsOf(item, blocks);
        for (let i = 0; i < words.length; i++) placeOf[words[i]!] = i * blocks;
        const length = blocks <= 2 ? short(other, placeOf, bits, blocks) : long(other, placeOf, bits, blocks);
        for (let i = 0; i < words.length; i++) placeOf[words[i]!] = -1;
        return length;
      },
      inWindows: (other, width) => widest(item, other, width),
    };
  };
}

/** The different words of an item, and for each a bit for every place where it stands. */
function bitsOf(item: Int32Array, blocks: number) {
  const words = Int32Array.from(new Set(item));
  const placeOf = new Map([...words].map((word, i) => [word, i * blocks]));
  const bits = new Int32Array(words.length * blocks);
  for (const [i, word] of item.entries()) bits[placeOf.get(word)! + (i >>> 5)]! |= 1 << (i & 31);
  return { words, bits };
}

/** Up to 64 places: both halves in registers. A place whose bit is 0 at the end belongs to the subsequence. */
function short(other: Int32Array, placeOf: Int32Array, bits: Int32Array, blocks: number): number {
  let [low, high] = [-1, -1];
  for (let i = 0; i < other.length; i++) {
    const word = other[i]!;
    if (word < 0) continue;
    const place = placeOf[word]!;
    if (place < 0) continue;
    const m = bits[place]!;
    const u = low & m;
    const sum = (low >>> 0) + (u >>> 0);
    low = sum | 0 | (low & ~m);
    if (blocks === 1) continue;
    const n = bits[place + 1]!;
    const carry = sum > 0xffffffff ? 1 : 0;
    high = (high + (high & n) + carry) | 0 | (high & ~n);
  }
  return ones(~low) + ones(~high);
}

function long(other: Int32Array, placeOf: Int32Array, bits: Int32Array, blocks: number): number {
  const v = new Int32Array(blocks).fill(-1);
  for (let i = 0; i < other.length; i++) {
    const word = other[i]!;
    if (word < 0) continue;
    const place = placeOf[word]!;
    if (place < 0) continue;
    let carry = 0;
    for (let b = 0; b < blocks; b++) {
      const m = bits[place + b]!;
      const old = v[b]!;
      const sum = (old >>> 0) + ((old & m) >>> 0) + carry;
      v[b] = sum | 0 | (old & ~m);
      carry = sum > 0xffffffff ? 1 : 0;
    }
  }
  let zeros = 0;
  for (const block of v) zeros += ones(~block);
  return zeros;
}

function ones(bits: number): number {
  let n = bits - ((bits >>> 1) & 0x55555555);
  n = (n & 0x33333333) + ((n >>> 2) & 0x33333333);
  return Math.imul((n + (n >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/**
 * A strand starts above each place of `other` and left of each place of the item; two strands cross at most once, and turn away from each other where words are equal. The
 * length in other[i..j) is j - i less the strands that start above i or to its right and end before j.
 */
function widest(item: Int32Array, other: Int32Array, width: number): number {
  const [rows, columns] = [item.length, other.length];
  // Start of the strand that is at a column's lower edge: 0.. from the item's last place up to its first, then along `other`.
  const strands = Int32Array.from({ length: columns }, (_, j) => rows + j);
  for (let i = 0; i < rows; i++) {
    const word = item[i]!;
    let across = rows - 1 - i;
    for (let j = 0; j < columns; j++) {
      const down = strands[j]!;
      if (across > down || word === other[j]!) {
        strands[j] = across;
        across = down;
      }
    }
  }
  if (columns <= width) {
    let inside = 0;
    for (const start of strands) if (start >= rows) inside++;
    return columns - inside;
  }
  const endOf = new Int32Array(columns).fill(columns); // Of the strand that starts above a place; those that end at the right edge never count.
  for (const [end, start] of strands.entries()) if (start >= rows) endOf[start - rows] = end;
  let [inside, best] = [0, 0];
  for (let to = 0; to < columns; to++) {
    const from = Math.max(0, to + 1 - width);
    if (strands[to]! - rows >= from) inside++;
    // The place that leaves takes its strand along, if that ends before `to`.
    if (to + 1 > width && endOf[from - 1]! < to) inside--;
    best = Math.max(best, to + 1 - from - inside);
  }
  return best;
}
