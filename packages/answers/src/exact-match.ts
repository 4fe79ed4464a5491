// Exact match: the answer within a response, and whether it is the reference in the same words. Extraction and equality are apart: a
// response without an answer is another failure than a wrong one, and both are told.
import type { Verdict } from "@posttrain/data";
import { MAX_RESPONSE_LENGTH } from "./limits.js";

export const exactMatchExtractions = ["auto", "boxed", "hash", "answer", "last_number", "whole"] as const;

/**
 * `boxed`: of the last \boxed{}; `hash`: the text after the last "####"; `answer`: after the last "Answer:" or "answer is";
 * `last_number`; `whole`: all of it. `auto`: the first of these that is there, in this order, a number only where the reference is one.
 */
export type ExactMatchExtraction = (typeof exactMatchExtractions)[number];

/** Of several references one is enough. */
export function exactMatch(
  references: readonly string[],
  response: string,
  extraction: ExactMatchExtraction,
): Verdict {
  const text = response.slice(-MAX_RESPONSE_LENGTH);
  const verdicts = references.map((reference) => matchOne(referenceAnswer(reference), text, extraction));
  return verdicts.find(({ outcome }) => outcome === "pass") ?? verdicts[0]!;
}

function matchOne(reference: string, text: string, extraction: ExactMatchExtraction): Verdict {
  const extracted = extractAnswer(text, extraction, reference);
  const details = { extracted: extracted ?? null, reference };
  if (extracted === undefined) {
    const evidence = `No answer was taken from the response: it has none that extract ${extraction} finds.`;
    return { outcome: "unparseable", evidence, details };
  }
  const same = isExactMatch(extracted, reference);
  const evidence = `The answer ${JSON.stringify(extracted)} ${same ? "is" : "is not"} ${JSON.stringify(reference)}.`;
  return { outcome: same ? "pass" : "fail", evidence, details };
}

/** undefined: there is none. */
export function extractAnswer(
  text: string,
  extraction: ExactMatchExtraction,
  reference: string,
): string | undefined {
  switch (extraction) {
    case "boxed":
      return lastBoxed(text);
    case "hash":
      return singleNumber(afterHash(text), reference);
    case "answer":
      return singleNumber(afterAnswer(text), reference);
    case "last_number":
      return lastNumber(text);
    case "whole":
      return nonEmpty(text);
    case "auto":
      return (
        lastBoxed(text) ??
        singleNumber(afterHash(text), reference) ??
        singleNumber(afterAnswer(text), reference) ??
        (isNumber(reference) ? lastNumber(text) : nonEmpty(text))
      );
  }
}

/** What of a reference that shows its work (GSM8K's "... #### 72") is to be found; else all of it. */
export function referenceAnswer(reference: string): string {
  return lastBoxed(reference) ?? afterHash(reference) ?? afterAnswer(reference) ?? reference.trim();
}

/** Equal but for case, white space, thousands separators, a trailing point, and the marks of Markdown and of money around it. */
export function isExactMatch(answer: string, reference: string): boolean {
  return normalizeAnswer(answer) === normalizeAnswer(reference);
}

function normalizeAnswer(text: string): string {
  let normal = text.normalize("NFKC").toLowerCase().replaceAll(/\s+/g, " ");
  for (let before = ""; before !== normal; ) {
    before = normal;
    normal = withoutMarks(normal.trim())
      .replace(/^[$€£¥]\s?(?=[-\d.])/u, "")
      .replace(/\.$/, "");
  }
  const number = normal
    .replaceAll(/(?<=\d),(?=\d{3}(?:\D|$))/g, "")
    .replace(/^\+(?=[\d.])/, "")
    .replace("−", "-");
  return isPlainNumber(number) ? number : normal.replaceAll(/(?<=\d),(?=\d{3}(?!\d))/g, "");
}

/** More of them in a row are no marks of anything. */
const MARKS = 16;

/** Without the longest marks that stand before it and, the same, behind it. */
function withoutMarks(text: string): string {
  const marks = /^[*_`"'$]*/.exec(text.slice(0, MARKS))![0];
  for (let length = Math.min(marks.length, text.length >> 1); length > 0; length--) {
    if (text.endsWith(marks.slice(0, length))) return text.slice(length, -length);
  }
  return text;
}

const isPlainNumber = (text: string): boolean => /^-?(?:\d+(?:\.\d+)?|\.\d+)$/.test(text);
const isNumber = (text: string): boolean => isPlainNumber(normalizeAnswer(text));

/** A minus sign belongs to a number where no other one stands before it: 10-3 ends in 3. */
const numbers = /(?<![\w.,])[-−]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?![\d])|(?<![\w.])[-−]?\.\d+/gu;

function lastNumber(text: string): string | undefined {
  return numbersIn(text).at(-1);
}

function numbersIn(text: string): readonly string[] {
  return [...text.matchAll(numbers)].map(([number]) => number);
}

/** "18 dollars" where a number is asked for: 18. Two numbers stay what they are. */
function singleNumber(answer: string | undefined, reference: string): string | undefined {
  if (answer === undefined || !isNumber(reference) || isNumber(answer)) return answer;
  const found = numbersIn(answer);
  return found.length === 1 ? found[0] : answer;
}

/**
 * What stands in the braces of the last \boxed{...} or \fbox{...} that closes; \boxed 7 too. One walk, however many boxes never close.
 */
function lastBoxed(text: string): string | undefined {
  let [start, end] = [-1, -1];
  const open: { readonly start: number; readonly isBox: boolean }[] = [];
  const box = /\\(?:boxed|fbox)\s*/y;
  const boxAt = (at: number): string | undefined => {
    box.lastIndex = at;
    return box.exec(text)?.[0];
  };
  for (let i = 0; i < text.length; i++) {
    const letter = text[i]!;
    if (letter === "\\") {
      const command = boxAt(i);
      if (command === undefined) {
        // What is escaped is no brace. A box may stand behind a backslash all the same.
        if (boxAt(i + 1) === undefined) i++;
        continue;
      }
      i += command.length - 1;
      const next = text[i + 1];
      if (next === "{") open.push({ start: ++i + 1, isBox: true });
      else if (next !== undefined && next !== "}" && next !== "$") [start, end] = [i + 1, -1];
    } else if (letter === "{") open.push({ start: i + 1, isBox: false });
    else if (letter === "}") {
      const brace = open.pop();
      if (brace?.isBox && brace.start > start) [start, end] = [brace.start, i];
    }
  }
  if (start < 0) return undefined;
  return nonEmpty(end < 0 ? /^[^\s{}$]+/.exec(text.slice(start))![0] : text.slice(start, end));
}

function afterHash(text: string): string | undefined {
  const at = text.lastIndexOf("####");
  return at < 0 ? undefined : firstLine(text.slice(at + 4));
}

function afterAnswer(text: string): string | undefined {
  const last = [
    ...text.matchAll(/\banswer(?:\s+is\b\s*:?|\s*(?:[*_]+\s*)?[:：][*_]*)|答案(?:是|为|[:：])\s*/giu),
  ].at(-1);
  return last === undefined ? undefined : firstLine(text.slice(last.index + last[0].length));
}

/** The first line with anything on it. */
function firstLine(text: string): string | undefined {
  return nonEmpty(text.trim().split("\n", 1)[0] ?? "");
}

function nonEmpty(text: string): string | undefined {
  const trimmed = text.trim();
  return trimmed === "" ? undefined : trimmed;
}
