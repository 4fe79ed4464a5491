/** What may be an answer at one place of a text: an environment of mathematics, a plain number or expression, a choice letter. */
import type { Language } from "../languages.js";

export type ExtractKind = "latex" | "expr" | "letters";

export interface ExtractOptions {
  readonly kinds: readonly ExtractKind[];
  /** "lighteval": boxes after the final-answer phrase, only the last part of a chain of equations. */
  readonly suite: "math-verify" | "lighteval";
  readonly language: Language;
  /** How many choices there are. */
  readonly choices: number;
  /** A letter counts where nothing announces it: lighteval's try_extract_without_anchor. */
  readonly lettersAnywhere: boolean;
}

const MAX_RUN = 300;
const MAX_ENVIRONMENT = 6_000;

const CURRENCY = /[$€£¥₹₽₪₩₫฿₡₢₣₤₥₦₧₨₭₮₯₰₱₲₳₴₵₶₷₸₺₻₼₾₿]/;
const PERCENT = /\s*(?:\\?%|[Pp]ercentage|[Pp]ercent|[Pp]ct)/y;

export type Payload =
  | {
      readonly kind: "latex";
      readonly parts: readonly { readonly text: string; readonly percent: boolean }[];
      readonly boxed: "all" | "last";
    }
  | { readonly kind: "number"; readonly text: string; readonly percent: boolean }
  | { readonly kind: "expression"; readonly text: string }
  | { readonly kind: "letter"; readonly text: string };

export interface Match {
  readonly start: number;
  readonly end: number;
  readonly payload: Payload;
}

export type Matcher = (at: number) => Match | undefined;

export function scan(text: string, matcher: Matcher): Match[] {
  const matches: Match[] = [];
  for (let at = 0; at < text.length; ) {
    const match = matcher(at);
    if (match === undefined) at++;
    else {
      matches.push(match);
      at = Math.max(match.end, at + 1);
    }
  }
  return matches;
}

interface Span {
  readonly end: number;
  readonly content: string;
}

/** A mathematics environment that begins at a place, and up to five more joined to it by commas, "and" and "or". */
export function latexAt(text: string, language: Language): Matcher {
  const joint = new RegExp(`\\s*(?:,?${language.and}|,?${language.or}|,)\\s*`, "yu");
  const withPercent = (span: Span): { end: number; percent: boolean } => {
    PERCENT.lastIndex = span.end;
    if (PERCENT.test(text)) return { end: PERCENT.lastIndex, percent: true };
    let end = span.end;
    while (/\s/.test(text[end] ?? "")) end++;
    return { end, percent: false };
  };
  return (at) => {
    const char = text[at];
    if (char !== "$" && char !== "\\" && char !== "-" && text[at + 1] !== "[") return undefined;
    const first = environmentAt(text, at);
    if (first === undefined) return undefined;
    let { end, percent } = withPercent(first);
    const parts = [{ text: first.content, percent }];
    while (parts.length < 6) {
      joint.lastIndex = end;
      if (!joint.test(text)) break;
      const next = environmentAt(text, joint.lastIndex);
      if (next === undefined) break;
      ({ end, percent } = withPercent(next));
      parts.push({ text: next.content, percent });
    }
    return { start: at, end, payload: { kind: "latex", parts, boxed: "all" } };
  };
}

function environmentAt(text: string, at: number): Span | undefined {
  const char = text[at];
  const escaped = text[at - 1] === "\\";
  if (char === "$" && text[at + 1] === "$" && !escaped) return closing(text, at + 2, "$$", true);
  if (char === "\\" && text[at + 1] === "[" && !escaped) return closing(text, at + 2, "\\]", true);
  if (char === "$" && !escaped && !/[0-9]/.test(text[at - 1] ?? "")) return closing(text, at + 1, "$", false);
  if (char === "\\" && text[at + 1] === "(" && !escaped) return closing(text, at + 2, "\\)", false);
  if (/\s/.test(char ?? "") && text[at + 1] === "[") {
    const bracket = /\[([^\n\][]{1,1000})\]\s/y;
    bracket.lastIndex = at + 1;
    const match = bracket.exec(text);
    return match === null ? undefined : { end: bracket.lastIndex, content: match[1] ?? "" };
  }
  if (char === "-" || char === "\\") {
    const fraction = /-?\\frac\{-?\d{1,50}(?:[.,]\d{1,50})?\}\{-?\d{1,50}(?:[.,]\d{1,50})?\}/y;
    fraction.lastIndex = at;
    const match = fraction.exec(text);
    return match === null ? undefined : { end: fraction.lastIndex, content: match[0] };
  }
  return undefined;
}

/** To the next closing mark that no backslash escapes; inline mathematics stays on its line. */
function closing(text: string, from: number, mark: string, lines: boolean): Span | undefined {
  const limit = Math.min(text.length, from + MAX_ENVIRONMENT);
  for (let at = from; at < limit; at++) {
    const char = text[at];
    if (!lines && char === "\n") return undefined;
    if (at > from && text.startsWith(mark, at) && text[at - 1] !== "\\") {
      return { end: at + mark.length, content: text.slice(from, at) };
    }
    // A bare dollar ends nothing but its own kind.
    if (mark === "$" && char === "$" && text[at - 1] !== "\\") return undefined;
  }
  return undefined;
}

