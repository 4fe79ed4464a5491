/** The words of a text, as duplicates and contamination are told by them: what is spelled or set otherwise shall not hide that it is the same. */

/** A character of scripts that put no spaces between words: each is a word of its own, as a Chinese question would else be a single one. */
const alone =
  "\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}";
const word = new RegExp(`[${alone}]\\p{M}*|(?:(?![${alone}])[\\p{L}\\p{N}\\p{M}])+`, "gu");
const asciiWord = /[a-z0-9]+/g;
/** Signs that say something where words are few: "2 + 3" is not "2 * 3". A minus stands before a number or a space, a hyphen does not. */
const wordOrSign = new RegExp(`${word.source}|[\\p{S}*/%]|(?<!\\S)-(?=[\\s\\d])`, "gu");
const asciiWordOrSign = /[a-z0-9]+|[$+<=>^`|~*/%]|(?<!\S)-(?=[\s\d])/g;

/** Not in ASCII. */
const other = /[^\0-\x7f]/;
const apostrophes = /['\u2019\u02bc\uff07]/g;

/** NFKC, lower case, no punctuation; an apostrophe parts no word. */
export function wordsOf(text: string): readonly string[] {
  const plain = flat(text);
  return plain.match(other.test(plain) ? word : asciiWord) ?? [];
}

/** The same, with the signs of formulas and programs as words. */
export function wordsAndSigns(text: string): readonly string[] {
  const plain = flat(text);
  return plain.match(other.test(plain) ? wordOrSign : asciiWordOrSign) ?? [];
}

function flat(text: string): string {
  const folded = other.test(text) ? text.normalize("NFKC") : text;
  return folded.toLowerCase().replace(apostrophes, "");
}

/** Runs of n neighbours, in order; none in a sequence shorter than n. */
export function ngrams<T>(sequence: readonly T[], n: number): readonly (readonly T[])[] {
  return n < 1
    ? []
    : Array.from({ length: Math.max(0, sequence.length - n + 1) }, (_, i) => sequence.slice(i, i + n));
}
