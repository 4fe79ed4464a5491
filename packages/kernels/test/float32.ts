// The arithmetic of simd.h in TypeScript, number by number: what a lane computes, with nothing of the native code.
const bits = new Float64Array(1);
const words = new Uint32Array(bits.buffer); // little-endian, as every machine that this library runs on
const round = Math.fround;

/** a * b + c rounded once: exact product, sum rounded to odd in double (Boldo & Melquiond 2008), then to float. */
export function fma(a: number, b: number, c: number): number {
  const product = a * b;
  const sum = product + c;
  const back = sum - product;
  const error = product - (sum - back) + (c - back);
  if (error === 0 || Number.isNaN(error)) return round(sum);
  bits[0] = sum;
  const low = words[0] as number;
  if ((low & 1) === 1) return round(sum);
  if (error > 0 === sum > 0) words[0] = low + 1;
  else {
    words[0] = low - 1;
    if (low === 0) words[1] = (words[1] as number) - 1;
  }
  return round(bits[0] as number);
}

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
