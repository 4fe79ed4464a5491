/**
 * Math-Verify's normalisation of LaTeX before parsing, after huggingface/latex2sympy2_extended math_normalization.py: what of
 * it the parser does not do by itself, in the same order, because its failures decide verdicts, too.
 */
import { closingBrace } from "../tokens.js";
import { MATH_VERIFY_UNITS } from "../unit-words.js";

/** The list is of regular expressions there, so that `.` in it is any character. */
const UNITS = new RegExp(`([0-9]|\\}|\\s)\\s*(?:${MATH_VERIFY_UNITS.join("|")})(?:s|es)?\\s*$`);
const UNIT_WITH_POWER = /\\(?:text|mbox)\{.*?\}(?:\^\d|\{\^\d\})?$/;

const REPLACEMENTS: readonly (readonly [RegExp, string])[] = [
  [/\\math(?:rm|it|bf)/, "\\text"],
  [/\\text(?:normal|bf|it|rm)/, "\\text"],
  [/\\(?:d|t|c)frac/, "\\frac"],
  [/\s\.(?=\d)/, " 0."],
  [/\{\./, "{0."],
  [/~=/, "\\approx"],
  [/\s*\{\s*,\s*\}/, ","],
  [/(?<![a-zA-Z])(?:,?\s*(?:and|or))(?![a-zA-Z])/, ","],
  [/,?\s*\\text\{\s*(?:and|or)\s*\}/, ","],
  [/(?<!\\)\\\s/, " "],
  [/infinity/, "\\infty"],
  [/,?\\ldots/, " "],
  [/\s*\b(?:percentage|percent|pct)\b/, "\\%"],
  [/\\text\{(?:percentage|percent|pct)\}/, "%"],
  [/(?<!\\)inf(?!inity|ty)/, "\\infty"],
  [/ sqrt/, "\\sqrt"],
];

/** All in one pass, the leftmost first, as there. */
const ANY_REPLACEMENT = new RegExp(REPLACEMENTS.map(([pattern]) => `(${pattern.source})`).join("|"), "g");

const MALFORMED: readonly (readonly [RegExp, string])[] = [
  [/\^\s?\((.*?)\)/g, "^{$1}"],
  [/sqrt\s?\((.*?)\)/g, "\\sqrt{$1}"],
  [/\\frac\s?(\d)\s?(\d+)/g, "\\frac{$1}{$2}"],
  [/\\log_\s?(\d)\s?(\d+)/g, "\\log_{$1}{$2}"],
  [/\\frac\s?\{(.*?)\}\s?(\d)/g, "\\frac{$1}{$2}"],
  [/\\frac\s?(\d)\s?\{(.*?)\}/g, "\\frac{$1}{$2}"],
  [/\\sqrt\s?(\d)/g, "\\sqrt{$1}"],
];

/**
 * The contents of `\boxed{...}` from the right. "all": every box; "last": the last one and those before it that stand close
 * (fewer than 10 characters between, or fewer than 70 with a separator and other contents).
 */
function boxedContents(text: string, which: "all" | "last"): string {
  const results: string[] = [];
  let limit = text.length;
  let later: number | undefined;
  for (;;) {
    const boxed = limit === 0 ? -1 : text.lastIndexOf("\\boxed", limit - 1);
    const framed = limit === 0 ? -1 : text.lastIndexOf("\\fbox", limit - 1);
    const start = Math.max(boxed, framed);
    if (start < 0) break;
    let open = start + (boxed > framed ? 6 : 5);
    while (/\s/.test(text[open] ?? "")) open++;
    const close = text[open] === "{" ? closingBrace(text, open) : -1;
    if (close < 0 || (later !== undefined && close >= later)) {
      if (results.length === 0 && open < text.length) results.push(text.slice(open));
      break;
    }
    const content = text.slice(open + 1, close).trim();
    if (which === "last" && later !== undefined) {
      const between = text.slice(close + 1, later);
      const joined = results.at(-1) !== content && between.length < 70 && /\b(?:and|or)\b|,|;/.test(between);
      if (between.length >= 10 && !joined) break;
    }
    if (results.at(-1) !== content) results.push(content);
    later = start;
    limit = start;
  }
  return results.length === 0 ? text : results.reverse().join(",");
}

export function normaliseLatex(source: string, boxed: "all" | "last"): string {
  let text = boxedContents(source, boxed);
  text = text
    .replaceAll("\\mathrm{T}", "T")
    .replaceAll("\\mathrm{d}", "d")
    .replace(/\\m?(?:left|right)(?=\\?[{}|()[\]]|\\(?:l|r|v))/g, "")
    .replace(/\(([a-zA-Z0-9+\-*/\\ ]+?)\)_\{([a-zA-Z0-9+\-*/\\ ]+?)\}/g, "\\frac{($1)!}{(($1)-($2))!}")
    .replace(/\\mathrm\{th\}|\\!\s*|\\text\s*\{\s*\}|\\\$|\$|(?<!\\)["']|\\displaystyle/g, "");
  text = text.replace(
    ANY_REPLACEMENT,
    (...groups) => REPLACEMENTS[groups.slice(1).findIndex((group) => group !== undefined)]?.[1] ?? "",
  );
  text = text.replace(/[\n\t]/g, " ");
  if (!text.includes("matrix")) text = text.replace(/\\\\(?=[a-zA-Z])/g, "\\");
  const unitless = text.replace(UNIT_WITH_POWER, "").trim();
  if (unitless !== "" && unitless !== text) text = unitless;
  for (let pass = 0; pass < 2; pass++) {
    const shorter = text.replace(UNITS, "$1");
    if (shorter !== "") text = shorter;
  }
  if (text.startsWith(".")) text = `0${text}`;
  if (text === "0.5") text = "\\frac{1}{2}";
  for (const [pattern, replacement] of MALFORMED) text = text.replace(pattern, replacement);
  text = text.replaceAll(" sqrt", "\\sqrt");
  text = text.replace(/\\sqrt\s*([^{[\s])/g, "\\sqrt{$1}");
  text = text.replace(/^(-?\d+)\/(-?\d+)$/, "\\frac{$1}{$2}");
  return text.trim();
}

/** Of `a = b = c` only `c`, unless it lists several things. */
export function lastEquation(text: string): string {
  if (text.includes(",") || text.includes(";")) return text;
  const parts = text.split(/(?<![\\<!>])=/);
  return parts.length > 2 ? (parts.at(-1) ?? text) : text;
}
