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

/** Punctuation that ends a word whatever follows. The full stop is not among it: it may be part of the word. */
const NON_WORD = "[)\";}\\]*:@'({\\[!?‘’“”«»]";
const tokenPattern = new RegExp(
  "-{2,}|\\.{2,}|" +
    `[^\\s("\`{[:;&#*@)}\\]\\-,]\\S*?(?=$|${NON_WORD}|--|\\.\\.|,(?=$|${NON_WORD}|--|\\.\\.))|\\S`,
  "gu",
);
const firstTokenPattern = new RegExp(tokenPattern.source, "u");
const candidatePattern = new RegExp(`[.?!](?=${NON_WORD}|$)`, "gu");
const closersPattern = new RegExp(`["')\\]}‘’“”«»]+?(?:[${SPACE}]+|(?=--)|$)`, "myu");
const wideStop = /[。！？｡।॥؟۔]/;
const wordPattern = new RegExp(`[^${SPACE}]+`, "gu");

export function splitSentences(text: string): string[] {
  const hasWideStops = wideStop.test(text);
  const sentences: string[] = [];
  for (const { start, end } of sentenceSpans(text)) {
    const sentence = text.slice(start, end);
    for (const part of hasWideStops ? splitAtWideStops(sentence) : [sentence]) {
      const stripped = strip(part);
      if (stripped !== "") sentences.push(stripped);
    }
  }
  return sentences;
}

export function countSentences(text: string): number {
  return splitSentences(text).length;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

function sentenceSpans(text: string): Span[] {
  const words = [...text.matchAll(wordPattern)].map(({ 0: run, index }) => ({ run, index }));
  const spans: Span[] = [];
  let start = 0;
  for (const [index, word] of words.entries()) {
    const following = words[index + 1];
    const length = candidateEnd(word.run, following !== undefined);
    if (length === undefined) continue;
    const end = word.index + length;
    const isInside = length < word.run.length;
    const next = isInside ? end : following!.index;
    const edges = [words[index - 1]?.index ?? 0, word.index, end, next] as const;
    const after = isInside ? word.run.charAt(length) : following!.run;
    if (!breaks(word.run.slice(0, length), after, () => index === 0 || isAtLineEdge(text, edges))) continue;
    const closed = next + closersLength(text, next);
    spans.push({ start, end: closed > next ? closed : end });
    start = closed;
  }
  spans.push({ start, end: text.length });
  return spans;
}

/** Where the last mark in this word ends that may end a sentence, if there is one. */
function candidateEnd(word: string, hasFollowing: boolean): number | undefined {
  let end: number | undefined;
  for (const { index } of word.matchAll(candidatePattern)) {
    if (index + 1 < word.length || hasFollowing) end = index + 1;
  }
  return end;
}

/** Closing punctuation, with the space after it, that belongs to the sentence before. */
function closersLength(text: string, at: number): number {
  closersPattern.lastIndex = at;
  return closersPattern.exec(text)?.[0].length ?? 0;
}

function isAtLineEdge(
  text: string,
  [previous, start, end, next]: readonly [number, number, number, number],
): boolean {
  return text.slice(previous, start).includes("\n") || text.slice(end, next).includes("\n");
}

/** Whether a sentence ends within `word` or between it and the word after. */
function breaks(word: string, after: string, atLineEdge: () => boolean): boolean {
  const tokens = word.match(tokenPattern)!;
  tokens.push(after.match(firstTokenPattern)![0]);
  return tokens.some(
    (token, at) => at + 1 < tokens.length && endsSentence(token, tokens[at + 1]!, atLineEdge),
  );
}

function endsSentence(token: string, next: string, atLineEdge: () => boolean): boolean {
  if (token === "?" || token === "!") return true;
  if (!token.endsWith(".")) return false;
  if (isInitial(token)) {
    if (isAbbreviation(token) || isMiddle(next) || isInitial(next)) return false;
    return atLineEdge() || !isName(next);
  }
  if (isEllipsis(token) || isAbbreviation(token)) return startsSentence(next);
  return !isNumber(token) || !isMiddle(next);
}

function isInitial(token: string): boolean {
  return /^\p{L}\.$/u.test(token);
}

function isEllipsis(token: string): boolean {
  return /^\.\.+$/.test(token);
}

function isNumber(token: string): boolean {
  return /^-?[.,]?\d[\d,.-]*$/.test(token);
}

function isAbbreviation(token: string): boolean {
  const type = token.slice(0, -1).toLowerCase();
  return abbreviations.has(type) || abbreviations.has(type.slice(type.lastIndexOf("-") + 1));
}

/** Small letters and inner punctuation are the middle of a sentence. */
function isMiddle(next: string): boolean {
  return /^[;:,.!?]$|^\p{Ll}/u.test(next);
}

/** After an abbreviation: a capitalised word that would otherwise be small. */
function startsSentence(next: string): boolean {
  const word = next.replace(/(?<=.)\.$/, "").toLowerCase();
  return /^\p{Lu}/u.test(next) && (commonWords.has(word) || sentenceStarters.has(word));
}

/** After an initial: "J. Bach", but not "A. The". */
function isName(next: string): boolean {
  return /^\p{Lu}/u.test(next) && !startsSentence(next);
}

/** Full stops that no space need follow: ideographic and full-width, danda, Arabic and Urdu. */
function splitAtWideStops(sentence: string): string[] {
  return sentence.match(/[^。！？｡।॥؟۔]*(?:[。！？｡।॥؟۔]+[」』”’）)\]"']*|$)/gu) ?? [];
}
