/**
 * Binary floating point of 320 bits on BigInt, and complex numbers of it: enough that x^100 and x^100 + 10^-12 are seen
 * to differ. Sums whose terms cancel to less than rounding noise are exact zeros, so that 1/(sin^2 + cos^2 - 1) has no
 * value instead of a random one. Formulas: argument reduction and Taylor series; ln by Halley's step on exp; atan by
 * halving (x / (1 + sqrt(1 + x^2))); pi by Machin.
 */
import { NoValue, noValue } from "./limits.js";
import { bitLength, integerRoot, type Rational } from "./rational.js";

const PRECISION = 320;
/** Fixed point of the series: guard bits beyond PRECISION. */
const FIXED = 400;
const FIXED_BITS = BigInt(FIXED);
const FIXED_ONE = 1n << FIXED_BITS;
/** Relative distance below which two values are one: 2^-200, about 6e-61. */
const AGREE_BITS = 200;
const CANCEL_BITS = 250;
const MAX_EXPONENT = 1_000_000;

/** m * 2^e; m has at most PRECISION bits; zero has m = 0. */
export interface Real {
  readonly m: bigint;
  readonly e: number;
}

export interface Complex {
  readonly re: Real;
  readonly im: Real;
}

const REAL_ZERO: Real = { m: 0n, e: 0 };
const REAL_ONE: Real = { m: 1n, e: 0 };

function normalise(m: bigint, e: number): Real {
  if (m === 0n) return REAL_ZERO;
  const excess = bitLength(m) - PRECISION;
  const top = e + excess + PRECISION;
  if (top > MAX_EXPONENT || top < -MAX_EXPONENT) throw noValue;
  if (excess <= 0) return { m, e };
  const shift = BigInt(excess);
  return { m: (m + (1n << (shift - 1n))) >> shift, e: e + excess };
}

/** Exponent of the leading bit. */
const magnitude = (a: Real): number => (a.m === 0n ? Number.NEGATIVE_INFINITY : bitLength(a.m) + a.e);

export function realFrom(a: Rational): Real {
  if (a.d === 1n) return normalise(a.n, 0);
  const shift = Math.max(0, PRECISION + 8 + bitLength(a.d) - bitLength(a.n));
  return normalise((a.n << BigInt(shift)) / a.d, -shift);
}

const realNumber = (value: number): Real => {
  if (!Number.isFinite(value)) throw noValue;
  return normalise(BigInt(Math.round(value * 2 ** 40)), -40);
};

function addReal(a: Real, b: Real): Real {
  if (a.m === 0n) return b;
  if (b.m === 0n) return a;
  const high = Math.max(magnitude(a), magnitude(b));
  if (magnitude(a) < high - PRECISION - 2) return b;
  if (magnitude(b) < high - PRECISION - 2) return a;
  const e = Math.min(a.e, b.e);
  const m = (a.m << BigInt(a.e - e)) + (b.m << BigInt(b.e - e));
  const sum = normalise(m, e);
  return magnitude(sum) < high - CANCEL_BITS ? REAL_ZERO : sum;
}

const negateReal = (a: Real): Real => ({ m: -a.m, e: a.e });
const mulReal = (a: Real, b: Real): Real => normalise(a.m * b.m, a.e + b.e);

function divReal(a: Real, b: Real): Real {
  if (b.m === 0n) throw noValue;
  const shift = PRECISION + 8 + Math.max(0, bitLength(b.m) - bitLength(a.m));
  return normalise((a.m << BigInt(shift)) / b.m, a.e - b.e - shift);
}

function sqrtReal(a: Real): Real {
  if (a.m === 0n) return a;
  let shift = 2 * PRECISION - bitLength(a.m) + 16;
  if ((a.e - shift) % 2 !== 0) shift++;
  return normalise(integerRoot(a.m << BigInt(shift), 2), (a.e - shift) / 2);
}

export function signOf(a: Real): number {
  return a.m > 0n ? 1 : a.m < 0n ? -1 : 0;
}

export const compareReal = (a: Real, b: Real): number => signOf(addReal(a, negateReal(b)));

function toFixed(a: Real): bigint {
  const shift = a.e + FIXED;
  if (shift > 4096) throw noValue;
  return shift >= 0 ? a.m << BigInt(shift) : a.m >> BigInt(-shift);
}

const fromFixed = (m: bigint): Real => normalise(m, -FIXED);
const mulFixed = (a: bigint, b: bigint): bigint => (a * b) >> FIXED_BITS;

function atanInverse(q: bigint): bigint {
  let term = FIXED_ONE / q;
  let sum = term;
  for (let k = 3n; term !== 0n; k += 2n) {
    term = -term / (q * q);
    sum += term / k;
  }
  return sum;
}

