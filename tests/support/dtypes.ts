// What the tests of whole models run over: both dtypes, each on every cpu path.
import { cpuPaths } from "@posttrain/kernels";
import type { ComputeDtype } from "@posttrain/model";

export const dtypes: readonly ComputeDtype[] = ["f32", "bf16"];

/** The paths of this machine; for bf16 also AMX's code on tiles in software, which has the rest of its code and its order of sums. */
export function pathsFor(dtype: ComputeDtype): readonly string[] {
  const paths = cpuPaths();
  return dtype === "bf16" && paths.includes("avx512") ? [...paths, "amx_emulated"] : paths;
}

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
