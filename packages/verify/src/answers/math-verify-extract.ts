/**
 * Where Math-Verify and lighteval find an answer: patterns with priorities, within one priority the match that ends last; the
 * first that parses wins, and its text is kept for comparison as text. After huggingface/Math-Verify parser.py and
 * huggingface/lighteval extractive_match_utils.py (MIT), as scanners whose cost is bounded instead of backtracking regular
 * expressions.
 */

import { ENGLISH, type Language } from "./languages.js";
import { lastEquation, normaliseLatex } from "./math-verify-latex.js";
import { tryParse } from "./parse.js";
import { parseDecimal } from "./rational.js";
import { type Node, walk } from "./syntax.js";

export type ExtractKind = "latex" | "expr" | "letters";

export interface ExtractOptions {
  readonly kinds: readonly ExtractKind[];
  /** "lighteval": boxes after the final-answer phrase, only the last part of a chain of equations. */
  readonly suite: "math-verify" | "lighteval";
  readonly language: Language;
  /** How many choices there are. */
  readonly choices: number;
}

export interface Extracted {
  readonly node: Node | undefined;
  /** The text of the first match, parsed or not. */
  readonly text: string | undefined;
  /** A choice letter instead of mathematics. */
  readonly letter?: string;
}

/** Only so much of the end of a text is searched. */
const MAX_TEXT = 16_000;
const MAX_RUN = 300;
const MAX_ENVIRONMENT = 6_000;

const CURRENCY = /[$€£¥₹₽₪₩₫฿₡₢₣₤₥₦₧₨₭₮₯₰₱₲₳₴₵₶₷₸₺₻₼₾₿]/;
const PERCENT = /\s*(?:\\?%|[Pp]ercentage|[Pp]ercent|[Pp]ct)/y;

type Payload =
  | {
      readonly kind: "latex";
      readonly parts: readonly { readonly text: string; readonly percent: boolean }[];
      readonly boxed: "all" | "last";
    }
  | { readonly kind: "number"; readonly text: string; readonly percent: boolean }
  | { readonly kind: "expression"; readonly text: string }
  | { readonly kind: "letter"; readonly text: string };

interface Match {
  readonly start: number;
  readonly end: number;
  readonly payload: Payload;
}

type Matcher = (at: number) => Match | undefined;

export function extract(source: string, options: ExtractOptions): Extracted {
  const text = source.length > MAX_TEXT ? source.slice(-MAX_TEXT) : source;
  let fallback: string | undefined;
  for (const group of priorities(text, options)) {
    const matches = group().sort((a, b) => b.end - a.end || a.start - b.start);
    for (const match of matches) {
      const { node, as, letter } = read(match.payload, options);
      fallback ??= as === "" ? undefined : as;
      if (letter !== undefined) return { node: undefined, text: letter, letter };
      if (node !== undefined) return { node, text: fallback };
    }
  }
  return { node: undefined, text: fallback };
}

/** The groups of patterns, first the strongest. */
function priorities(text: string, options: ExtractOptions): (() => Match[])[] {
  const { kinds, language, suite } = options;
  const english = language === ENGLISH;
  const environment = latexAt(text, language);
  const expression = expressionAt(text, options);
  const letter = letterAt(text, options);
  const latex = kinds.includes("latex");
  const expr = kinds.includes("expr");
  const letters = kinds.includes("letters");
  const phrase = /final answer/gi;
  const answer = new RegExp(language.answer, "giu");
  const colon = (at: number): number | undefined =>
    text[at] === language.colon || text[at] === ":" ? at + 1 : undefined;

  const finalIs = (hope: boolean) => (): Match[] => [
    ...(latex
      ? anchored(text, phrase, (at) =>
          hope ? isHope(text, at, environment) : isLater(text, at, environment, true),
        )
      : []),
    ...(expr
      ? anchored(text, phrase, (at) =>
          hope ? isHope(text, at, expression) : isLater(text, at, expression, false),
        )
      : []),
    ...(letters
      ? anchored(text, phrase, (at) => (hope ? isHope(text, at, letter) : isLater(text, at, letter, true)))
      : []),
  ];
  const boxes = (): Match[] => (latex ? boxMatches(text, environment) : []);
  const afterAnswer = (needsColon: boolean, which: "all" | "letters" | "mathematics") => (): Match[] => {
    const from = (at: number): number | undefined => (needsColon ? colon(at) : at);
    const run = (find: (from: number) => Match | undefined): Match[] =>
      anchored(text, answer, (at) => {
        const start = from(at);
        return start === undefined ? undefined : find(start);
      });
    return [
      ...(letters && which !== "mathematics" ? run((at) => within(text, at, 50, letter, false)) : []),
      ...(latex && which !== "letters" ? run((at) => within(text, at, 50, environment, true)) : []),
      ...(expr && which !== "letters"
        ? run((at) => afterEquals(text, at, expression) ?? notEquation(text, at, expression))
        : []),
    ];
  };
  const everywhere = (): Match[] => [
    ...(latex ? scan(text, environment) : []),
    ...(expr ? [...scan(text, expression.whole), ...scan(text, expression.number)] : []),
  ];

  const groups: (() => Match[])[] = [];
  if (english) groups.push(finalIs(true));
  if (suite === "math-verify") groups.push(() => [...(english ? finalIs(false)() : []), ...boxes()]);
  else {
    if (english) groups.push(finalIs(false));
    groups.push(boxes);
  }
  groups.push(afterAnswer(true, "all"));
  if (letters) groups.push(afterAnswer(false, "letters"), () => atLineStart(text, letter));
  groups.push(afterAnswer(false, "mathematics"));
  groups.push(everywhere);
  return groups;
}