export function boxMatches(text: string, environment: Matcher): Match[] {
  const holdsBox = (match: Match | undefined): boolean =>
    match?.payload.kind === "latex" && /\\boxed\{[\s\S]+\}/.test(match.payload.parts[0]?.text ?? "");
  const matches = scan(text, (at) => {
    const match = environment(at);
    if (match === undefined || !holdsBox(match) || match.payload.kind !== "latex") return undefined;
    // Joined environments count here only as far as they hold boxes, too.
    const parts = match.payload.parts;
    const boxed = parts.findIndex((part) => !/\\boxed\{[\s\S]+\}/.test(part.text));
    return boxed < 0 ? match : { ...match, payload: { ...match.payload, parts: parts.slice(0, boxed) } };
  });
  const first = text.indexOf("\\boxed{");
  const last = text.lastIndexOf("}");
  if (first >= 0 && last > first + 7) {
    const content = text.slice(first, last + 1);
    matches.push({
      start: first,
      end: last + 1,
      payload: { kind: "latex", parts: [{ text: content, percent: false }], boxed: "last" },
    });
  }
  return matches;
}

// Plain numbers and expressions ---------------------------------------------------------------------------------------------

export interface ExpressionMatcher extends Matcher {
  readonly whole: Matcher;
  readonly number: Matcher;
}

const EXPRESSION_CHARACTER = /[\d.\s+\-*×/^()÷]/;
const OPERATOR = /[+\-*×/^()÷]/;

export function expressionAt(text: string, { language, suite }: ExtractOptions): ExpressionMatcher {
  const stops = `.,:)$${language.fullStop}${language.comma}${language.colon}`;
  const prefix = (at: number): readonly number[] => {
    // At the start of the text nothing need stand before; a blank or an equals sign otherwise, then perhaps **.
    const begins: number[] = [];
    const char = text[at];
    const push = (from: number): void => {
      if (text.startsWith("**", from)) begins.push(from + 2);
      begins.push(from);
    };
    if (char !== undefined && (/\s/.test(char) || char === "=")) push(at + 1);
    if (at === 0 || language.space === "") push(at);
    return begins;
  };
  const suffix = (at: number): number | undefined => {
    for (const from of text.startsWith("**", at) ? [at + 2, at] : [at]) {
      const char = text[from];
      if (char === undefined) return from;
      if (/\s/.test(char) || stops.includes(char)) return from + 1;
      if (language.space === "") return from;
    }
    return undefined;
  };
  const whole: Matcher = (at) => {
    for (const begin of prefix(at)) {
      const head = /-?\(?-?\d/y;
      head.lastIndex = begin;
      if (!head.test(text)) continue;
      const body = head.lastIndex;
      let end = body;
      while (end - begin < MAX_RUN && EXPRESSION_CHARACTER.test(text[end] ?? "")) end++;
      for (; end > body + 1; end--) {
        const after = suffix(end);
        if (after === undefined) continue;
        const inner = text.slice(body, end - 1);
        if (!OPERATOR.test(inner)) break;
        return { start: at, end: after, payload: { kind: "expression", text: text.slice(begin, end) } };
      }
    }
    return undefined;
  };
  const thousands =
    suite === "lighteval"
      ? "-?\\d{1,3}(?:[ ,]\\d{3})+(?:\\.\\d+)?"
      : "(?<!\\d)-?[1-9]\\d{0,2}(?:[ ,]\\d{3})+(?:\\.\\d+)?";
  const before = suite === "lighteval" ? "" : "(?<!\\d)";
  const numberPattern = new RegExp(
    `(${thousands}|${before}-?\\d+[.,]\\d+|${before}\\.\\d+|${before}-?\\d+)(\\s*(?:%|[Pp]ercentage|[Pp]ercent|[Pp]ct))?`,
    "y",
  );
  const number: Matcher = (at) => {
    for (const begin of prefix(at)) {
      for (const from of CURRENCY.test(text[begin] ?? "") ? [begin + 1] : [begin]) {
        numberPattern.lastIndex = from;
        const match = numberPattern.exec(text);
        if (match === null) continue;
        return {
          start: at,
          end: numberPattern.lastIndex,
          payload: { kind: "number", text: match[1] ?? "", percent: match[2] !== undefined },
        };
      }
    }
    return undefined;
  };
  return Object.assign((at: number) => whole(at) ?? number(at), { whole, number });
}

// Choice letters --------------------------------------------------------------------------------------------------------------

export function letterAt(text: string, { language, choices }: ExtractOptions): Matcher {
  const letters = language.letters.slice(0, choices);
  const stops = `.,:${language.fullStop}${language.comma}${language.colon}`;
  return (at) => {
    const starts = at === 0 || language.space === "" || text[at - 1] === "\n" ? [at] : [];
    if (language.space !== "" && text.startsWith(language.space, at)) starts.push(at + language.space.length);
    for (const start of starts) {
      const begin = text.startsWith("**", start) ? start + 2 : start;
      for (const letter of letters) {
        for (const form of [letter, `(${letter})`]) {
          if (!text.startsWith(form, begin)) continue;
          let end = begin + form.length;
          if (text.startsWith("**", end)) end += 2;
          const next = text[end];
          if (
            next === undefined ||
            stops.includes(next) ||
            language.space === "" ||
            next === language.space
          ) {
            return {
              start: at,
              end: end + (next === undefined ? 0 : 1),
              payload: { kind: "letter", text: letter },
            };
          }
        }
      }
    }
    return undefined;
  };
}

/** A letter in any surroundings, as a word has them too. */
export function bareLetterAt(text: string, { language, choices }: ExtractOptions): Matcher {
  const letters = language.letters.slice(0, choices);
  return (at) => {
    for (const letter of letters) {
      const form = [letter, `(${letter})`].find((one) => text.startsWith(one, at));
      if (form !== undefined)
        return { start: at, end: at + form.length, payload: { kind: "letter", text: letter } };
    }
    return undefined;
  };
}

export function atLineStart(text: string, letter: Matcher): Match[] {
  const first = letter(0);
  if (first !== undefined) return [first];
  const matches: Match[] = [];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) {
    const match = letter(at + 1);
    if (match !== undefined) matches.push(match);
  }
  return matches;
}
