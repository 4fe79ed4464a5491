/**
 * Where Math-Verify and lighteval find an answer: patterns with priorities, within one priority the match that ends last; the
 * first that parses wins, and its text is kept for comparison as text. After huggingface/Math-Verify parser.py and
 * huggingface/lighteval extractive_match_utils.py (MIT), as scanners whose cost is bounded instead of backtracking regular
 * expressions.
 */

import { ENGLISH } from "../languages.js";
import { tryParse } from "../parse.js";
import { parseDecimal } from "../rational.js";
import { type Node, walk } from "../syntax.js";
import { lastEquation, normaliseLatex } from "./math-verify-latex.js";
import {
  atLineStart,
  bareLetterAt,
  boxMatches,
  type ExtractOptions,
  expressionAt,
  latexAt,
  letterAt,
  type Match,
  type Matcher,
  type Payload,
  scan,
} from "./math-verify-scan.js";

export interface Extracted {
  readonly tree: Node | undefined;
  /** The text of the first match, parsed or not. */
  readonly text: string | undefined;
  /** A choice letter instead of mathematics. */
  readonly letter?: string;
}

/** Only so much of the end of a text is searched. */
const MAX_TEXT = 16_000;
/** Of matches with one priority, so many of the last are read until one parses. */
const MAX_TRIES = 200;

export function extract(source: string, options: ExtractOptions): Extracted {
  const text = source.length > MAX_TEXT ? source.slice(-MAX_TEXT) : source;
  let fallback: string | undefined;
  for (const group of priorities(text, options)) {
    const matches = group()
      .sort((a, b) => b.end - a.end || a.start - b.start)
      .slice(0, MAX_TRIES);
    for (const match of matches) {
      const { tree, as, letter } = read(match.payload, options);
      fallback ??= as === "" ? undefined : as;
      if (letter !== undefined) return { tree: undefined, text: letter, letter };
      if (tree !== undefined) return { tree, text: fallback };
    }
  }
  return { tree: undefined, text: fallback };
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
  if (letters && options.lettersAnywhere) groups.push(() => scan(text, letter));
  groups.push(everywhere);
  if (letters && options.lettersAnywhere) groups.push(() => scan(text, bareLetterAt(text, options)));
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

function percentOf(node: Node, percent: boolean): Node {
  return percent ? { kind: "percent", of: node } : node;
}

function read(payload: Payload, options: ExtractOptions): { tree?: Node; as: string; letter?: string } {
  switch (payload.kind) {
    case "letter":
      return { as: payload.text, letter: payload.text };
    case "number": {
      // 0,111 is a decimal to Math-Verify, and to lighteval 111 in groups.
      const grouped =
        (options.suite === "lighteval" || !/^-?0/.test(payload.text)) &&
        /^-?\d{1,3}(?:[ ,]\d{3})+(?:\.\d+)?$/.test(payload.text);
      const plain = grouped ? payload.text.replace(/[ ,]/g, "") : payload.text.replace(",", ".");
      const node: Node = { kind: "number", value: parseDecimal(plain), decimal: plain.includes(".") };
      return { tree: percentOf(node, payload.percent), as: plain };
    }
    case "expression": {
      const node = tryParse(payload.text.replace(/\s+/g, " "), { foldCase: true });
      return node === undefined || !isPlain(node) ? { as: payload.text } : { tree: node, as: payload.text };
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
        return { tree: { kind: "list", items }, as };
      }
      const [first] = nodes;
      return first === undefined ? { as } : { tree: first, as };
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
