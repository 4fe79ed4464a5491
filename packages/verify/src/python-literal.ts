import { parseJson } from "@posttrain/data";

/** Python's literals, as data sets hold them in text columns: lists, tuples, dicts, strings, numbers, True, False, None. */

/** JSON where it is JSON, else as Python's ast.literal_eval reads it; undefined where it is neither. */
export function parseLiteral(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: parseJson(text) };
  } catch {
    // Not JSON: Python, perhaps.
  }
  const reader = new Reader(text);
  try {
    const value = reader.value(0);
    return reader.atEnd() ? { value } : undefined;
  } catch (error) {
    if (error instanceof NotALiteral) return undefined;
    throw error;
  }
}

class NotALiteral extends Error {}

const MAX_DEPTH = 100;
const MAX_HEXADECIMAL = 100_000;
const WORDS: Readonly<Record<string, unknown>> = { True: true, False: false, None: null };
const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  "0": "\0",
  b: "\b",
  f: "\f",
  v: "\v",
  a: "\x07",
  "\n": "",
};

/** A float, or an int, which begins with no zero unless it is one. */
const NUMBER =
  /(?:(?:\d(?:_?\d)*)?\.\d(?:_?\d)*|\d(?:_?\d)*\.)(?:[eE][-+]?\d(?:_?\d)*)?|\d(?:_?\d)*[eE][-+]?\d(?:_?\d)*|(?:[1-9](?:_?\d)*|0(?:_?0)*)(?![\d_])/y;

/** Python's 1., .5, 007.5 and 00 in JSON's spelling, which is a float's or an int's as theirs is. */
function asJson(number: string): string {
  const [, whole = "", fraction, exponent = ""] = /^(\d*)(\.\d*)?([eE].*)?$/.exec(number) ?? [];
  const point = fraction === undefined ? "" : fraction === "." ? ".0" : fraction;
  return `${whole.replace(/^0+(?=\d)/, "") || "0"}${point}${exponent}`;
}

/** What JSON text of the number would be read as. */
function jsonNumber(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    throw new NotALiteral(); // too long
  }
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  atEnd(): boolean {
    this.#space();
    return this.#at === this.#text.length;
  }

  value(depth: number): unknown {
    if (depth > MAX_DEPTH) throw new NotALiteral();
    this.#space();
    const next = this.#text[this.#at];
    if (next === "[") return this.#items("]", depth);
    if (next === "(") return this.#items(")", depth);
    if (next === "{") return this.#record(depth);
    if (next === "'" || next === '"') return this.#strings();
    const word = this.#match(/(?:True|False|None)\b/y);
    if (word !== undefined) return WORDS[word];
    const sign = this.#match(/[-+]/y) === "-" ? "-" : "";
    const hexadecimal = this.#match(/0(?:[xX](?:_?[0-9a-fA-F])+|[oO](?:_?[0-7])+|[bB](?:_?[01])+)/y);
    if ((hexadecimal?.length ?? 0) > MAX_HEXADECIMAL) throw new NotALiteral();
    if (hexadecimal !== undefined) return jsonNumber(`${sign}${BigInt(hexadecimal.replaceAll("_", ""))}`);
    const number = this.#match(NUMBER);
    if (number !== undefined) return jsonNumber(sign + asJson(number.replaceAll("_", "")));
    throw new NotALiteral();
  }

  #items(close: string, depth: number): unknown[] {
    this.#at++;
    const items: unknown[] = [];
    for (;;) {
      if (this.#take(close)) return items;
      items.push(this.value(depth + 1));
      if (!this.#take(",")) {
        if (this.#take(close)) return items;
        throw new NotALiteral();
      }
    }
  }

  #record(depth: number): unknown {
    this.#at++;
    const entries: [string, unknown][] = [];
    for (;;) {
      if (this.#take("}")) return Object.fromEntries(entries);
      const key = this.value(depth + 1);
      if (!this.#take(":")) throw new NotALiteral();
      entries.push([String(key), this.value(depth + 1)]);
      if (!this.#take(",")) {
        if (this.#take("}")) return Object.fromEntries(entries);
        throw new NotALiteral();
      }
    }
  }

  /** Strings that stand beside each other are one. */
  #strings(): string {
    let all = "";
    for (;;) {
      this.#space();
      const quote = this.#text[this.#at];
      if (quote !== "'" && quote !== '"') return all;
      all += this.#string(quote);
    }
  }

  #string(quote: string): string {
    const long = this.#text.startsWith(quote.repeat(3), this.#at);
    const end = long ? quote.repeat(3) : quote;
    this.#at += end.length;
    let text = "";
    for (;;) {
      if (this.#text.startsWith(end, this.#at)) {
        this.#at += end.length;
        return text;
      }
      const character = this.#text[this.#at++];
      if (character === undefined || (character === "\n" && !long)) throw new NotALiteral();
      text += character === "\\" ? this.#escape() : character;
    }
  }

  #escape(): string {
    const code =
      this.#match(/x[0-9a-fA-F]{2}/y) ?? this.#match(/u[0-9a-fA-F]{4}/y) ?? this.#match(/U[0-9a-fA-F]{8}/y);
    if (code !== undefined) {
      const point = Number.parseInt(code.slice(1), 16);
      if (point > 0x10ffff) throw new NotALiteral();
      return String.fromCodePoint(point);
    }
    const character = this.#text[this.#at++] ?? "";
    return ESCAPES[character] ?? (/['"\\]/.test(character) ? character : `\\${character}`);
  }

  #space(): void {
    this.#match(/\s+/y);
  }

  #take(mark: string): boolean {
    this.#space();
    if (this.#text[this.#at] !== mark) return false;
    this.#at++;
    return true;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
}
