/** Whether what came is what was expected: output texts, and plain values. Runs in the grader's own process. */
import { floatText, type Plain } from "./plain.js";
import type { OutputComparison, ValueComparison } from "./task.js";

/** Undefined if equal, else where they part: a sentence for a person. */
export function outputDifference(
  got: string,
  expected: string,
  { kind, absolute = 0, relative = kind === "floats" ? 1e-6 : 0, ignoreCase = false }: OutputComparison,
): string | undefined {
  const fold = (text: string): string => (ignoreCase ? text.toLowerCase() : text);
  if (kind === "exact") {
    const same = fold(dropNewline(got)) === fold(dropNewline(expected));
    return same ? undefined : firstDifference(splitLines(got), splitLines(expected), "line");
  }
  if (kind === "lines") {
    const lines = (text: string): string[] => splitLines(fold(text).trimEnd()).map((line) => line.trimEnd());
    return firstDifference(lines(got), lines(expected), "line");
  }
  const tokens = (text: string): string[] => fold(text).split(/\s+/).filter(Boolean);
  const close = (a: string, b: string): boolean => {
    if (kind === "tokens") return false;
    const [x, y] = [decimal(a), decimal(b)];
    return x !== undefined && y !== undefined && within(x, y, absolute, relative);
  };
  return firstDifference(tokens(got), tokens(expected), "word", close);
}

function dropNewline(text: string): string {
  return text.replace(/\r?\n$/, "");
}

function splitLines(text: string): string[] {
  return text.split(/\r?\n/);
}

function decimal(token: string): number | undefined {
  return /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(token) ? Number(token) : undefined;
}

/** What is infinite or no number is never near anything. */
function within(a: number, b: number, absolute: number, relative: number): boolean {
  return (
    Number.isFinite(a) && Number.isFinite(b) && Math.abs(a - b) <= Math.max(absolute, relative * Math.abs(b))
  );
}

function firstDifference(
  got: readonly string[],
  expected: readonly string[],
  unit: string,
  close: (a: string, b: string) => boolean = () => false,
): string | undefined {
  for (let i = 0; i < Math.max(got.length, expected.length); i++) {
    const [a, b] = [got[i], expected[i]];
    if (a === b || (a !== undefined && b !== undefined && close(a, b))) continue;
    const quote = (text: string | undefined): string =>
      text === undefined ? "nothing" : JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
    return `${unit} ${i + 1}: expected ${quote(b)}, got ${quote(a)}`;
  }
  return undefined;
}

/**
 * Python's `==` on plain data, but that true is no 1; with a tolerance, numbers that are near are equal wherever they
 * stand but in keys (`floatsOnly`: unless both are ints). Walks no deeper than `expected`, so a hostile `got` (cycles, a million levels) costs nothing.
 */
export function plainEqual(
  got: Plain,
  expected: Plain,
  how: ValueComparison & { readonly floatsOnly?: boolean } = {},
): boolean {
  const [a, b] = [number(got), number(expected)];
  if (a !== undefined && b !== undefined) {
    if (how.strictTypes && kindOf(got) !== kindOf(expected)) return false;
    if (sameNumber(a, b)) return true;
    const { absolute = 0, relative = 0, floatsOnly = false } = how;
    if (floatsOnly && kindOf(got) === "int" && kindOf(expected) === "int") return false;
    // Without a tolerance nothing is rounded: 2^53 + 1 is not 2^53.
    return absolute + relative > 0 && within(near(a), near(b), absolute, relative);
  }
  if (got === null || expected === null || typeof got !== "object" || typeof expected !== "object") {
    return a === undefined && b === undefined && got === expected;
  }
  if (got.kind === "dict" && expected.kind === "dict") {
    const entries = new Map(got.entries.map(([key, value]) => [plainKey(key), value]));
    return (
      got.entries.length === expected.entries.length &&
      expected.entries.every(([key, value]) => {
        const item = entries.get(plainKey(key));
        return item !== undefined && plainEqual(item, value, how);
      })
    );
  }
  if (got.kind === "set" && expected.kind === "set") {
    const keys = new Set(got.items.map(plainKey));
    return (
      got.items.length === expected.items.length && expected.items.every((item) => keys.has(plainKey(item)))
    );
  }
  if (isSequence(got) && isSequence(expected)) {
    if (how.strictTypes && got.kind !== expected.kind) return false;
    return (
      got.items.length === expected.items.length &&
      expected.items.every((item, i) => plainEqual(got.items[i]!, item, how))
    );
  }
  return got.kind === "other" && expected.kind === "other" && got.text === expected.text;
}

