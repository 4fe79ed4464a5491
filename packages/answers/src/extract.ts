/**
 * The final answer of a response, apart from whether it is right. Strict (for training): the last \boxed{...}, else an
 * <answer> tag, `####` or a phrase that announces an answer; mentioning a number somewhere earns nothing. Lenient (on
 * request) goes on to the last formula, the last choice letter and the last number.
 */

import { withoutThinking } from "@posttrain/data";
import { lastAnnounced } from "./announcements.js";
import { MAX_RESPONSE_LENGTH } from "./limits.js";
import { FORMULA, isValue, JOINT, readStatement } from "./statements.js";
import { closingBrace, toAscii } from "./tokens.js";

export type ExtractionRule = "box" | "tag" | "hashes" | "phrase" | "formula" | "choice" | "number" | "whole";

export type Extraction =
  | {
      readonly found: true;
      readonly text: string;
      readonly by: ExtractionRule;
      /** The statement with the words that explain it: an answer in words may be all of it. */
      readonly whole?: string;
    }
  | { readonly found: false; readonly reason: string };

export interface ExtractionOptions {
  readonly extraction?: "strict" | "lenient";
  /** "letter": lenient extraction ends with the last choice letter that stands alone, not with a number. */
  readonly expect?: "letter" | "number";
}

const found = (text: string, by: ExtractionRule, whole = text): Extraction => ({
  found: true,
  text,
  by,
  ...(whole !== text && { whole }),
});

export function extractAnswer(response: string, options: ExtractionOptions = {}): Extraction {
  const seen = withoutThinking(response);
  if (seen === undefined) return { found: false, reason: "its thinking never ended" };
  const text = seen.slice(-MAX_RESPONSE_LENGTH);
  const strict =
    lastBox(text) ?? tagged(text) ?? hashed(text, "strong") ?? announced(text) ?? hashed(text, "weak");
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
  if (content === "") return { found: false, reason: "an empty <answer>" };
  // A sentence in the tag, or a value with its explanation.
  const source = lastAnnounced(content) ?? (content.includes("\n") ? undefined : content);
  const statement = source === undefined ? undefined : readStatement(source);
  const isSaid = statement !== undefined && (source !== content || isValue(statement.answer));
  return isSaid ? found(statement.answer, "tag", content) : found(content, "tag");
}

/** "#### 1", "#### 2": the headings count. */
function isNumbering(text: string): boolean {
  const numbers = [...text.matchAll(/^\s*####\s*(\d+)\s*$/gm)].map((match) => Number(match[1]));
  return numbers.length > 1 && numbers.every((number, i) => number === i + 1);
}

/** The line behind the last `####`: strong where it is a value and no more, weak where it may be a heading. */
function hashed(text: string, strength: "strong" | "weak"): Extraction | undefined {
  const at = text.lastIndexOf("####");
  if (at < 0) return undefined;
  const source = text.slice(at + 4).replace(/^#+/, "");
  const [line = "", ...later] = source.split("\n");
  const isLast = later.every((next) => next.trim() === "");
  const statement = line.trim() === "" ? undefined : readStatement(source);
  if (statement === undefined) return undefined;
  const { answer } = statement;
  // "#### 3. Check" is a heading, and so is "#### B) Trains" with text behind it.
  const isNumbered = /^\W*(?:\p{N}{1,2}|[A-Z])[.):]\s+\p{L}/u.test(line);
  const isBare = !isNumbering(text) && /^\W*[-\p{Nd}.,/%\\${}()^ ]+\W*$|^\W*[A-J]\W*$/u.test(line);
  const strong = isBare || (isValue(answer) && isLast && !isNumbered);
  if (strength === "strong") return strong ? found(answer, "hashes") : undefined;
  return isLast || (isValue(answer) && !isNumbered) ? found(answer, "hashes", statement.whole) : undefined;
}

function announced(text: string): Extraction | undefined {
  const source = lastAnnounced(text);
  if (source === undefined || source.trim() === "") return undefined;
  const statement = readStatement(source);
  return statement === undefined
    ? { found: false, reason: "what is announced is asked, taken back, or empty" }
    : found(statement.answer, "phrase", statement.whole);
}

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
    if (!new RegExp(`^${JOINT}$`).test(between)) break;
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