const PI_FIXED = 4n * (4n * atanInverse(5n) - atanInverse(239n));
export const PI: Real = fromFixed(PI_FIXED);

function expSeries(r: bigint): bigint {
  const halvings = 12n;
  const x = r >> halvings;
  let term = FIXED_ONE;
  let sum = FIXED_ONE;
  for (let k = 1n; term !== 0n && term !== -1n; k++) {
    term = mulFixed(term, x) / k;
    sum += term;
  }
  for (let i = 0n; i < halvings; i++) sum = mulFixed(sum, sum);
  return sum;
}

const LN2_FIXED = (() => {
  // ln 2 = sum over k of 1 / (k 2^k)
  let sum = 0n;
  for (let k = 1n; k <= FIXED_BITS; k++) sum += (FIXED_ONE >> k) / k;
  return sum;
})();

function expReal(a: Real): Real {
  if (magnitude(a) > 20) throw noValue;
  const x = toFixed(a);
  const k = x / LN2_FIXED;
  const series = fromFixed(expSeries(x - k * LN2_FIXED));
  return normalise(series.m, series.e + Number(k));
}

function lnReal(a: Real): Real {
  if (a.m <= 0n) throw noValue;
  const top = magnitude(a);
  const y: Real = { m: a.m, e: a.e - top };
  const guess = Math.log(
    Number(y.m >> BigInt(Math.max(0, bitLength(y.m) - 60))) / 2 ** Math.min(60, bitLength(y.m)),
  );
  let l = realNumber(guess);
  for (let i = 0; i < 3; i++) {
    const exponential = expReal(l);
    const step = divReal(addReal(y, negateReal(exponential)), addReal(y, exponential));
    l = addReal(l, mulReal({ m: 2n, e: 0 }, step));
  }
  return addReal(l, fromFixed(BigInt(top) * LN2_FIXED));
}

function sinCos(a: Real): { sin: Real; cos: Real } {
  if (magnitude(a) > 64) throw noValue;
  const x = toFixed(a);
  const quarter = PI_FIXED / 2n;
  let k = x / quarter;
  let r = x - k * quarter;
  if (2n * r > quarter) {
    r -= quarter;
    k += 1n;
  } else if (2n * r < -quarter) {
    r += quarter;
    k -= 1n;
  }
  const square = mulFixed(r, r);
  const series = (first: bigint, start: bigint): bigint => {
    let term = first;
    let sum = first;
    for (let n = start; term !== 0n && term !== -1n; n += 2n) {
      term = -mulFixed(term, square) / (n * (n + 1n));
      sum += term;
    }
    return sum;
  };
  const clean = (value: bigint): Real => {
    const real = fromFixed(value);
    return magnitude(real) < -CANCEL_BITS ? REAL_ZERO : real;
  };
  const s = clean(series(r, 2n));
  const c = clean(series(FIXED_ONE, 1n));
  const turn = Number(((k % 4n) + 4n) % 4n);
  if (turn === 0) return { sin: s, cos: c };
  if (turn === 1) return { sin: c, cos: negateReal(s) };
  if (turn === 2) return { sin: negateReal(s), cos: negateReal(c) };
  return { sin: negateReal(c), cos: s };
}

function atanReal(a: Real): Real {
  if (a.m < 0n) return negateReal(atanReal(negateReal(a)));
  if (magnitude(a) > 1) return addReal({ m: PI.m, e: PI.e - 1 }, negateReal(atanReal(divReal(REAL_ONE, a))));
  let x = a;
  const halvings = 8;
  for (let i = 0; i < halvings; i++) {
    x = divReal(x, addReal(REAL_ONE, sqrtReal(addReal(REAL_ONE, mulReal(x, x)))));
  }
  const fixed = toFixed(x);
  const square = mulFixed(fixed, fixed);
  let term = fixed;
  let sum = fixed;
  for (let k = 3n; term !== 0n && term !== -1n; k += 2n) {
    term = -mulFixed(term, square);
    sum += term / k;
  }
  return normalise(sum << BigInt(halvings), -FIXED);
}

const complex = (re: Real, im: Real = REAL_ZERO): Complex => ({ re, im });
export const complexFrom = (a: Rational): Complex => complex(realFrom(a));
export const fromReal = complex;
export const IMAGINARY: Complex = complex(REAL_ZERO, REAL_ONE);
export const COMPLEX_ONE: Complex = complex(REAL_ONE);

export const isReal = (a: Complex): boolean => a.im.m === 0n;
export const isZero = (a: Complex): boolean => a.re.m === 0n && a.im.m === 0n;

export const addComplex = (a: Complex, b: Complex): Complex =>
  complex(addReal(a.re, b.re), addReal(a.im, b.im));
export const negateComplex = (a: Complex): Complex => complex(negateReal(a.re), negateReal(a.im));