/** One match for each place where `pattern` stands, not overlapping. */
function anchored(text: string, pattern: RegExp, find: (after: number) => Match | undefined): Match[] {
  const matches: Match[] = [];
  let busy = 0;
  for (const hit of text.matchAll(pattern)) {
    if (hit.index < busy) continue;
    const match = find(hit.index + hit[0].length);
    if (match === undefined) continue;
    matches.push({ ...match, start: hit.index });
    busy = match.end;
  }
  return matches;
}

function scan(text: string, matcher: Matcher): Match[] {
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

/** The first match that starts within `reach` characters; `lines`: newlines may be crossed. */
function within(
  text: string,
  from: number,
  reach: number,
  matcher: Matcher,
  lines: boolean,
): Match | undefined {
  for (let at = from; at <= Math.min(from + reach, text.length); at++) {
    const match = matcher(at);
    if (match !== undefined) return match;
    if (!lines && text[at] === "\n") return undefined;
  }
  return undefined;
}

/** `... is: X. I hope` behind "final answer". */
function isHope(text: string, at: number, matcher: Matcher): Match | undefined {
  const is = /\s+is:?/y;
  is.lastIndex = at;
  if (!text.startsWith(" is", at) || !is.test(text)) return undefined;
  let start = is.lastIndex;
  const first = start;
  while (/\s/.test(text[start] ?? "")) start++;
  for (let from = start; from >= first; from--) {
    const match = matcher(from);
    const hope = /\.?\s?I hope/y;
    if (match === undefined) continue;
    hope.lastIndex = match.end;
    if (hope.test(text)) return { ...match, end: hope.lastIndex };
  }
  return undefined;
}

/** `.{0,100}? is: X` behind "final answer". */
function isLater(text: string, at: number, matcher: Matcher, spaces: boolean): Match | undefined {
  for (let from = at; from <= Math.min(at + 100, text.length); from++) {
    if (/\s/.test(text[from] ?? "")) {
      let is = from;
      while (/\s/.test(text[is] ?? "")) is++;
      if (text.startsWith("is", is)) {
        let start = is + 2;
        if (text[start] === ":") start++;
        const first = start;
        if (spaces) while (/\s/.test(text[start] ?? "")) start++;
        for (let begin = start; begin >= first; begin--) {
          const match = matcher(begin);
          if (match !== undefined) return match;
        }
      }
    }
    if (!spaces && text[from] === "\n") return undefined;
  }
  return undefined;
}

const notFollowedByEquals = (text: string, match: Match): boolean => {
  let at = match.end;
  while (/\s/.test(text[at] ?? "")) at++;
  return text[at] !== "=";
};

/** Behind the last `=` within 100 characters of the line. */
function afterEquals(text: string, from: number, matcher: Matcher): Match | undefined {
  const line = text.slice(from, from + 101).split("\n", 1)[0] ?? "";
  for (
    let equals = line.lastIndexOf("=");
    equals >= 0;
    equals = equals === 0 ? -1 : line.lastIndexOf("=", equals - 1)
  ) {
    let start = from + equals + 1;
    while (/\s/.test(text[start] ?? "")) start++;
    for (let begin = start; begin > from + equals; begin--) {
      const match = matcher(begin);
      if (match !== undefined && notFollowedByEquals(text, match)) return match;
    }
  }
  return undefined;
}

function notEquation(text: string, from: number, matcher: Matcher): Match | undefined {
  for (let at = from; at <= Math.min(from + 50, text.length); at++) {
    const match = matcher(at);
    if (match !== undefined && notFollowedByEquals(text, match)) return match;
    if (text[at] === "\n") return undefined;
  }
  return undefined;
}

// LaTeX -----------------------------------------------------------------------------------------------------------------

interface Span {
  readonly end: number;
  readonly content: string;
}

/** A mathematics environment that begins at a place, and up to five more joined to it by commas, "and" and "or". */
function latexAt(text: string, language: Language): Matcher {
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

function boxMatches(text: string, environment: Matcher): Match[] {
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

interface ExpressionMatcher extends Matcher {
  readonly whole: Matcher;
  readonly number: Matcher;
}

const EXPRESSION_CHARACTER = /[\d.\s+\-*×/^()÷]/;
const OPERATOR = /[+\-*×/^()÷]/;

function expressionAt(text: string, { language, suite }: ExtractOptions): ExpressionMatcher {
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

function letterAt(text: string, { language, choices }: ExtractOptions): Matcher {
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

function atLineStart(text: string, letter: Matcher): Match[] {
  const first = letter(0);
  if (first !== undefined) return [first];
  const matches: Match[] = [];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) {
    const match = letter(at + 1);
    if (match !== undefined) matches.push(match);
  }
  return matches;
}

// Reading -----------------------------------------------------------------------------------------------------------------------

function percentOf(node: Node, percent: boolean): Node {
  return percent ? { kind: "percent", of: node } : node;
}

function read(payload: Payload, options: ExtractOptions): { node?: Node; as: string; letter?: string } {
  switch (payload.kind) {
    case "letter":
      return { as: payload.text, letter: payload.text };
    case "number": {
      const grouped = /^-?\d{1,3}(?:[ ,]\d{3})+(?:\.\d+)?$/.test(payload.text);
      const plain = grouped ? payload.text.replace(/[ ,]/g, "") : payload.text.replace(",", ".");
      const node: Node = { kind: "number", value: parseDecimal(plain), decimal: plain.includes(".") };
      return { node: percentOf(node, payload.percent), as: plain };
    }
    case "expression": {
      const node = tryParse(payload.text.replace(/\s+/g, " "), { foldCase: true });
      return node === undefined || !isPlain(node) ? { as: payload.text } : { node, as: payload.text };
    }
    case "latex": {
      const texts = payload.parts.map((part) => normaliseLatex(part.text, payload.boxed));
      const nodes = texts.map((text, i) => {
        const node = parseLatex(text, options);
        return node === undefined ? undefined : percentOf(node, payload.parts[i]?.percent ?? false);
      });
      const as =
        texts.length > 1 && nodes.every((node) => node !== undefined)
          ? texts.join(" and ")
          : (texts[0] ?? "");
      if (nodes.length > 1 && nodes.every((node) => node !== undefined)) {
        const items = (nodes as Node[]).flatMap((node) =>
          node.kind === "list" || node.kind === "set" ? node.items : [node],
        );
        return { node: { kind: "list", items }, as };
      }
      const [first] = nodes;
      return first === undefined ? { as } : { node: first, as };
    }
  }
}

function parseLatex(text: string, options: ExtractOptions): Node | undefined {
  const parse = (source: string): Node | undefined => {
    const node = tryParse(source, { foldCase: true });
    return node === undefined || hasForeignWords(node) ? undefined : node;
  };
  if (options.suite === "lighteval") return parse(lastEquation(text)) ?? parse(text);
  return parse(text) ?? (lastEquation(text) === text ? undefined : parse(lastEquation(text)));
}

/** Letters of other scripts are no part of its grammar. */
function hasForeignWords(node: Node): boolean {
  for (const part of walk(node)) if (part.kind === "word" && /[^\u0020-\u007e]/.test(part.text)) return true;
  return false;
}

/** Numbers and operators alone: what Python's expression parser would read. */
function isPlain(node: Node): boolean {
  for (const part of walk(node))
    if (["variable", "letters", "word", "list", "bracket"].includes(part.kind)) return false;
  return true;
}
