// Where the weights of two model folders differ: read piece by piece, as numbers, so that a copy in another type can be compared too.
import { type FileHandle, open } from "node:fs/promises";
import type { openModelFolder } from "@posttrain/model";

type Tensors = Awaited<ReturnType<typeof openModelFolder>>["tensors"];
type Stored = Tensors extends ReadonlyMap<string, infer T> ? T : never;

export interface TensorDifference {
  readonly name: string;
  /** Values that are not equal, and the largest absolute difference; Infinity where one of two is NaN. */
  readonly values: number;
  readonly largest: number;
}

export interface TensorComparison {
  readonly same: number;
  /** By name. */
  readonly different: readonly TensorDifference[];
  readonly otherShape: readonly string[];
  readonly onlyHere: readonly string[];
  readonly onlyThere: readonly string[];
  /** Tensors stored in another type, whether their values differ or not. */
  readonly otherType: number;
}

export async function compareTensors(
  here: Tensors,
  there: Tensors,
  onProgress: (done: number, total: number) => void,
): Promise<TensorComparison> {
  const shared = [...here.keys()].filter((name) => there.has(name)).sort();
  const shape = (tensors: Tensors, name: string): string => tensors.get(name)!.shape.join();
  const comparable = shared.filter((name) => shape(here, name) === shape(there, name));
  const different: TensorDifference[] = [];
  const files = new Map<string, FileHandle>();
  try {
    for (const [i, name] of comparable.entries()) {
      const difference = await compare(name, here.get(name)!, there.get(name)!, files);
      if (difference.values > 0) different.push(difference);
      onProgress(i + 1, comparable.length);
    }
  } finally {
    for (const file of files.values()) await file.close();
  }
  return {
    same: comparable.length - different.length,
    different,
    otherShape: shared.filter((name) => !comparable.includes(name)),
    onlyHere: [...here.keys()].filter((name) => !there.has(name)).sort(),
    onlyThere: [...there.keys()].filter((name) => !here.has(name)).sort(),
    otherType: comparable.filter((name) => here.get(name)!.dtype !== there.get(name)!.dtype).length,
  };
}

const valuesAtOnce = 1 << 20;

async function compare(
  name: string,
  here: Stored,
  there: Stored,
  files: Map<string, FileHandle>,
): Promise<TensorDifference> {
  const count = here.shape.reduce((product, n) => product * n, 1);
  let values = 0;
  let largest = 0;
  for (let start = 0; start < count; start += valuesAtOnce) {
    const length = Math.min(valuesAtOnce, count - start);
    const [a, b] = [await bytesOf(here, start, length, files), await bytesOf(there, start, length, files)];
    if (here.dtype === there.dtype && a.equals(b)) continue;
    const [x, y] = [numbers(a, here.dtype), numbers(b, there.dtype)];
    for (let i = 0; i < length; i++) {
      const [u, v] = [x[i]!, y[i]!];
      if (u === v || (Number.isNaN(u) && Number.isNaN(v))) continue;
      values++;
      const difference = Math.abs(u - v);
      largest = Math.max(largest, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
    }
  }
  return { name, values, largest };
}

async function bytesOf(
  { file, dtype, begin }: Stored,
  start: number,
  length: number,
  files: Map<string, FileHandle>,
): Promise<Buffer> {
  let handle = files.get(file);
  if (handle === undefined) {
    handle = await open(file, "r");
    files.set(file, handle);
  }
  const size = dtype === "F32" ? 4 : 2;
  const bytes = Buffer.alloc(length * size);
  let read = 0;
  while (read < bytes.length) {
    const { bytesRead } = await handle.read(bytes, read, bytes.length - read, begin + start * size + read);
    if (bytesRead === 0) throw new Error(`${file} has become shorter while it was read`);
    read += bytesRead;
  }
  return bytes;
}

function numbers(bytes: Buffer, dtype: Stored["dtype"]): Float32Array {
  if (dtype === "F32") return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  const values = new Float32Array(halves.length);
  if (dtype === "BF16") {
    const bits = new Uint32Array(values.buffer);
    for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16;
    return values;
  }
  for (let i = 0; i < halves.length; i++) values[i] = fromFloat16(halves[i]!);
  return values;
}

/** IEEE 754 binary16. */
export function fromFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}
