// What the tests of whole models run over: both dtypes, each on every cpu path.
import { cpuPaths } from "@posttrain/kernels";
import type { ComputeDtype } from "@posttrain/model";

export const dtypes: readonly ComputeDtype[] = ["f32", "bf16"];

/** The paths of this machine, or one where POSTTRAIN_DEVICE names another device, which has none; for bf16 also AMX's code on tiles in software, which has the rest of its code and its order of sums. */
export function pathsFor(dtype: ComputeDtype): readonly string[] {
  const paths = cpuPaths();
  if (process.env["POSTTRAIN_DEVICE"]) return paths.slice(0, 1);
  return dtype === "bf16" && paths.includes("avx512") ? [...paths, "amx_emulated"] : paths;
}
