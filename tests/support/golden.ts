// Reads the reference numbers of tests/fixtures/golden (SOURCE.md there) and measures distances to them.
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { readSafetensorsHeader } from "@posttrain/model";

export function goldenPath(...parts: readonly string[]): string {
  return fileURLToPath(new URL(`../fixtures/golden/${parts.join("/")}`, import.meta.url));
}

// biome-ignore lint/suspicious/noExplicitAny: reference files have many shapes; each test reads the keys it names
export function goldenJson(...parts: readonly string[]): any {
  return JSON.parse(readFileSync(goldenPath(...parts), "utf8"));
}

export interface GoldenTensor {
  readonly shape: readonly number[];
  /** f64 and f32 as they are, integers as numbers. */
  readonly data: Float64Array;
}

export async function goldenTensors(...parts: readonly string[]): Promise<ReadonlyMap<string, GoldenTensor>> {
  const path = goldenPath(...parts);
  const header = await readSafetensorsHeader(path);
  const { buffer, byteOffset } = await readFile(path);
  const tensors = new Map<string, GoldenTensor>();
  for (const [name, { dtype, shape, begin, end }] of header) {
    const bytes = buffer.slice(byteOffset + begin, byteOffset + end);
    const data =
      dtype === "F64"
        ? new Float64Array(bytes)
        : dtype === "F32"
          ? Float64Array.from(new Float32Array(bytes))
          : Float64Array.from(new BigInt64Array(bytes), Number);
    tensors.set(name, { shape, data });
  }
  return tensors;
}

export interface Deviation {
  readonly maxAbs: number;
  /** What 95 in 100 differences do not exceed. */
  readonly most: number;
  /** Norm of the difference over the norm of the reference. */
  readonly rmsRel: number;
}

export function deviation(values: ArrayLike<number>, expected: ArrayLike<number>): Deviation {
  if (values.length !== expected.length) {
    throw new Error(`${values.length} values against ${expected.length} expected ones`);
  }
  const differences = Float64Array.from(expected, (x, i) => {
    const d = Math.abs((values[i] as number) - x);
    return Number.isNaN(d) ? Number.POSITIVE_INFINITY : d;
  }).sort();
  return {
    maxAbs: differences.at(-1) ?? 0,
    most: differences[Math.ceil(0.95 * differences.length) - 1] ?? 0,
    rmsRel: l2(differences) / l2(expected),
  };
}

export function l2(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] as number) ** 2;
  return Math.sqrt(sum);
}
