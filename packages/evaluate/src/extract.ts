// The answer within a response, and whether it is the reference. Extraction and equality are apart: a response without an answer is
// another failure than a wrong one, and both are told.

export const extractions = ["auto", "boxed", "hash", "answer", "last_number", "whole"] as const;

/**
 * `boxed`: of the last \boxed{}; `hash`: the text after the last "####"; `answer`: after the last "Answer:" or "answer is";
 * `last_number`; `whole`: all of it. `auto`: the first of these that is there, in this order, a number only where the reference is one.
 */
export type Extraction = (typeof extractions)[number];

/** undefined: there is none. */
export function extractAnswer(text: string, extraction: Extraction, reference: string): string | undefined {
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
    normal = normal
      .trim()
      .replace(/^([*_`"'$]+)(.*?)\1$/su, "$2")
      .replace(/^[$€£¥]\s?(?=[-\d.])/u, "")
      .replace(/\.$/, "");
  }
  const number = normal
    .replaceAll(/(?<=\d),(?=\d{3}(?:\D|$))/g, "")
    .replace(/^\+(?=[\d.])/, "")
    .replace("−", "-");
  return isPlainNumber(number) ? number : normal.replaceAll(/(?<=\d),(?=\d{3}(?!\d))/g, "");
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

/** What stands in the braces of the last \boxed{...} or \fbox{...} that closes; \boxed 7 too. */
function lastBoxed(text: string): string | undefined {
  for (const match of [...text.matchAll(/\\(?:boxed|fbox)\s*/g)].reverse()) {
    const start = match.index + match[0].length;
    if (text[start] !== "{") {
      const word = /^[^\s{}$]+/.exec(text.slice(start))?.[0];
      if (word !== undefined) return nonEmpty(word);
      continue;
    }
    let depth = 0;
    for (let i = start; i < text.length; i++) {
      if (text[i] === "\\") i++;
      else if (text[i] === "{") depth++;
      else if (text[i] === "}" && --depth === 0) return nonEmpty(text.slice(start + 1, i));
    }
  }
  return undefined;
}

function afterHash(text: string): string | undefined {
  const at = text.lastIndexOf("####");
  return at < 0 ? undefined : firstLine(text.slice(at + 4));
}

function afterAnswer(text: string): string | undefined {
  const last = [
    ...text.matchAll(/\banswer(?:\s+is\b\s*:?|\s*[*_]*\s*[:：][*_]*)|答案(?:是|为|[:：])\s*/giu),
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
