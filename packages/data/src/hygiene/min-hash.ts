/**
 * MinHash (Broder, 1997): of a text's runs of words, the smallest hash under each of many hash functions. Two texts have the same smallest hash with the probability
 * that is their Jaccard index. Bands of such hashes, equal as a whole, find the pairs that are worth comparing (locality-sensitive hashing).
 */
import { philox4x32, randomStreams } from "../philox.js";

export interface MinHashOptions {
  /** Words in a run. */
  readonly ngram: number;
  readonly bands: number;
  /** Hashes in a band. */
  readonly bandHashes: number;
  readonly seed: number;
}

/** As text-dedup has it: a text with fewer words has no runs, and is near to none. */
const FEWEST_WORDS = 5;

/** Hashes of the runs of n words of a text, each once, ascending. A text shorter than a run, but of 5 words, is one run. */
export function shinglesOf(words: readonly string[], n: number): Uint32Array {
  if (words.length < FEWEST_WORDS || n < 1) return new Uint32Array();
  const hashes = words.map(hashWord);
  const runs = new Uint32Array(Math.max(1, words.length - n + 1));
  for (let i = 0; i < runs.length; i++) {
    let hash = 0;
    for (let j = i; j < Math.min(i + n, hashes.length); j++)
      hash = Math.imul(mixed(hash ^ hashes[j]!), 5) + 0x52dce729;
    runs[i] = mixed(hash);
  }
  runs.sort();
  let kept = 0;
  for (const [i, hash] of runs.entries()) if (i === 0 || hash !== runs[kept - 1]) runs[kept++] = hash;
  return runs.slice(0, kept);
}

/** FNV-1a over UTF-16 units. */
function hashWord(word: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193);
  return hash;
}

/** The last steps of MurmurHash3 (Appleby): a permutation of 32-bit numbers. */
function mixed(value: number): number {
  let bits = value ^ (value >>> 16);
  bits = Math.imul(bits, 0x85ebca6b);
  bits ^= bits >>> 13;
  bits = Math.imul(bits, 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

/** Makes signatures: `bands` x `bandHashes` numbers each. */
export function createMinHash({
  bands,
  bandHashes,
  seed,
}: MinHashOptions): (shingles: Uint32Array) => Uint32Array {
  // Each function is a permutation: xor and odd multiply with numbers that the seed draws, then mixed.
  const keys = new Uint32Array(bands * bandHashes * 2);
  for (let i = 0; i < keys.length; i++)
    keys[i] = philox4x32([seed >>> 0, randomStreams.dataBuilding], [i, 2 ** 31 + 2, 0, 0])[0] | (i & 1);
  return (shingles) => {
    const signature = new Uint32Array(bands * bandHashes).fill(0xffffffff);
    for (let k = 0; k < signature.length; k++) {
      const [flip, factor] = [keys[2 * k]!, keys[2 * k + 1]!];
      let least = 0xffffffff;
      for (let i = 0; i < shingles.length; i++) {
        const hash = mixed(Math.imul(shingles[i]! ^ flip, factor));
        if (hash < least) least = hash;
      }
      signature[k] = least;
    }
    return signature;
  };
}

/** A number for each band of a signature. */
export function bandsOf(signature: Uint32Array, bands: number): Uint32Array {
  const rows = signature.length / bands;
  return Uint32Array.from({ length: bands }, (_, band) =>
    signature
      .subarray(band * rows, (band + 1) * rows)
      .reduce((hash, value) => mixed(Math.imul(hash, 31) ^ value), band),
  );
}

/** Common members by all members, of sets as ascending lists. */
export function jaccard(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [common, i, j] = [0, 0, 0];
  while (i < a.length && j < b.length) {
    if (a[i]! === b[j]!) {
      common++;
      i++;
      j++;
    } else if (a[i]! < b[j]!) i++;
    else j++;
  }
  const all = a.length + b.length - common;
  return all === 0 ? 0 : common / all;
}
