/**
 * Which rows say what a row before them says: the same text (white space, case and Unicode's forms apart), or nearly the same runs of words. MinHash and bands find
 * the pairs that may be near, Jaccard's index of all their runs decides, and what is near to something near belongs together: a cluster keeps its first row.
 * Memory: 8 bytes a row, some 150 for each distinct text, 4 for each band of it; the runs themselves wait on disk.
 */
import { hash } from "node:crypto";
import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RowPlace } from "../reading/place.js";
import { bandsOf, createMinHash, jaccard, type MinHashOptions, shinglesOf } from "./min-hash.js";
import { textsOf, wholeText } from "./row-texts.js";
import { wordsAndSigns } from "./words.js";

export interface DuplicateOptions extends MinHashOptions {
  /** Jaccard index from which on two texts are the same; undefined: only equal texts are. */
  readonly threshold: number | undefined;
}

export interface Duplicates {
  /** Of each row, the first row of its cluster: its own number where it stays. */
  readonly first: Int32Array;
  /** Whether a row has the text of a row before it. */
  readonly isCopy: (row: number) => boolean;
  /** Pairs that shared a band, and those of them that were near. */
  readonly compared: number;
  readonly confirmed: number;
}

/** Takes rows in order, then tells. `close` in any case. */
export interface DuplicateFinder {
  add(value: unknown, place: RowPlace): Promise<void>;
  find(): Promise<Duplicates>;
  close(): Promise<void>;
}

/** What stays the same is told by the text as it is written, signs and all. */
const normalized = (text: string): string =>
  text.normalize("NFKC").toLowerCase().replace(/\s+/gu, " ").trim();

export async function openDuplicateFinder(options: DuplicateOptions): Promise<DuplicateFinder> {
  const { threshold, bands, ngram } = options;
  const signatureOf = createMinHash(options);
  const store = await openShingles();
  const firsts = new Map<string, number>();
  /** Of each row: the number of its text. */
  const textOfRow: number[] = [];
  /** Of each text: its first row, and its bands. */
  const rowOfText: number[] = [];
  const bandHashes = growing();
  return {
    async add(value, place) {
      const text = wholeText(textsOf(value, place));
      const digest = hash("sha256", normalized(text), "base64").slice(0, 22);
      const known = firsts.get(digest);
      textOfRow.push(known ?? rowOfText.length);
      if (known !== undefined) return;
      firsts.set(digest, rowOfText.length);
      rowOfText.push(textOfRow.length - 1);
      if (threshold === undefined) return;
      const shingles = shinglesOf(wordsAndSigns(text), ngram);
      await store.add(shingles);
      if (shingles.length > 0) bandHashes.push(rowOfText.length - 1, bandsOf(signatureOf(shingles), bands));
    },
    async find() {
      firsts.clear();
      const clusters = createClusters(rowOfText.length);
      let [compared, confirmed] = [0, 0];
      for (let band = 0; threshold !== undefined && band < bands; band++) {
        for (const texts of bandHashes.equalIn(band, bands)) {
          for (const [i, text] of texts.entries()) {
            // One comparison with each cluster's member until one is near: what is together already need not be compared.
            for (const other of texts.slice(0, i)) {
              if (clusters.of(other) === clusters.of(text)) continue;
              compared++;
              if (jaccard(await store.get(other), await store.get(text)) < threshold) continue;
              confirmed++;
              clusters.join(other, text);
            }
          }
        }
      }
      const first = Int32Array.from(textOfRow, (text) => rowOfText[clusters.of(text)]!);
      return { first, isCopy: (row) => rowOfText[textOfRow[row]!] !== row, compared, confirmed };
    },
    close: store.close,
  };
}