/** Keys are hashable, so no cycles and no depth to speak of; 1 and 1.0 are one key, and so are 2^60 and 2.0^60. */
export function plainKey(value: Plain): string {
  const numeric = number(value);
  if (typeof numeric === "object") return `n${numeric.d === 1n ? numeric.n : near(numeric)}`;
  if (numeric !== undefined)
    return `n${typeof numeric === "number" && Number.isInteger(numeric) ? BigInt(numeric) : numeric}`;
  return typeof value === "object" ? plainText(value) : `${typeof value}${value}`;
}

type Ratio = Extract<Plain, { readonly kind: "ratio" }>;

function number(value: Plain): bigint | number | Ratio | undefined {
  if (typeof value === "number" || typeof value === "bigint") return value;
  if (typeof value !== "object" || value === null) return undefined;
  return value.kind === "float" ? value.value : value.kind === "ratio" ? value : undefined;
}

/** Exact values, as Python compares them: 2^53 + 1 is no float, and a Decimal of 0.1 is not the float nearest to it. */
function sameNumber(a: bigint | number | Ratio, b: bigint | number | Ratio): boolean {
  // Between a bigint and a number JavaScript compares exact values too.
  // biome-ignore lint/suspicious/noDoubleEquals: === is false between a bigint and a number
  if (typeof a !== "object" && typeof b !== "object") return a == b;
  const [p, q] = [fraction(a), fraction(b)];
  return p !== undefined && q !== undefined && p.n * q.d === q.n * p.d;
}

function fraction(value: bigint | number | Ratio): { readonly n: bigint; readonly d: bigint } | undefined {
  if (typeof value === "object") return value;
  if (typeof value === "bigint") return { n: value, d: 1n };
  if (!Number.isFinite(value)) return undefined;
  let [numerator, d] = [value, 1n];
  while (!Number.isInteger(numerator)) {
    numerator *= 2;
    d *= 2n;
  }
  return { n: BigInt(numerator), d };
}

const near = (value: bigint | number | Ratio): number =>
  typeof value === "object" ? Number(value.n) / Number(value.d) : Number(value);

function kindOf(value: Plain): string {
  return typeof value === "object" && value !== null ? value.kind : "int";
}

type Sequence = Extract<Plain, { readonly items: readonly Plain[] }>;

function isSequence(value: Plain): value is Sequence {
  return typeof value === "object" && value !== null && (value.kind === "list" || value.kind === "tuple");
}

/** Of a number of thousands of digits the first. */
function digitsOf(value: bigint): string {
  const shown = 500;
  const bits = value.toString(16).length * 4;
  if (bits < 4 * shown) return String(value);
  // Decimal digits of a huge number take long: they are made of what is shown alone.
  return `${value < 0n ? "-" : ""}0x${(value < 0n ? -value : value).toString(16).slice(0, shown)}… (${bits} bits)`;
}

const shownDepth = 6;
const shownItems = 50;

/** For a person to read: cut off where it is deep or long. */
export function plainText(value: Plain, depth = 0): string {
  if (value === null) return "None";
  if (typeof value === "string")
    return JSON.stringify(value.length > 500 ? `${value.slice(0, 500)}…` : value);
  if (typeof value === "bigint") return digitsOf(value);
  if (typeof value !== "object") return String(value);
  if (value.kind === "float") return floatText(value.value);
  if (value.kind === "other" || value.kind === "ratio") return value.text;
  if (depth === shownDepth) return "…";
  const show = (item: Plain): string => plainText(item, depth + 1);
  const all = value.kind === "dict" ? value.entries : value.items;
  const parts =
    value.kind === "dict"
      ? value.entries.slice(0, shownItems).map(([key, item]) => `${show(key)}: ${show(item)}`)
      : value.items.slice(0, shownItems).map(show);
  const inner = [...parts, ...(all.length > shownItems ? ["…"] : [])].join(", ");
  return value.kind === "list" ? `[${inner}]` : value.kind === "tuple" ? `(${inner})` : `{${inner}}`;
}
