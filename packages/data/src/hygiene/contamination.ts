/**
 * Rows that hold a test item, by the rule of contamination-rule.ts. strict cannot miss: words in common bound what can match, and what can is compared. Two countings are
 * kept apart, because a whole book holds any short item as a subsequence: of the row whole, and within windows of twice the item.
 */
import { createSubsequences, type Subsequences } from "./common-subsequence.js";
import { type ContaminationRule, fewestWords, windowOf, wordsNeeded } from "./contamination-rule.js";
import { createSharedNgrams } from "./shared-ngrams.js";
import { createWordOverlap, type WordOverlap } from "./word-overlap.js";
import { wordsOf } from "./words.js";

export interface Contamination {
  /** Words of the row. */
  readonly words: number;
  /** Whether the row is taken in windows. */
  readonly isWindowed: boolean;
  /** Whether an item matches by either counting; in fast mode among those that were found. */
  readonly whole: boolean;
  readonly windowed: boolean;
  /** The items that the row holds, by the counting that decides. */
  readonly matches: readonly Match[];
}

export interface Match {
  /** Its number among all that were given. */
  readonly item: number;
  /** Words in common, in order. */
  readonly common: number;
}

/** Items of like lengths: the longest has less than twice the words of the shortest. */
interface SizeClass {
  /** Of each item its place in the list of all. */
  readonly numbers: readonly number[];
  readonly items: readonly Int32Array[];
  readonly overlap: WordOverlap;
}

/** Of test items, as texts, those that texts of rows hold. */
export function createContaminationFinder(
  texts: readonly string[],
  rule: ContaminationRule,
): (text: string) => Contamination {
  const vocabulary = new Map<string, number>();
  const items: { number: number; words: Int32Array; subsequences: Subsequences }[] = [];
  const long = texts
    .map((text) => wordsOf(text))
    .map((words) => (words.length >= fewestWords(rule) ? words : []));
  for (const word of long.flat()) if (!vocabulary.has(word)) vocabulary.set(word, vocabulary.size);
  const subsequencesOf = createSubsequences(vocabulary.size);
  for (const [number, item] of long.entries()) {
    if (item.length === 0) continue;
    const words = Int32Array.from(item, (word) => vocabulary.get(word)!);
    items.push({ number, words, subsequences: subsequencesOf(words) });
  }
  items.sort((a, b) => a.words.length - b.words.length || a.number - b.number);
  const numbered = (text: string): Int32Array =>
    Int32Array.from(wordsOf(text), (word) => vocabulary.get(word) ?? -1);
  const isFree = (row: number): Contamination => ({
    words: row,
    isWindowed: false,
    whole: false,
    windowed: false,
    matches: [],
  });
  const needed = (row: Int32Array, item: number): number =>
    wordsNeeded(rule, row.length, items[item]!.words.length);

  if (rule.mode === "fast") {
    const shared = createSharedNgrams(
      items.map(({ words }) => words),
      rule.ngram,
    );
    return (text) => {
      const row = numbered(text);
      const matches: Match[] = [];
      let whole = false;
      for (const item of shared.in(row)) {
        const { number, words, subsequences } = items[item]!;
        const common = subsequences.inWindows(row, windowOf(words.length));
        if (common >= needed(row, item)) matches.push({ item: number, common });
        whole ||= matches.length > 0 || subsequences.whole(row) >= needed(row, item);
      }
      return {
        words: row.length,
        isWindowed: true,
        whole,
        windowed: matches.length > 0,
        matches: inOrder(matches),
      };
    };
  }

  const classes = sizeClasses(
    items.map(({ words }) => words),
    vocabulary.size,
  );
  /** Items that may match the row whole, or any of its windows; each is told once. */
  const candidates = (
    row: Int32Array,
    { numbers, overlap }: SizeClass,
    from: number,
    to: number,
    tell: (item: number) => void,
  ): void =>
    overlap.each(
      row,
      from,
      to,
      (length) => wordsNeeded(rule, row.length, length),
      (item) => tell(numbers[item]!),
    );
  return (text) => {
    const row = numbered(text);
    if (row.length < rule.minWords) return isFree(row.length);
    const matches: Match[] = [];
    if (row.length <= rule.wholeUpTo) {
      let windowed = false;
      for (const one of classes)
        candidates(row, one, 0, row.length, (item) => {
          const { number, words, subsequences } = items[item]!;
          const common = subsequences.whole(row);
          if (common < needed(row, item)) return;
          matches.push({ item: number, common });
          windowed ||= subsequences.inWindows(row, windowOf(words.length)) >= needed(row, item);
        });
      return {
        words: row.length,
        isWindowed: false,
        whole: matches.length > 0,
        windowed,
        matches: inOrder(matches),
      };
    }
    for (const one of classes) {
      // Stretches of twice the widest window, each begun in the middle of the one before: every window lies in one of them.
      const widest = windowOf(one.items.at(-1)!.length);
      const best = new Map<number, number>();
      for (let from = 0; from === 0 || from + widest < row.length; from += widest) {
        const to = Math.min(row.length, from + 2 * widest);
        candidates(row, one, from, to, (item) => {
          const { words, subsequences } = items[item]!;
          const common = subsequences.inWindows(row.subarray(from, to), windowOf(words.length));
          if (common >= needed(row, item)) best.set(item, Math.max(best.get(item) ?? 0, common));
        });
      }
      for (const [item, common] of best) matches.push({ item: items[item]!.number, common });
    }
    let whole = matches.length > 0;
    for (const one of classes) {
      if (whole) break;
      candidates(row, one, 0, row.length, (item) => {
        whole ||= items[item]!.subsequences.whole(row) >= needed(row, item);
      });
    }
    return {
      words: row.length,
      isWindowed: true,
      whole,
      windowed: matches.length > 0,
      matches: inOrder(matches),
    };
  };
}

/** The closest first. */
const inOrder = (matches: readonly Match[]): readonly Match[] =>
  [...matches].sort((a, b) => b.common - a.common || a.item - b.item);

function sizeClasses(items: readonly Int32Array[], words: number): readonly SizeClass[] {
  const classes = new Map<number, number[]>();
  for (const [number, { length }] of items.entries()) {
    const size = Math.floor(Math.log2(length));
    const members = classes.get(size) ?? [];
    classes.set(size, members);
    members.push(number);
  }
  return [...classes.values()].map((numbers) => {
    const own = numbers.map((number) => items[number]!);
    return { numbers, items: own, overlap: createWordOverlap(own, words) };
  });
}
