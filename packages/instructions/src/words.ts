/**
 * Words, as the two counters of the reference evaluator see them: runs of `\w` for the number of words, and
 * the tokens of the Penn Treebank convention (NLTK's `word_tokenize`) for words in capitals. There "IT'S" is
 * two words, "STATE-OF-THE-ART" one, "CANNOT" two.
 */
import { isUpper, splitOnSpace, WORD } from "./python-text.js";
import { splitSentences } from "./sentences.js";

export function countWords(text: string): number {
  let count = 0;
  for (const _ of text.matchAll(new RegExp(`[${WORD}]+`, "gu"))) count++;
  return count;
}

export function countCapitalWords(text: string): number {
  return treebankTokens(splitSentences(text).map(withoutFullStop).join("\n")).filter(isUpper).length;
}

/** What always stands alone, wherever it meets a word. */
const SEPARATORS = /\.{2,}|--|''|[«»“”„‘’`"?!*;@#$%&\u2012-\u2015[\](){}<>]/g;
const CLOSERS = "])}>\"'»”’ ";
/** A comma or colon stands alone unless a digit follows: "10,000" and "12:30" are whole. */
const COMMA_OR_COLON = /[:,](?!\p{Nd})/gu;
/** A quotation mark before a word, unless it begins a clitic. */
const OPENING_QUOTE = new RegExp(
  `(?<![${WORD}])'(?!(?:re|ve|ll|m|t|s|d|n)(?![${WORD}]))(?=[${WORD}])`,
  "giu",
);
/** Endings that are words of their own, all small or all capitals ("n't", not "N't"). */
const CLITICS = [/(?<=[^' ])('[sSmMdD]|') /g, /(?<=[^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) /g];
/** Words that the convention takes apart. */
const CONTRACTIONS = [
  /\b(can)(not)\b/gi,
  /\b(d)('ye)\b/gi,
  /\b(gim)(me)\b/gi,
  /\b(gon)(na)\b/gi,
  /\b(got)(ta)\b/gi,
  /\b(lem)(me)\b/gi,
  /\b(more)('n)\b/gi,
  /\b(wan)(na)(?=\s)/gi,
  /(?<= )('t)(is|was)\b/gi,
];

/** The Penn Treebank tokens of sentences whose last full stops stand alone. */
function treebankTokens(sentences: string): string[] {
  let spaced = sentences
    .replace(OPENING_QUOTE, "' ")
    .replace(SEPARATORS, " $& ")
    .replace(COMMA_OR_COLON, " $& ");
  spaced = ` ${spaced} `.replace(/\s+/g, " ");
  for (const clitic of CLITICS) spaced = spaced.replace(clitic, " $1 ");
  for (const contraction of CONTRACTIONS) spaced = spaced.replace(contraction, " $1 $2 ");
  return splitOnSpace(spaced);
}

/** The full stop at the end, under closing quotes and brackets, is no part of the last word. */
function withoutFullStop(sentence: string): string {
  let end = sentence.length;
  while (end > 0 && CLOSERS.includes(sentence[end - 1]!)) end--;
  if (sentence[end - 1] !== "." || sentence[end - 2] === ".") return sentence;
  return `${sentence.slice(0, end - 1)} ${sentence.slice(end)}`;
}