/** Sets that are joined; each is named by its least member. */
function createClusters(count: number) {
  const above = Int32Array.from({ length: count }, (_, i) => i);
  const of = (member: number): number => {
    let root = member;
    while (above[root] !== root) root = above[root]!;
    for (let at = member; at !== root; ) {
      const next = above[at]!;
      above[at] = root;
      at = next;
    }
    return root;
  };
  return {
    of,
    join(a: number, b: number): void {
      const [low, high] = [Math.min(of(a), of(b)), Math.max(of(a), of(b))];
      above[high] = low;
    },
  };
}

/** Numbers of texts with the hashes of their bands, in typed arrays that grow. */
function growing() {
  let texts = new Uint32Array(1024);
  let hashes = new Uint32Array(1024);
  let count = 0;
  const enlarged = (array: Uint32Array<ArrayBuffer>, length: number): Uint32Array<ArrayBuffer> => {
    if (length <= array.length) return array;
    const larger = new Uint32Array(Math.max(length, array.length * 2));
    larger.set(array);
    return larger;
  };
  return {
    push(text: number, bands: Uint32Array): void {
      texts = enlarged(texts, count + 1);
      hashes = enlarged(hashes, (count + 1) * bands.length);
      texts[count] = text;
      hashes.set(bands, count++ * bands.length);
    },
    /** Texts with one hash in a band, two or more at a time, each list ascending. */
    *equalIn(band: number, bands: number): Generator<readonly number[]> {
      // Sorted as (hash, number) in one double: as many bits of the hash as the number leaves of 53. What falls together by that is compared in full.
      const bits = Math.max(1, Math.ceil(Math.log2(count + 1)));
      const scale = 2 ** bits;
      const shift = Math.max(0, 32 + bits - 53);
      const keys = Float64Array.from(
        { length: count },
        (_, i) => (hashes[i * bands + band]! >>> shift) * scale + i,
      ).sort();
      const hashOf = (at: number): number => Math.floor(keys[at]! / scale);
      for (let from = 0, to = 1; from < count; from = to++) {
        while (to < count && hashOf(to) === hashOf(from)) to++;
        if (to - from > 1) yield Array.from(keys.subarray(from, to), (key) => texts[key % scale]!);
      }
    },
  };
}

/** Numbers of 4 bytes. */
const CACHED = 2 ** 24;

/** Shingles of texts on disk, in a file that has no name once it is open: nothing stays of it whatever happens. */
async function openShingles() {
  const folder = await mkdtemp(join(tmpdir(), "posttrain-dedup-"));
  const file: FileHandle = await open(join(folder, "shingles"), "wx+").finally(() =>
    rm(folder, { recursive: true }),
  );
  const ends: number[] = [];
  let waiting: Buffer[] = [];
  let [written, pending] = [0, 0];
  const cache = new Map<number, Uint32Array>();
  let cached = 0;
  const flush = async (): Promise<void> => {
    if (pending === 0) return;
    const bytes = Buffer.concat(waiting);
    waiting = [];
    pending = 0;
    await file.appendFile(bytes);
    written += bytes.length;
  };
  return {
    async add(shingles: Uint32Array): Promise<void> {
      waiting.push(Buffer.from(shingles.buffer, shingles.byteOffset, shingles.byteLength));
      pending += shingles.byteLength;
      ends.push(written + pending);
      if (pending > 2 ** 20) await flush();
    },
    async get(text: number): Promise<Uint32Array> {
      const found = cache.get(text);
      if (found !== undefined) return found;
      await flush();
      const start = ends[text - 1] ?? 0;
      const bytes = new Uint8Array(ends[text]! - start);
      for (let read = 0; read < bytes.length; ) {
        const { bytesRead } = await file.read(bytes, read, bytes.length - read, start + read);
        if (bytesRead === 0) throw new Error("the file of shingles ended before its end");
        read += bytesRead;
      }
      const shingles = new Uint32Array(bytes.buffer);
      cache.set(text, shingles);
      cached += shingles.length;
      for (const [oldest, { length }] of cache) {
        if (cached <= CACHED) break;
        cache.delete(oldest);
        cached -= length;
      }
      return shingles;
    },
    close: () => file.close(),
  };
}
