// The arithmetic of simd.h in TypeScript, number by number: what a lane computes, with nothing of the native code.
const bits = new Float64Array(1);
const words = new Uint32Array(bits.buffer); // little-endian, as every machine that this library runs on
const round = Math.fround;

/** a * b + c in double, the sum rounded to odd (Boldo & Melquiond 2008): rounding it to float is the only rounding that counts. */
function sumToOdd(a: number, b: number, c: number): number {
  const product = a * b;
  const sum = product + c;
  const back = sum - product;
  const error = product - (sum - back) + (c - back);
  if (error === 0 || Number.isNaN(error)) return sum;
  bits[0] = sum;
  const low = words[0] as number;
  if ((low & 1) === 1) return sum;
  if (error > 0 === sum > 0) words[0] = low + 1;
  else {
    words[0] = low - 1;
    if (low === 0) words[1] = (words[1] as number) - 1;
  }
  return bits[0] as number;
}

/** a * b + c rounded once. */
export const fma = (a: number, b: number, c: number): number => round(sumToOdd(a, b, c));

export const add = (a: number, b: number): number => round(a + b);
export const sub = (a: number, b: number): number => round(a - b);
export const mul = (a: number, b: number): number => round(a * b);
export const div = (a: number, b: number): number => round(a / b);
export const sqrt = (a: number): number => round(Math.sqrt(a));

const magic = 12582912;
const polynomial = [0.00138145986, 0.00836871689, 0.041668388, 0.166665205, 0.499999934].map(round);
const log2e = round(Math.LOG2E);
const ln2High = round(0.693145752);
const ln2Low = round(1.42860677e-6);
export function exp(value: number): number {
  const x = Math.max(-105, Math.min(90, value));
  const n = sub(fma(x, log2e, magic), magic);
  const r = fma(n, -ln2Low, fma(n, -ln2High, x));
  const q = polynomial.reduce((sum, coefficient) => fma(sum, r, coefficient));
  const e = add(fma(mul(r, r), q, r), 1);
  const half = sub(add(mul(n, 0.5), magic), magic);
  return mul(mul(e, 2 ** half), 2 ** sub(n, half));
}

/** Lanes 0..15: i with i+8, then i+4, i+2, i+1. */
function tree(lanes: readonly number[], combine: (a: number, b: number) => number = add): number {
  let row = lanes;
  for (let width = 8; width >= 1; width /= 2)
    row = Array.from({ length: width }, (_, i) => combine(row[i] as number, row[i + width] as number));
  return row[0] as number;
}

/** Sum over i of term(i, what its lane has), lane i mod 16, from `start`, then the tree. */
export function byLanes(
  count: number,
  start: number,
  term: (i: number, sum: number) => number,
  combine = add,
): number {
  const lanes = new Array<number>(16).fill(start);
  for (let i = 0; i < count; i++) lanes[i % 16] = term(i, lanes[i % 16] as number);
  return tree(lanes, combine);
}

/** sum of a(i) * b(i) for i in [from, to): one chain of fused multiply-adds, from `start`. */
export function chain(
  from: number,
  to: number,
  a: (i: number) => number,
  b: (i: number) => number,
  start = 0,
): number {
  let sum = start;
  for (let i = from; i < to; i++) sum = fma(a(i), b(i), sum);
  return sum;
}

/** The same by blocks from multiples of `size` on, each a chain from 0, added in order. */
export function blocks(
  count: number,
  size: number,
  a: (i: number) => number,
  b: (i: number) => number,
): number {
  let sum = chain(0, Math.min(size, count), a, b);
  for (let at = size; at < count; at += size) sum = add(sum, chain(at, Math.min(at + size, count), a, b));
  return sum;
}

/** An f32 rounded to bf16: its upper half, to nearest, ties to even. */
export function toBf16(x: number): number {
  floats[0] = x;
  const u = floatBits[0] as number;
  if (Number.isNaN(x)) return x;
  floatBits[0] = (u + 0x7fff + ((u >>> 16) & 1)) & 0xffff0000;
  return floats[0] as number;
}
/** The 16 bits of a number that is a bf16. */
export function bf16Bits(x: number): number {
  floats[0] = x;
  return (floatBits[0] as number) >>> 16;
}
const floats = new Float32Array(1);
const floatBits = new Uint32Array(floats.buffer);

const smallest = 2 ** -126;
const zeroOfSign = (x: number): number => (x < 0 || Object.is(x, -0) ? -0 : 0);
/** Subnormal numbers are zero, as in bf16 products. */
const flush = (x: number): number => (Math.abs(x) < smallest ? zeroOfSign(x) : x);
/** fma with subnormals flushed: what it reads, and what it gives when the result, rounded as if exponents had no end, is too small. */
export function flushedFma(a: number, b: number, c: number): number {
  const sum = sumToOdd(flush(a), flush(b), flush(c));
  return Math.abs(round(sum * 2 ** 100)) < 2 ** -26 ? zeroOfSign(sum) : round(sum);
}

/**
 * sum of a(i) * b(i) in the order of bf16 products: blocks of 32, padded with 0 * 0; of each a chain over its even and one over its odd
 * terms from +0; their sum is added to the total, which begins at `start`.
 */
export function blocksOf32(
  count: number,
  a: (i: number) => number,
  b: (i: number) => number,
  start = 0,
): number {
  let total = start;
  for (let block = 0; block < count; block += 32) {
    const halves = [0, 0];
    for (let i = 0; i < 32; i++) {
      const k = block + i;
      const there = k < count;
      halves[i % 2] = flushedFma(there ? a(k) : 0, there ? b(k) : 0, halves[i % 2] as number);
    }
    total = flushedFma(1, flushedFma(1, halves[0] as number, halves[1] as number), total);
  }
  return total;
}
