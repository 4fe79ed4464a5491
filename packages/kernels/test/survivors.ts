// Which elements survive in online merging, a second time, in TypeScript (native/cpu/survivors.h has the rules).
import { philox4x32 } from "@posttrain/data";

/** What DARE draws for element `place` of the arena: 32 bits. Purpose 0: for the update, 1: for the task vector. */
function drawn(seed: number, place: number, step: number, purpose: 0 | 1): number {
  const number = Math.floor(place / 64) * 16 + (place % 16);
  const counter = [number % 2 ** 32, Math.floor(number / 2 ** 32), step, purpose] as const;
  return philox4x32([seed, 7], counter)[Math.floor(place / 16) % 4] as number;
}

export function drawnMask(
  size: number,
  reserve: number,
  ...[seed, first, step, purpose]: [number, number, number, 0 | 1]
): Float32Array {
  const keep = Math.round(reserve * 2 ** 32);
  return Float32Array.from({ length: size }, (_, i) =>
    drawn(seed, first + i, step, purpose) < keep ? 1 : 0,
  );
}

/** The largest by magnitude, as many as the share makes whole; of equals the first ones. */
export function largest(x: Float64Array, reserve: number): Float64Array {
  const keep = Math.trunc(reserve * x.length);
  if (keep === 0) return x;
  const order = [...x.keys()].sort((i, j) => Math.abs(x[j] as number) - Math.abs(x[i] as number) || i - j);
  const kept = new Float64Array(x.length);
  for (const i of order.slice(0, keep)) kept[i] = x[i] as number;
  return kept;
}
