// Numbers bit by bit.
const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/** The bits of the bf16 nearest to a finite number, ties to even. */
export function bf16Bits(x: number): number {
  float[0] = x;
  const bits = word[0] as number;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** The number that bits of bf16 mean. */
export function fromBf16(bits: number): number {
  word[0] = bits << 16;
  return float[0] as number;
}

/** The first place at which two lists differ, -1 where they do not. Large ones compared by toEqual take minutes to say so. */
export function firstDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const length = Math.max(a.length, b.length);
  for (let i = 0; i < length; i++) if (!Object.is(a[i], b[i])) return i;
  return -1;
}
