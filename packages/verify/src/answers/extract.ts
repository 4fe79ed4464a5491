/**
 * The final answer of a response, apart from whether it is right. Strict (for training): the last \boxed{...}, else an
 * <answer> tag, `####` or a phrase that announces an answer; mentioning a number somewhere earns nothing. Lenient (on
 * request) goes on to the last formula, the last choice letter and the last number.
 */

import { withoutThinking } from "../thinking.js";
import { LANGUAGES } from "./languages.js";
import { MAX_RESPONSE_LENGTH } from "./limits.js";
import { closingBrace, toAscii } from "./tokens.js";

export type ExtractionRule = "box" | "tag" | "hashes" | "phrase" | "formula" | "choice" | "number" | "whole";

export type Extraction =
  | { readonly found: true; readonly text: string; readonly by: ExtractionRule }
  | { readonly found: false; readonly reason: string };

export interface ExtractionOptions {
  readonly extraction?: "strict" | "lenient";
  /** "letter": lenient extraction ends with the last choice letter that stands alone, not with a number. */
  readonly expect?: "letter" | "number";
}

const found = (text: string, by: ExtractionRule): Extraction => ({ found: true, text, by });

export function extractAnswer(response: string, options: ExtractionOptions = {}): Extraction {
  const seen = withoutThinking(response);
  if (seen === undefined) return { found: false, reason: "its thinking never ended" };
  const text = seen.slice(-MAX_RESPONSE_LENGTH);
  const strict = lastBox(text) ?? tagged(text) ?? hashed(text) ?? announced(text);
  if (strict !== undefined) return strict;
  if (options.extraction !== "lenient") {
    return { found: false, reason: "no \\boxed{}, <answer>, #### or phrase that announces an answer" };
  }
  const lenient =
    options.expect === "letter"
      ? (lastLetter(text) ?? lastFormula(text))
      : (lastFormula(text) ?? lastNumber(text) ?? lastLetter(text));
  return lenient ?? { found: false, reason: "no answer in any form" };
}

/** The last box, with boxes that stand beside it (`\boxed{1}` and `\boxed{2}`); one that never closes is no answer. */
function lastBox(text: string): Extraction | undefined {
  const start = Math.max(text.lastIndexOf("\\boxed"), text.lastIndexOf("\\fbox"));
  if (start < 0) return undefined;
  let open = start + (text.startsWith("\\boxed", start) ? 6 : 5);
  while (/\s/.test(text[open] ?? "")) open++;
  if (text[open] !== "{") {
    // \boxed 5
    const bare = /^[^\s$\\{}]{1,100}/.exec(text.slice(open, open + 101))?.[0];
    return bare === undefined
      ? { found: false, reason: "an empty box" }
      : found(bare.replace(/[.,;]$/, ""), "box");
  }
  const close = closingBrace(text, open);
  if (close < 0) return { found: false, reason: "the last box does not close" };
  const contents = [text.slice(open + 1, close).trim()];
  for (let later = start; contents.length < 20; ) {
    const before = precedingBox(text, later);
    if (before === undefined) break;
    contents.unshift(before.content);
    later = before.start;
  }
  const content = contents.join(", ");
  return contents.every((part) => part === "")
    ? { found: false, reason: "an empty box" }
    : found(content, "box");
}

/** The box before another one with nothing but a comma, "and" or "or" between them: together they are the answer. */
function precedingBox(
  text: string,
  later: number,
): { readonly start: number; readonly content: string } | undefined {
  const start = later === 0 ? -1 : text.lastIndexOf("\\boxed{", later - 1);
  if (start < 0 || later - start > 4_000) return undefined;
  const close = closingBrace(text, start + 6);
  if (close < 0 || close >= later) return undefined;
  const between = text
    .slice(close + 1, later)
    .replace(/\\text\s*\{([^{}]*)\}/g, "$1")
    .replace(/\\[()[\],;: ]|\\q?quad|[$\s]/g, "");
  return /^(?:,|;|,?and|,?or|、|和|或)$/.test(between)
    ? { start, content: text.slice(start + 7, close).trim() }
    : undefined;
}

function tagged(text: string): Extraction | undefined {
  const open = text.lastIndexOf("<answer>");
  if (open < 0) return undefined;
  const close = text.indexOf("</answer>", open);
  if (close < 0) return { found: false, reason: "the last <answer> does not close" };
  const content = text.slice(open + "<answer>".length, close).trim();
  return content === "" ? { found: false, reason: "an empty <answer>" } : found(content, "tag");
}

function hashed(text: string): Extraction | undefined {
  const at = text.lastIndexOf("####");
  if (at < 0) return undefined;
  const line =
    text
      .slice(at + 4)
      .split("\n", 1)[0]
      ?.trim() ?? "";
  return line === "" ? undefined : found(line, "hashes");
}

