/** Exact rationals on BigInt, in lowest terms with a positive denominator. Growth beyond MAX_BITS throws `noValue`. */
import { MAX_BITS, noValue } from "./limits.js";

export interface Rational {
  readonly n: bigint;
  readonly d: bigint;
}

export const ZERO: Rational = { n: 0n, d: 1n };
export const ONE: Rational = { n: 1n, d: 1n };

function gcd(a: bigint, b: bigint): bigint {
  let x = a < 0n ? -a : a;
  let y = b < 0n ? -b : b;
  while (y !== 0n) [x, y] = [y, x % y];
  return x;
}

export function bitLength(value: bigint): number {
  const magnitude = value < 0n ? -value : value;
  if (magnitude < 1n << 52n) return magnitude === 0n ? 0 : Math.floor(Math.log2(Number(magnitude))) + 1;
  const hex = magnitude.toString(16);
  return (hex.length - 1) * 4 + (32 - Math.clz32(Number.parseInt(hex[0] ?? "0", 16)));
}

export function rational(n: bigint, d = 1n): Rational {
  if (d === 0n) throw noValue;
  if (bitLength(n) > MAX_BITS || bitLength(d) > MAX_BITS) throw noValue;
  if (d === 1n) return { n, d };
  const common = gcd(n, d);
  const sign = d < 0n ? -1n : 1n;
  return common === 1n ? { n: n * sign, d: d * sign } : { n: (n / common) * sign, d: (d / common) * sign };
}

export const add = (a: Rational, b: Rational): Rational =>
  a.d === b.d ? rational(a.n + b.n, a.d) : rational(a.n * b.d + b.n * a.d, a.d * b.d);
export const negate = (a: Rational): Rational => ({ n: -a.n, d: a.d });
export const subtract = (a: Rational, b: Rational): Rational => add(a, negate(b));
export const multiply = (a: Rational, b: Rational): Rational => rational(a.n * b.n, a.d * b.d);
export const divide = (a: Rational, b: Rational): Rational => rational(a.n * b.d, a.d * b.n);
export const equal = (a: Rational, b: Rational): boolean => a.n === b.n && a.d === b.d;

export function compare(a: Rational, b: Rational): number {
  const left = a.n * b.d;
  const right = b.n * a.d;
  return left < right ? -1 : left > right ? 1 : 0;
}

/** `a` to an integer power; 0 to a negative power has no value, and neither has 0 to 0. */
export function power(a: Rational, exponent: bigint): Rational {
  if (exponent === 0n) {
    if (a.n === 0n) throw noValue;
    return ONE;
  }
  if (exponent < 0n) return power(divide(ONE, a), -exponent);
  if (a.d === 1n && (a.n === 0n || a.n === 1n)) return a;
  if (a.d === 1n && a.n === -1n) return exponent % 2n === 0n ? ONE : a;
  const size = Math.max(bitLength(a.n), bitLength(a.d));
  if (exponent > BigInt(MAX_BITS) || size * Number(exponent) > MAX_BITS) throw noValue;
  return { n: a.n ** exponent, d: a.d ** exponent };
}

/** The largest integer whose `degree`-th power is at most `value` (`value` >= 0). */
export function integerRoot(value: bigint, degree: number): bigint {
  if (value < 2n) return value;
  const k = BigInt(degree);
  let x = 1n << BigInt(Math.ceil(bitLength(value) / degree) + 1);
  for (;;) {
    const next = ((k - 1n) * x + value / x ** (k - 1n)) / k;
    if (next >= x) return x;
    x = next;
  }
}

/** The exact real root, or undefined where it is irrational or not real. */
export function exactRoot(a: Rational, degree: number): Rational | undefined {
  if (a.n < 0n) {
    if (degree % 2 === 0) return undefined;
    const positive = exactRoot(negate(a), degree);
    return positive === undefined ? undefined : negate(positive);
  }
  const n = integerRoot(a.n, degree);
  if (n ** BigInt(degree) !== a.n) return undefined;
  const d = integerRoot(a.d, degree);
  return d ** BigInt(degree) === a.d ? { n, d } : undefined;
}

export const floor = (a: Rational): bigint => (a.n >= 0n || a.n % a.d === 0n ? a.n / a.d : a.n / a.d - 1n);

/** Rounds half away from zero to `places` decimals: the integer of units of 10^-places. */
export function roundToPlaces(a: Rational, places: number): bigint {
  const scaled = rational(a.n * 10n ** BigInt(places), a.d);
  const doubled = scaled.n < 0n ? -scaled.n : scaled.n;
  const rounded = (2n * doubled + scaled.d) / (2n * scaled.d);
  return scaled.n < 0n ? -rounded : rounded;
}

/** Reads `12`, `-3.50`, `.5`: digits with at most one point. */
export function parseDecimal(text: string): Rational {
  const negative = text.startsWith("-");
  const [whole = "", fraction = ""] = text.replace(/^[-+]/, "").split(".");
  const n = BigInt(`${whole}${fraction}` || "0");
  return rational(negative ? -n : n, 10n ** BigInt(fraction.length));
}

export function toNumber(a: Rational): number {
  const shift = Math.max(bitLength(a.n), bitLength(a.d)) - 1000;
  if (shift <= 0) return Number(a.n) / Number(a.d);
  return Number(a.n >> BigInt(shift)) / Number(a.d >> BigInt(shift));
}
