/**
 * Keywords, forbidden words and section marks are regular expressions of Python in the reference evaluator.
 * This file reads them as such: Python's syntax is rewritten to JavaScript's, and a pattern that could
 * take exponential time (one with a quantifier) runs under a clock. What cannot be read, and what does not
 * end in time, is the row's fault, never the response's: a UserError.
 */
import { type Context, createContext, Script } from "node:vm";
import { UserError } from "@posttrain/data";
import { SPACE, WORD } from "./python-text.js";

export interface Pattern {
  /** How many matches, without overlap. */
  count(text: string): number;
}

const MAX_MILLISECONDS = 500;
const WORD_BOUNDARY = `(?:(?<=[${WORD}])(?![${WORD}])|(?<![${WORD}])(?=[${WORD}]))`;
const NOT_WORD_BOUNDARY = `(?!${WORD_BOUNDARY})`;

/** `before` and `after` are JavaScript and surround every match. */
export function compilePattern(
  source: string,
  options: { readonly ignoreCase: boolean; readonly before?: string; readonly after?: string },
): Pattern {
  const expression = toRegExp(source, options);
  const mayTakeForever = /[*+?{]/.test(source);
  return {
    count: (text) => (mayTakeForever ? countInTime(expression, text, source) : countNow(expression, text)),
  };
}

/** A whole word or phrase: no word character on either side where the reference puts `\b`. */
export function compileWholeWord(source: string): Pattern {
  const anywhere = compilePattern(source, { ignoreCase: true });
  let whole: Pattern | undefined;
  return {
    count(text) {
      // Boundaries cost 10 ms to compile and are slow to look for; most texts do not have the word at all.
      if (anywhere.count(text) === 0) return 0;
      whole ??= compilePattern(source, { ignoreCase: true, before: WORD_BOUNDARY, after: WORD_BOUNDARY });
      return whole.count(text);
    },
  };
}

function toRegExp(source: string, options: { ignoreCase: boolean; before?: string; after?: string }): RegExp {
  try {
    const body = `${options.before ?? ""}(?:${new PythonPattern(source).toJavaScript()})${options.after ?? ""}`;
    return new RegExp(body, options.ignoreCase ? "giv" : "gv");
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new UserError(
      "bad_pattern",
      `"${source}" cannot be read as a regular expression, which is what IFEval's keywords are (${error.message}). Put a backslash before characters that are meant as they stand, such as "C\\+\\+".`,
      { cause: error },
    );
  }
}

function countNow(expression: RegExp, text: string): number {
  let count = 0;
  for (const _ of text.matchAll(expression)) count++;
  return count;
}

const counting = new Script("count = 0; for (const _ of text.matchAll(expression)) count++;");
let clocked: Context | undefined;

/** V8 interrupts an expression that backtracks only in a script that runs under a time limit. */
function countInTime(expression: RegExp, text: string, source: string): number {
  clocked ??= createContext({});
  Object.assign(clocked, { expression, text });
  try {
    counting.runInContext(clocked, { timeout: MAX_MILLISECONDS });
    return Number(clocked["count"]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw error;
    throw new UserError(
      "slow_pattern",
      `"${source}" did not end within ${MAX_MILLISECONDS} ms on a response of ${text.length} characters. Nested repetition such as "(a+)+" does that: write the keyword without it.`,
      { cause: error },
    );
  }
}

/** One pass over a pattern in Python's syntax. */
class PythonPattern {
  readonly #source: string;
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  toJavaScript(): string {
    let result = "";
    while (this.#at < this.#source.length) result += this.#item();
    return result;
  }

  /** Takes what the expression matches at the current place. */
  #take(expression: RegExp): string | undefined {
    const sticky = new RegExp(expression, "yu");
    sticky.lastIndex = this.#at;
    const found = sticky.exec(this.#source)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #item(): string {
    const named = this.#take(/\(\?P[<=]/);
    if (named !== undefined) return named.endsWith("<") ? "(?<" : `\\k<${this.#name()}>`;
    const group = this.#take(/\(\?(?::|=|!|<=|<!)|\((?!\?)/);
    if (group !== undefined) return group;
    const repeat = this.#take(/\{\d*,?\d*\}/);
    if (repeat !== undefined && /\d/.test(repeat)) return repeat.replace("{,", "{0,");
    if (repeat !== undefined) return [...repeat].map(literal).join("");
    if (this.#take(/\[/)) return this.#characterClass();
    if (this.#take(/\\/)) return this.#escape(false);
    const character = this.#take(/./su)!;
    if (character === ".") return "[^\\n]";
    if (character === "^") return "(?<![^])";
    if (character === "$") return "(?=\\n?(?![^]))";
    if (character === "(")
      throw new SyntaxError(`a group of the kind "(?${this.#source.charAt(this.#at + 1)}"`);
    return "|)*+?".includes(character) ? character : literal(character);
  }

  #name(): string {
    const name = this.#take(/[\p{L}_][\p{L}\p{N}_]*\)/u);
    if (name === undefined) throw new SyntaxError("a group's name without an end");
    return name.slice(0, -1);
  }

  #characterClass(): string {
    let result = this.#take(/\^/) ? "[^" : "[";
    for (let first = true; ; first = false) {
      if (!first && this.#take(/\]/)) return `${result}]`;
      if (this.#at >= this.#source.length) throw new SyntaxError("a character class without an end");
      const isRange = !first && this.#take(/-(?!\])/) !== undefined;
      if (isRange) result += "-";
      result += this.#take(/\\/) ? this.#escape(true) : literal(this.#take(/./su)!);
    }
  }

  #escape(inClass: boolean): string {
    const number = this.#take(/[1-9]\d?/);
    if (number !== undefined && !inClass) return `\\${number}(?:)`;
    const code = this.#take(/x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}/);
    if (code !== undefined) return `\\u{${code.slice(1).replace(/^0+(?=.)/, "")}}`;
    const character = this.#take(/./su);
    if (character === undefined) throw new SyntaxError("a backslash at the end");
    const boundary = { b: WORD_BOUNDARY, B: NOT_WORD_BOUNDARY, A: "(?<![^])", Z: "(?![^])" }[character];
    if (boundary !== undefined && !inClass) return boundary;
    const known = ESCAPES[character];
    if (known !== undefined) return known;
    if (/[\p{L}\p{N}]/u.test(character)) throw new SyntaxError(`an escape "\\${character}"`);
    return literal(character);
  }
}

/** Escapes that mean the same inside a character class and outside. */
const ESCAPES: Readonly<Record<string, string>> = {
  d: "\\p{Nd}",
  D: "\\P{Nd}",
  w: `[${WORD}]`,
  W: `[^${WORD}]`,
  s: `[${SPACE}]`,
  S: `[^${SPACE}]`,
  a: "\\x07",
  b: "\\x08",
  f: "\\f",
  n: "\\n",
  r: "\\r",
  t: "\\t",
  v: "\\v",
  0: "\\0",
};

function literal(character: string): string {
  return /[\p{L}\p{N}_ ]/u.test(character) ? character : `\\u{${character.codePointAt(0)!.toString(16)}}`;
}
