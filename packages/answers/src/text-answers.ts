/** Answers that are words: cleaning, normal form, token F1, truth values, choice letters, dates and times, JSON. */
import { isJsonNumber, isJsonObject, parseJson as parseJsonText, sameDecimal } from "@posttrain/data";
import { equal, parseDecimal } from "./rational.js";

/** Takes off what only dresses an answer: math delimiters, boxes, Markdown, quotes, a final stop. */
export function undress(source: string): string {
  let text = source.trim();
  for (let pass = 0; pass < 6; pass++) {
    const before = text;
    text = text
      .replace(/^(?:\$\$|\\\[|\\\()\s*([\s\S]*?)\s*(?:\$\$|\\\]|\\\))\s*\.?$/, (whole, inner: string) =>
        /\$\$|\\\[|\\\(/.test(inner) ? whole : inner,
      )
      .replace(/^\$((?:\\\$|[^$])*)(?<!\\)\$\s*\.?$/, "$1")
      .replace(/^(?:\*\*|__|`)([^*`]*)(?:\*\*|__|`)\s*\.?$/, "$1")
      .replace(/^\\(?:boxed|fbox|text|textbf|mathrm|mathbf|mbox|displaystyle)\s*\{([^{}]*)\}\s*\.?$/, "$1")
      .replace(/^["“]([^"“”]*)["”]\.?$/, "$1")
      .replace(/(?<![.\s])\s*[.。।]$/, "")
      .trim();
    if (text === before) break;
  }
  return text;
}

/** As SQuAD and open-instruct: lower case, no ASCII punctuation, no articles, single spaces. */
export function normaliseText(text: string): string {
  return text
    .toLowerCase()
    .replace(/[!-/:-@[-`{-~]/g, "")
    .replace(/(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu, " ")
    .split(/\s+/)
    .filter((word) => word !== "")
    .join(" ");
}

/** For comparison of words as answers: NFKC, LaTeX dress off, then as above; what holds digits or operators keeps its marks. */
export function comparableText(text: string): string {
  const plain = text
    .normalize("NFKC")
    .replace(/\\(?:text|textbf|mathrm|mathbf|textit|mbox|operatorname|emph)\s*/g, " ")
    .replace(/\\[,;:! ]|[{}$]|\\(?:left|right|quad)/g, " ");
  const normal = /[\d<>=+*/^|]/.test(plain) ? "" : normaliseText(plain);
  return normal === "" ? plain.replace(/\s+/g, " ").trim().toLowerCase() : normal;
}

export interface TokenF1 {
  readonly f1: number;
  readonly precision: number;
  readonly recall: number;
}

/** Whose words are counted: SQuAD's (open-instruct's too) as often as they occur, after `normaliseText`; lighteval's as they stand, each once. */
export type F1Convention = "squad" | "lighteval";

const F1_TOKENS: Readonly<Record<F1Convention, (text: string) => readonly string[]>> = {
  squad: (text) => words(normaliseText(text)),
  lighteval: (text) => [...new Set(words(text))],
};

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== "");

export function tokenF1(prediction: string, reference: string, convention: F1Convention = "squad"): TokenF1 {
  const tokens = F1_TOKENS[convention];
  const [predicted, expected] = [tokens(prediction), tokens(reference)];
  const left = new Map<string, number>();
  for (const token of expected) left.set(token, (left.get(token) ?? 0) + 1);
  let common = 0;
  for (const token of predicted) {
    const count = left.get(token) ?? 0;
    if (count > 0) {
      common++;
      left.set(token, count - 1);
    }
  }
  if (common === 0) return { f1: 0, precision: 0, recall: 0 };
  const [precision, recall] = [common / predicted.length, common / expected.length];
  return { f1: (2 * precision * recall) / (precision + recall), precision, recall };
}

/** true, yes, correct; false, no, incorrect; in the languages that prompts are written in. */
const TRUTH: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  correct: true,
  是: true,
  对: true,
  正确: true,
  oui: true,
  vrai: true,
  ja: true,
  wahr: true,
  sí: true,
  verdadero: true,
  да: true,
  верно: true,
  はい: true,
  false: false,
  no: false,
  incorrect: false,
  否: false,
  不是: false,
  错: false,
  错误: false,
  non: false,
  faux: false,
  nein: false,
  falsch: false,
  falso: false,
  нет: false,
  неверно: false,
  いいえ: false,
};

export const truthOf = (text: string): boolean | undefined => TRUTH[comparableText(text)];

/** The letter of `C`, `(C)`, `C.`, `C) Cecile`, `\text{(C)}`, `选项 C`; text behind the letter only after a mark, and no other letter. */
export function choiceOf(text: string): string | undefined {
  const plain = undress(text)
    .normalize("NFKC")
    .replace(/\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}/g, "$1")
    .replace(/[*{}$]/g, "")
    .replace(/\\[,;: ]|~/g, " ")
    .trim();
  const joined =
    /^(?:选项|選項|选择|選擇|选|選|第|選択肢)?\s*[(]?([A-J])[)]?\s*(?:个?选?项|項|를|을|번)?$/i.exec(plain);
  if (joined !== null) return joined[1]?.toUpperCase();
  const worded = /^(?:option|choice)\s+\(?([A-J])\)?(?![A-Za-z])/i.exec(plain);
  const marked = /^(?:option|choice|answer)?\s*[([]\s*([A-Za-z])\s*[)\]](?:[\s.:,]|$)/i.exec(plain);
  const bare = /^(?:option|choice)?\s*([A-Za-z])\s*(?:[).:](?:\s|$)|$|[).:,、](?=(?![A-Z])\p{L}))/iu.exec(
    plain,
  );
  const found = worded ?? marked ?? bare;
  if (found === null) return undefined;
  const letter = found[1]?.toUpperCase();
  const other = OTHER_CHOICE.exec(plain.slice(found[0].length))?.[1]?.toUpperCase();
  return other !== undefined && other !== letter ? undefined : letter;
}

