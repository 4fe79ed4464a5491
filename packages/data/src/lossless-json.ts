/**
 * JSON whose numbers stay what the text says. One that JavaScript reads and writes as it stands (7, 0.5) is a number; any other is a
 * LosslessNumber, which keeps its text: whole numbers of 2^53 and more, digits that a double does not hold, 1e400, and spellings that
 * mean something elsewhere (1.0 is a float in Python, 1 none; -0; 1e-06). `stringifyJson` writes them back as they were.
 */
import { randomUUID } from "node:crypto";

/** A number of JSON text that is more than its double. `String(it)` is the text. */
export class LosslessNumber {
  constructor(readonly written: string) {}

  /** Written as a whole number: an int to Python, and to every reader that knows ints. */
  get isInteger(): boolean {
    return !/[.eE]/.test(this.written);
  }

  toString(): string {
    return this.written;
  }

  /** For writers that know nothing of it: another spelling of the number, or its text; never another number. */
  toJSON(): number | string {
    const double = asDouble(this);
    return typeof double === "number" ? double : this.written;
  }
}

export type JsonNumber = number | LosslessNumber;

export function isJsonNumber(value: unknown): value is JsonNumber {
  return typeof value === "number" || value instanceof LosslessNumber;
}

/** Whether a value of JSON is an object. */
export function isJsonObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof LosslessNumber)
  );
}

/**
 * A LosslessNumber as the double that it is, or, of a float, nearest to; anything else as it is, and so what no double holds: 2^53 + 1,
 * 1e400, 1 and a tail of digits that would be lost.
 */
export function asDouble(value: unknown): unknown {
  if (!(value instanceof LosslessNumber)) return value;
  const double = Number(value.written);
  if (Number.isSafeInteger(double)) return sameDecimal(value.written, String(double)) ? double : value;
  return Number.isFinite(double) && !value.isInteger ? double : value;
}

/** `asDouble` of all that a value holds, for readers that compute with doubles. The value itself where that changes nothing. */
export function withDoubles<T>(value: T): T {
  return (holdsLossless(value) ? convert(value) : value) as T;
}

function convert(value: unknown): unknown {
  if (value instanceof LosslessNumber) return asDouble(value);
  if (Array.isArray(value)) return value.map(convert);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, convert(item)]));
}

/** Whether there is anything in a value that JSON.stringify would not write as it is. */
export function holdsLossless(value: unknown): boolean {
  if (typeof value === "bigint") return true;
  if (typeof value !== "object" || value === null) return false;
  if (value instanceof LosslessNumber) return true;
  if (Array.isArray(value)) return value.some(holdsLossless);
  for (const key in value) if (holdsLossless((value as Record<string, unknown>)[key])) return true;
  return false;
}

/** Whether two decimals are the same number, digit by digit: 1.0 and 1, 10e-1 and 1. */
export function sameDecimal(a: string, b: string): boolean {
  return normalDecimal(a) === normalDecimal(b);
}

/** Sign, digits without zeros around them, exponent of ten. */
export function normalDecimal(text: string): string {
  const [, sign, whole = "", fraction = "", exponent = "0"] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([-+]?\d+))?$/.exec(text) ?? [];
  const digits = (whole + fraction).replace(/^0+/, "");
  const last = digits.replace(/0+$/, "");
  if (last === "") return "0";
  return `${sign}${last}e${BigInt(exponent) - BigInt(fraction.length) + BigInt(digits.length - last.length)}`;
}

const MAX_DEPTH = 256;
/** Half a second of arithmetic, which takes the square of it. */
const MAX_DIGITS = 1_000_000;
/** Stands for a number while JSON.parse and JSON.stringify see text. No text can know it. */
const MARK = randomUUID();
const MARKED = new RegExp(`"${MARK}([^"]*)"`, "g");

/** What has been seen of JSON text outside its strings. */
export interface JsonScan {
  /** Members of all objects, were the text JSON. */
  readonly members: number;
  /** Starts and ends of the numbers that become LosslessNumbers. */
  readonly lossless: readonly number[];
}

/** Throws Error for text that nests too deep or has too long a number, before anything is built: hostile text could nest millions of levels. */
export function scanJson(text: string): JsonScan {
  let members = 0;
  let depth = 0;
  const lossless: number[] = [];
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) at = closingQuote(text, at);
    else if (code === 0x3a) members++;
    else if (code === 0x5b || code === 0x7b) {
      if (++depth > MAX_DEPTH) throw new Error(`nests deeper than ${MAX_DEPTH} levels: flatten the row.`);
    } else if (code === 0x5d || code === 0x7d) depth--;
    else if (isDigit(code) || code === 0x2d) {
      let end = at + 1;
      while (isDigit(text.charCodeAt(end))) end++;
      const isShort = end - at <= 15 && (code !== 0x2d || text.charCodeAt(at + 1) !== 0x30);
      if (!isShort || isNumberPart(text.charCodeAt(end))) {
        while (isNumberPart(text.charCodeAt(end))) end++;
        if (end - at > MAX_DIGITS)
          throw new Error(
            `holds a number of ${end - at} characters, more than ${MAX_DIGITS}: write it as a string.`,
          );
        if (!isPlain(text.slice(at, end))) lossless.push(at, end);
      }
      at = end - 1;
    }
  }
  return { members, lossless };
}

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;
/** 0-9 + - . e E */
const isNumberPart = (code: number): boolean =>
  isDigit(code) || code === 0x2e || code === 0x65 || code === 0x45 || code === 0x2b || code === 0x2d;

