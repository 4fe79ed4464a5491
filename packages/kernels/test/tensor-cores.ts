// The arithmetic of tensor cores, written down a second time (native/cuda/emulated/mma.cpp has the sources) in float64, in which all of it is exact:
// sums of products in steps of 16 from zero, on sm_80 to sm_89 two halves of 8, block sums of 256 added in fp32.
import { add } from "./float32.js";

export type Capability = 80 | 90;

const words = new DataView(new ArrayBuffer(4));
/** The exponent of an fp32 number; that of zero and of subnormal numbers counts as -126. */
function exponentOf(x: number): number {
  words.setFloat32(0, x);
  return Math.max(1, (words.getUint32(0) >>> 23) & 0xff) - 127;
}

/** An exact sum to fp32, toward zero. */
function cut(x: number): number {
  const near = Math.fround(x);
  if (Math.abs(near) <= Math.abs(x)) return near;
  words.setFloat32(0, near);
  words.setUint32(0, words.getUint32(0) - 1);
  return words.getFloat32(0);
}

function addProducts(c: number, a: readonly number[], b: readonly number[], places: number): number {
  const exponents = a.map((x, i) => exponentOf(x) + exponentOf(b[i] as number));
  const unit = 2 ** (Math.max(exponentOf(c), ...exponents) - places);
  const sum = a.reduce(
    (total, x, i) => total + Math.trunc((x * (b[i] as number)) / unit),
    Math.trunc(c / unit),
  );
  return sum === 0 ? 0 : cut(sum * unit);
}

/** The sum of a(k) b(k), finite bf16 numbers, along `depth`; from `stored`, or from its first block. */
export function tensorCoreDot(
  capability: Capability,
  depth: number,
  a: (k: number) => number,
  b: (k: number) => number,
  stored?: number,
): number {
  let total = stored;
  for (let block = 0; block < depth; block += 256) {
    let sum = 0;
    const end = Math.min(depth, block + 256);
    const step = capability < 90 ? 8 : 16;
    for (let k = block; k < end; k += step) {
      const there = Array.from({ length: step }, (_, i) => k + i < end);
      const left = there.map((is, i) => (is ? a(k + i) : 0));
      const right = there.map((is, i) => (is ? b(k + i) : 0));
      sum = addProducts(sum, left, right, capability < 90 ? 24 : 25);
    }
    total = total === undefined ? sum : add(total, sum);
  }
  return total ?? 0;
}