/** Another letter with nothing but marks and joining words before it: (B) or (C), A) B; never Vitamin D or A train. */
const OTHER_CHOICE = new RegExp(
  "^(?:[^\\p{L}\\p{N}]|(?<!\\p{L})(?:or|and|either|no|wait|sorry|correction|hmm+|rather|actually|on second thought|again|it|is|be|because|since|could|may|might|which|so|that|i\\.e|namely|hence|the|other|possibility|answer|alternative|being|equals|i mean|maybe|possibly|perhaps|but|also|else|then|if not|otherwise|alternatively|vs|versus|to|through|up to|too|as well as|along with|together with|likewise|though|unless|plus|with|equivalently|way|oder|ou|o|или|أو|या|বা|లేదా|หรือ|au|或者?|和|또는|または)(?!\\p{Script=Latin}))*" +
    "(A(?!\\s+\\p{L})|[B-HJ])(?![\\p{L}\\p{N}])",
  "iu",
);

const MONTHS = "january february march april may june july august september october november december".split(
  " ",
);
const monthOf = (word: string): number =>
  MONTHS.findIndex((month) => word.length >= 3 && month.startsWith(word.toLowerCase().replace(/\.$/, ""))) +
  1;

/** A calendar day as YYYY-MM-DD (or MM-DD without a year); numbers alone only in ISO order. */
function dateOf(text: string): string | undefined {
  const two = (value: string | number): string => String(value).padStart(2, "0");
  const iso = /^(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?$/.exec(text);
  if (iso !== null) return `${iso[1]}-${two(iso[2] ?? "")}-${two(iso[3] ?? "")}`;
  const monthFirst = /^([A-Za-z]+\.?)\s+(\d{1,2})(?:st|nd|rd|th)?(?:,?\s+(\d{4}))?$/.exec(text);
  const dayFirst = /^(?:the\s+)?(\d{1,2})(?:st|nd|rd|th)?\s+(?:of\s+)?([A-Za-z]+\.?)(?:,?\s+(\d{4}))?$/.exec(
    text,
  );
  const [month, day, year] =
    monthFirst !== null
      ? [monthFirst[1], monthFirst[2], monthFirst[3]]
      : [dayFirst?.[2], dayFirst?.[1], dayFirst?.[3]];
  if (month === undefined || day === undefined || monthOf(month) === 0) return undefined;
  const monthDay = `${two(monthOf(month))}-${two(day)}`;
  return year === undefined ? monthDay : `${year}-${monthDay}`;
}

/** Minutes after midnight, and whether the half of the day was said. */
function timeOf(text: string): { minutes: number; stated: boolean } | undefined {
  const match =
    /^(\d{1,2})[:.h]([0-5]\d)(?::([0-5]\d))?\s*([ap])?\.?(?:m\.?)?$|^(\d{1,2})\s*([ap])\.?m\.?$/i.exec(text);
  if (match === null) return undefined;
  const hours = Number(match[1] ?? match[5]);
  const half = (match[4] ?? match[6])?.toLowerCase();
  if (hours > 24 || (half !== undefined && (hours > 12 || hours === 0))) return undefined;
  const day = half === undefined ? hours : (hours % 12) + (half === "p" ? 12 : 0);
  return {
    minutes: day * 60 + Number(match[2] ?? 0) + Number(match[3] ?? 0) / 60,
    stated: half !== undefined,
  };
}

/** The same day or the same time of day; undefined where the reference is neither. */
export function sameMoment(gold: string, prediction: string): boolean | undefined {
  const clean = (text: string): string =>
    comparableMoment(text.normalize("NFKC").replace(/\\(?:text|mathrm|mbox)\s*\{([^{}]*)\}/g, "$1"));
  const [g, p] = [clean(gold), clean(prediction)];
  const [goldDate, date] = [dateOf(g), dateOf(p)];
  if (goldDate !== undefined) return date !== undefined && goldDate === date;
  const goldTime = timeOf(g);
  if (goldTime === undefined) return undefined;
  const time = timeOf(p);
  if (time === undefined) return false;
  if (goldTime.minutes === time.minutes) return true;
  // 3:30 of somebody who left out p.m.
  return goldTime.stated !== time.stated && goldTime.minutes % 720 === time.minutes % 720;
}

const comparableMoment = (text: string): string =>
  text
    .replace(/\\[,;:! ]|[{}$\\]/g, " ")
    .replace(/\s+/g, " ")
    .trim();

/** Deep equality: numbers by value, keys in any order, arrays in order unless `unordered`. */
export function sameJson(gold: unknown, prediction: unknown, unordered = false, depth = 0): boolean {
  if (depth > 60) return false;
  if (isJsonNumber(gold) && isJsonNumber(prediction)) return sameDecimal(String(gold), String(prediction));
  if (Array.isArray(gold) && Array.isArray(prediction)) {
    if (gold.length !== prediction.length) return false;
    if (gold.every((item, i) => sameJson(item, prediction[i], unordered, depth + 1))) return true;
    if (!unordered || gold.length > 200) return false;
    const rest: unknown[] = [...prediction];
    return gold.every((item) => {
      const index = rest.findIndex((other) => sameJson(item, other, unordered, depth + 1));
      if (index >= 0) rest.splice(index, 1);
      return index >= 0;
    });
  }
  if (isJsonObject(gold) && isJsonObject(prediction)) {
    const [a, b] = [Object.entries(gold), new Map(Object.entries(prediction))];
    return (
      a.length === b.size &&
      a.every(([key, value]) => b.has(key) && sameJson(value, b.get(key), unordered, depth + 1))
    );
  }
  return gold === prediction;
}

/** Parsed JSON, from a fenced block too; undefined where it is none. */
export function parseJson(text: string): { readonly value: unknown } | undefined {
  const fenced = /^```(?:json)?\s*([\s\S]*?)```$/.exec(text.trim());
  try {
    return { value: parseJsonText(fenced?.[1] ?? text) };
  } catch {
    return undefined;
  }
}

/** "3" and "3.0" as text of numbers. */
export function samePlainNumber(a: string, b: string): boolean {
  const plain = /^[-+]?\d{1,400}(?:\.\d{1,400})?$/;
  return plain.test(a) && plain.test(b) && equal(parseDecimal(a), parseDecimal(b));
}
