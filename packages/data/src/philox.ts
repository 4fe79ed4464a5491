// Philox4x32-10: random numbers as a function of a key and a counter, so that no number depends on what was drawn before it.
// Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

/** What a stream of random numbers is for; two purposes never share numbers. */
export const randomStreams = {
  initialisation: 1,
  shuffling: 2,
  prepass: 3,
  training: 4,
  evaluation: 5,
  pairs: 6,
  optimizerMasks: 7,
  dataBuilding: 8,
} as const;
export type RandomStream = keyof typeof randomStreams;

/** One block of four 32-bit numbers for a key of two and a counter of four 32-bit words. */
export function philox4x32(
  key: readonly [number, number],
  counter: readonly [number, number, number, number],
): [number, number, number, number] {
  let [k0, k1] = key;
  let [c0, c1, c2, c3] = counter;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0);
    const low0 = Math.imul(0xd2511f53, c0) >>> 0;
    const high1 = multiplyHigh(0xcd9e8d57, c2);
    const low1 = Math.imul(0xcd9e8d57, c2) >>> 0;
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** High 32 bits of the product of two unsigned 32-bit numbers, exact in doubles by halves of 16 bits. */
function multiplyHigh(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = (b >>> 0) >>> 16;
  const bLow = b & 0xffff;
  const lower = aHigh * bLow + ((aLow * bLow) >>> 16);
  const upper = aLow * bHigh + (lower % 0x10000);
  return (aHigh * bHigh + Math.floor(lower / 0x10000) + Math.floor(upper / 0x10000)) >>> 0;
}

/** A number in [0, 1) with 53 random bits, for (seed, stream) and a counter of four 32-bit words. */
export function uniform(
  seed: number,
  stream: RandomStream,
  counter: readonly [number, number, number, number],
): number {
  const [a, b] = philox4x32([seed >>> 0, randomStreams[stream]], counter);
  return (a * 2 ** 21 + (b >>> 11)) * 2 ** -53;
}

/** Four numbers in [0, 1) with 32 random bits each. */
export function uniform4(
  seed: number,
  stream: RandomStream,
  counter: readonly [number, number, number, number],
): [number, number, number, number] {
  const [a, b, c, d] = philox4x32([seed >>> 0, randomStreams[stream]], counter);
  return [a * 2 ** -32, b * 2 ** -32, c * 2 ** -32, d * 2 ** -32];
}

/** A permutation of 0..count-1 (Fisher-Yates), for (seed, stream) and the number of the visit (epoch). */
export function permutation(seed: number, stream: RandomStream, visit: number, count: number): Int32Array {
  const order = Int32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(uniform(seed, stream, [i, visit, 0, 0]) * (i + 1));
    const swapped = order[i] as number;
    order[i] = order[j] as number;
    order[j] = swapped;
  }
  return order;
}