/** Up to 15 digits survive a double, and are what JavaScript writes for it. */
const SHORT_FRACTION = /^-?(?:0|[1-9]\d*)\.(?!0{6})\d*[1-9]$/;
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/;

/** Whether JavaScript's number is this number and is written like this; or what is no number, which JSON.parse is left to refuse. */
function isPlain(written: string): boolean {
  if (written.length <= 16 && SHORT_FRACTION.test(written)) return true;
  const value = Number(written);
  if (String(value) === written) return Number.isSafeInteger(value) || !Number.isInteger(value);
  return !NUMBER.test(written);
}

/** The place of the quote that ends the string which starts at `open`; the end of the text if none does. */
export function closingQuote(text: string, open: number): number {
  for (let quote = text.indexOf('"', open + 1); quote >= 0; quote = text.indexOf('"', quote + 1)) {
    let before = quote - 1;
    while (text.charCodeAt(before) === 0x5c) before--;
    if ((quote - before) % 2 === 1) return quote;
  }
  return text.length;
}

/** JSON.parse, but for numbers. Throws SyntaxError as it does, Error for text that nests deeper than 256 levels or has a number of a million digits. */
export function parseJson(text: string): unknown {
  const { lossless } = scanJson(text);
  return lossless.length === 0 ? JSON.parse(text) : parseScanned(text, lossless, () => undefined);
}

/** `parseJson` of text that has been scanned; `onText` is given each string and each key, which is one where `isKey`. */
export function parseScanned(
  text: string,
  lossless: readonly number[],
  onText: (text: string, isKey: boolean) => void,
): unknown {
  if (lossless.length > 0) {
    let value: unknown;
    try {
      value = JSON.parse(marked(text, lossless));
    } catch {
      // Its error is to be about the text as it was.
    }
    if (value !== undefined) return revive(value, onText);
  }
  return revive(JSON.parse(text), onText);
}

function marked(text: string, lossless: readonly number[]): string {
  let all = "";
  let last = 0;
  for (let i = 0; i < lossless.length; i += 2) {
    const [start, end] = [lossless[i]!, lossless[i + 1]!];
    all += `${text.slice(last, start)}"${MARK}${text.slice(start, end)}"`;
    last = end;
  }
  return all + text.slice(last);
}

function revive(value: unknown, onText: (text: string, isKey: boolean) => void): unknown {
  if (typeof value === "string") {
    if (value.startsWith(MARK)) return new LosslessNumber(value.slice(MARK.length));
    onText(value, false);
    return value;
  }
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const item: unknown = value[i];
      if (typeof item !== "number") value[i] = revive(item, onText);
    }
    return value;
  }
  const record = value as Record<string, unknown>;
  for (const key in record) {
    if (key.startsWith(MARK))
      throw new SyntaxError(`a number stands where a key belongs: ${key.slice(MARK.length)}`);
    onText(key, true);
    const item = record[key];
    if (typeof item === "string" || typeof item === "object") record[key] = revive(item, onText);
  }
  return value;
}

/**
 * A number as Python's json writes what it read: digits alone are an int of any size, anything else is the float nearest to it.
 */
function pythonNumber(value: JsonNumber): string {
  const written = String(value);
  if (value instanceof LosslessNumber ? value.isInteger : Number.isSafeInteger(value))
    return written === "-0" ? "0" : written;
  return pythonFloat(Number(written));
}

/** As Python's json writes a float. */
export function pythonFloat(float: number): string {
  if (!Number.isFinite(float)) return float > 0 ? "Infinity" : float < 0 ? "-Infinity" : "NaN";
  if (float === 0) return Object.is(float, -0) ? "-0.0" : "0.0";
  const [mantissa, exponent] = float.toExponential().split("e");
  const power = Number(exponent);
  if (power < -4 || power >= 16) {
    const digits = String(Math.abs(power)).padStart(2, "0");
    return `${mantissa}e${power < 0 ? "-" : "+"}${digits}`;
  }
  return Number.isInteger(float) ? `${float}.0` : String(float);
}

/** json.dumps(json.loads(text), ensure_ascii=False), where the value is of that text. */
export function asPythonJson(value: unknown, space?: number): string {
  const respelled = (item: unknown): unknown => {
    if (isJsonNumber(item)) return new LosslessNumber(pythonNumber(item));
    if (Array.isArray(item)) return item.map(respelled);
    if (!isJsonObject(item)) return item;
    return Object.fromEntries(Object.entries(item).map(([key, inner]) => [key, respelled(inner)]));
  };
  return stringifyJson(respelled(value), space);
}

/**
 * JSON.stringify, with LosslessNumbers and bigints as the digits that they are, and numbers that are none any more as the words "NaN",
 * "Infinity" and "-Infinity", which it would turn into null without a word.
 */
export function stringifyJson(value: unknown, space?: number): string {
  if (!holdsLossless(value)) return JSON.stringify(value, orWord, space);
  function mark(this: unknown, key: string, item: unknown): unknown {
    const held = (this as Record<string, unknown>)[key];
    if (isNoNumber(held)) return String(held);
    return held instanceof LosslessNumber || typeof held === "bigint" ? `${MARK}${held}` : item;
  }
  return JSON.stringify(value, mark, space).replaceAll(MARKED, "$1");
}

const orWord = (_key: string, item: unknown): unknown => (isNoNumber(item) ? String(item) : item);
const isNoNumber = (item: unknown): boolean => typeof item === "number" && !Number.isFinite(item);