export function mulComplex(a: Complex, b: Complex): Complex {
  if (isReal(a) && isReal(b)) return complex(mulReal(a.re, b.re));
  return complex(
    addReal(mulReal(a.re, b.re), negateReal(mulReal(a.im, b.im))),
    addReal(mulReal(a.re, b.im), mulReal(a.im, b.re)),
  );
}

export function divComplex(a: Complex, b: Complex): Complex {
  if (isReal(b)) return complex(divReal(a.re, b.re), divReal(a.im, b.re));
  const norm = addReal(mulReal(b.re, b.re), mulReal(b.im, b.im));
  const top = mulComplex(a, complex(b.re, negateReal(b.im)));
  return complex(divReal(top.re, norm), divReal(top.im, norm));
}

export const absComplex = (a: Complex): Real =>
  isReal(a)
    ? { m: a.re.m < 0n ? -a.re.m : a.re.m, e: a.re.e }
    : sqrtReal(addReal(mulReal(a.re, a.re), mulReal(a.im, a.im)));

function argument(a: Complex): Real {
  if (isZero(a)) throw noValue;
  if (a.re.m === 0n) return { m: a.im.m > 0n ? PI.m : -PI.m, e: PI.e - 1 };
  const angle = atanReal(divReal(a.im, a.re));
  if (a.re.m > 0n) return angle;
  return addReal(angle, a.im.m < 0n ? negateReal(PI) : PI);
}

export const lnComplex = (a: Complex): Complex =>
  isReal(a) && a.re.m > 0n ? complex(lnReal(a.re)) : complex(lnReal(absComplex(a)), argument(a));

export function expComplex(a: Complex): Complex {
  const size = expReal(a.re);
  if (isReal(a)) return complex(size);
  const { sin, cos } = sinCos(a.im);
  return complex(mulReal(size, cos), mulReal(size, sin));
}

export function sqrtComplex(a: Complex): Complex {
  if (isReal(a)) {
    return a.re.m >= 0n ? complex(sqrtReal(a.re)) : complex(REAL_ZERO, sqrtReal(negateReal(a.re)));
  }
  return expComplex(mulComplex(complex({ m: 1n, e: -1 }), lnComplex(a)));
}

/** An integer power by squaring, which keeps real what is real. */
export function powerInteger(a: Complex, exponent: bigint): Complex {
  if (exponent < 0n) return divComplex(COMPLEX_ONE, powerInteger(a, -exponent));
  let result = COMPLEX_ONE;
  let base = a;
  for (let n = exponent; n > 0n; n >>= 1n) {
    if ((n & 1n) === 1n) result = mulComplex(result, base);
    if (n > 1n) base = mulComplex(base, base);
  }
  return result;
}

export function sinCosComplex(a: Complex): { sin: Complex; cos: Complex } {
  if (isReal(a)) {
    const { sin, cos } = sinCos(a.re);
    return { sin: complex(sin), cos: complex(cos) };
  }
  const i = mulComplex(a, IMAGINARY);
  const plus = expComplex(i);
  const minus = expComplex(negateComplex(i));
  const half = complex({ m: 1n, e: -1 });
  return {
    sin: mulComplex(mulComplex(half, addComplex(plus, negateComplex(minus))), negateComplex(IMAGINARY)),
    cos: mulComplex(half, addComplex(plus, minus)),
  };
}

/** Of reals only. */
export function atan(a: Complex): Complex {
  if (!isReal(a)) throw noValue;
  return complex(atanReal(a.re));
}

/** Within 2^-200 of the larger, or of `scale` where that is larger still. */
export function agree(a: Complex, b: Complex, bits = AGREE_BITS): boolean {
  try {
    const distance = absComplex(addComplex(a, negateComplex(b)));
    if (distance.m === 0n) return true;
    const size = Math.max(magnitude(absComplex(a)), magnitude(absComplex(b)));
    return magnitude(distance) <= size - bits;
  } catch (error) {
    // Two values at the end of the range whose distance or size is beyond it.
    if (error instanceof NoValue) return false;
    throw error;
  }
}

/** As a double, for tolerances of other graders and for evidence. */
export function toDouble(a: Real): number {
  const excess = Math.max(0, bitLength(a.m) - 64);
  return Number(a.m >> BigInt(excess)) * 2 ** (a.e + excess);
}

/** A value with its rounding noise cut off, as text: the same for values that agree, but for one in 2^40. */
export function fingerprint(a: Complex): string {
  const part = (x: Real): string => {
    const excess = bitLength(x.m) - 240;
    const m = excess > 0 ? (x.m + (1n << BigInt(excess - 1))) >> BigInt(excess) : x.m << BigInt(-excess);
    return x.m === 0n ? "0" : `${m.toString(36)}@${magnitude(x)}`;
  };
  return `${part(a.re)},${part(a.im)}`;
}