const VERBS =
  "is|are|was|equals|est|ist|lautet|es|è|é|jest|är|это|равен|равно|adalah|là|是|为|為|等于|は|है|হলো|হল|คือ|ni";
const ANSWER_WORDS = [
  ...new Set(Object.values(LANGUAGES).map((language) => language.answer)),
  ..."solution answers 答え 答 정답 الجواب الإجابة సమాధానం".split(" "),
].sort((a, b) => b.length - a.length);
/** Of scripts whose languages say "the answer 18", without a verb. */
const VERBLESS = ANSWER_WORDS.filter((word) =>
  /^[^a-z]+$/i.test(word.normalize("NFD").replace(/\p{M}/gu, "")),
);

/** "the final answer is", "Answer:", "答案是", "la réponse est", "Antwort:"; a few words may stand between word and verb. */
const PHRASE = new RegExp(
  `(?:${ANSWER_WORDS.join("|")})(?:\\*\\*)?(?:\\s+(?:to|of|for|finale?|final)\\b[^.\\n:：]{0,60})?\\s*` +
    `(?:(?:${VERBS})(?![\\p{L}])\\s*[:：]?|[:：—–])` +
    `|(?:${VERBLESS.join("|")})\\s*(?=[-$\\\\*\\p{Nd}])`,
  "giu",
);

function announced(text: string): Extraction | undefined {
  const at = [...text.matchAll(PHRASE)].at(-1);
  if (at === undefined) return undefined;
  const content = firstStatement(text.slice(at.index + at[0].length));
  return content === "" ? undefined : found(content, "phrase");
}

/** Up to the end of the line or sentence, without the Markdown and the verb that lead to it. */
function firstStatement(source: string): string {
  let text = source.slice(0, 4_000).replace(/^[\s*:：]+/, "");
  const formula = new RegExp(`^(?:${FORMULA})(?:\\s*%)?`).exec(text);
  if (formula !== null) {
    const joined = /^\s*(?:,|,?\s*(?:and|or)|和|或)\s*\$(?:\\\$|[^$\n])+\$/.exec(
      text.slice(formula[0].length),
    );
    return joined === null ? formula[0] : `${formula[0]}${joined[0]}`.replace(/(?<!\\)\$/g, " ");
  }
  text = text.split("\n", 1)[0] ?? "";
  const end = /[.!?](?=\s|$|\*)|[。！？।۔]/.exec(text);
  if (end !== null) text = text.slice(0, end.index);
  return text
    .replace(/\*\*|^\*|\*$/g, "")
    .replace(/(?:です|である|입니다|이다)\s*$/, "")
    .trim();
}

/** `\$` inside is a dollar; a dollar before a digit opens an amount and closes nothing. */
const INLINE = String.raw`\$(?!\$)((?:\\\$|[^$\n]){1,4000})(?<!\\)\$(?!\d)`;
const FORMULA = String.raw`\$\$([^$]{1,4000})\$\$|${INLINE}|\\\[([\s\S]{1,4000}?)\\\]|\\\(([^\n]{1,1000}?)\\\)`;

function lastFormula(text: string): Extraction | undefined {
  const end = text.slice(-20_000);
  const formulas = [...end.matchAll(new RegExp(FORMULA, "g"))];
  const last = formulas.at(-1);
  if (last === undefined) return undefined;
  const contents: string[] = [];
  let later: RegExpExecArray | undefined;
  for (const formula of formulas.reverse()) {
    const between =
      later === undefined ? "," : end.slice(formula.index + formula[0].length, later.index).trim();
    if (!/^(?:,|,?\s*(?:and|or)|、|和|或)$/.test(between)) break;
    contents.unshift((formula[1] ?? formula[2] ?? formula[3] ?? formula[4] ?? "").trim());
    later = formula;
  }
  const content = contents.join(", ");
  return content.replace(/[,\s]/g, "") === "" ? undefined : found(content, "formula");
}

function lastNumber(text: string): Extraction | undefined {
  const numbers = toAscii(text.slice(-20_000)).match(
    /-?\\[dt]?frac\s*\{[^{}]{1,100}\}\s*\{[^{}]{1,100}\}|-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s*\/\s*\d+)?%?|-?\.\d+/g,
  );
  const last = numbers?.at(-1);
  return last === undefined ? undefined : found(last, "number");
}

function lastLetter(text: string): Extraction | undefined {
  const letters = [...text.matchAll(/(?<![\p{L}\p{N}'])\(?([A-J])\)?(?![\p{L}\p{N}'])/gu)];
  const last = letters.at(-1)?.[1];
  return last === undefined ? undefined : found(last, "choice");
}
