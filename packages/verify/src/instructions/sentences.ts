/**
 * Sentences in the manner of Punkt (Kiss and Strunk 2006), as NLTK applies it: a full stop after a known
 * abbreviation, an initial or a number ends a sentence only if the next word looks like a beginning; any other
 * one does, and so do `?` and `!`; closing quotes and brackets go with the sentence that they close.
 * Beyond NLTK: the full stops of Chinese, Japanese, Hindi, Arabic and Urdu end sentences too. An initial
 * that begins or ends its line is taken for an item of an outline, not for a part of a name.
 * Linear in the length of the text.
 */

import { abbreviations, commonWords, sentenceStarters } from "./punkt-english.js";
import { SPACE, strip } from "./python-text.js";

interface Token {
  readonly text: string;
  /** Lower case; any number is `NUMBER`. */
  readonly type: string;
}

const NUMBER = "#";
/** Punctuation that ends a word whatever follows. The full stop is not among it: it may be part of the word. */
const NON_WORD = "[)\";}\\]*:@'({\\[!?‘’“”«»]";
const tokenPattern = new RegExp(
  "-{2,}|\\.{2,}|" +
    `[^\\s("\`{[:;&#*@)}\\]\\-,]\\S*?(?=$|${NON_WORD}|--|\\.\\.|,(?=$|${NON_WORD}|--|\\.\\.))|\\S`,
  "gu",
);
const candidatePattern = new RegExp(`[.?!](?=${NON_WORD}|$)`, "gu");
const closersPattern = new RegExp(`["')\\]}‘’“”«»]+?(?:[${SPACE}]+|(?=--)|$)`, "myu");
const wordPattern = new RegExp(`[^${SPACE}]+`, "gu");

export function splitSentences(text: string): string[] {
  return sentenceSpans(text)
    .map(({ start, end }) => text.slice(start, end))
    .flatMap(splitAtWideStops)
    .map(strip)
    .filter((sentence) => sentence !== "");
}

export function countSentences(text: string): number {
  return splitSentences(text).length;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

function sentenceSpans(text: string): Span[] {
  const spans: Span[] = [];
  let start = 0;
  const cut = (end: number, next: number) => {
    const closed = next + closersLength(text, next);
    spans.push({ start, end: closed > next ? closed : end });
    start = closed;
  };
  const words = [...text.matchAll(wordPattern)];
  for (const [index, word] of words.entries()) {
    const end = lastCandidate(word[0], index + 1 < words.length);
    if (end === undefined) continue;
    const inside = end < word[0].length;
    const after = inside ? word[0].charAt(end) : words[index + 1]![0];
    const wordEnd = word.index + end;
    const next = inside ? wordEnd : words[index + 1]!.index;
    const gapBefore = text.slice(index > 0 ? words[index - 1]!.index : 0, word.index);
    const atLineEdge = index === 0 || gapBefore.includes("\n") || text.slice(wordEnd, next).includes("\n");
    if (breaks(word[0].slice(0, end), after, atLineEdge)) cut(wordEnd, next);
  }
  spans.push({ start, end: text.length });
  return spans;
}

/** Closing punctuation, with the space after it, that belongs to the sentence before. */
function closersLength(text: string, at: number): number {
  closersPattern.lastIndex = at;
  return closersPattern.exec(text)?.[0].length ?? 0;
}

/** Where the last mark that may end a sentence ends in this word, if there is one. */
function lastCandidate(word: string, hasNext: boolean): number | undefined {
  let last: number | undefined;
  for (const { index } of word.matchAll(candidatePattern)) {
    if (index + 1 < word.length || hasNext) last = index + 1;
  }
  return last;
}

/** Whether a sentence ends within `word` or between it and what comes after. */
function breaks(word: string, after: string, atLineEdge: boolean): boolean {
  const all = [...tokens(word), ...tokens(after)];
  return all.some(
    (token, index) => index + 1 < all.length && endsSentence(token, all[index + 1]!, atLineEdge),
  );
}

function tokens(text: string): Token[] {
  return [...text.matchAll(tokenPattern)].map(([part]) => ({
    text: part,
    type: /^-?[.,]?\d[\d,.-]*\.?$/.test(part) ? NUMBER : part.toLowerCase(),
  }));
}

function endsSentence(token: Token, next: Token, atLineEdge: boolean): boolean {
  if (token.text === "?" || token.text === "!") return true;
  if (!token.text.endsWith(".")) return false;
  if (/^\p{L}\.$/u.test(token.text)) {
    return !isAbbreviation(token.text) && !isMiddle(next) && (atLineEdge || !continuesName(next));
  }
  if (/^\.\.+$/.test(token.text) || isAbbreviation(token.text)) return startsSentence(next);
  if (token.type === NUMBER) return !isMiddle(next);
  return true;
}

function isAbbreviation(text: string): boolean {
  const type = text.slice(0, -1).toLowerCase();
  return abbreviations.has(type) || abbreviations.has(type.slice(type.lastIndexOf("-") + 1));
}

/** After an abbreviation: a capitalised word that would otherwise be small. */
function startsSentence(next: Token): boolean {
  const type = next.type.replace(/(?<=.)\.$/, "");
  return /^\p{Lu}/u.test(next.text) && (commonWords.has(type) || sentenceStarters.has(type));
}

/** After an initial: a name goes on ("J. Bach"), unless the capitalised word is an everyday one ("A. The"). */
function continuesName(next: Token): boolean {
  return /^\p{Lu}/u.test(next.text) && !startsSentence(next);
}

/** Small letters and inner punctuation are the middle of a sentence. */
function isMiddle(next: Token): boolean {
  return /^[;:,.!?]$/.test(next.text) || /^\p{Ll}/u.test(next.text);
}

/** Full stops that no space need follow: ideographic and full-width, danda, Arabic and Urdu. */
function splitAtWideStops(sentence: string): string[] {
  return sentence.match(/[^。！？｡।॥؟۔]*(?:[。！？｡।॥؟۔]+[」』”’）)\]"']*|$)/gu) ?? [];
}
