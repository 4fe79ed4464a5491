// Half precisions bit by bit: every bf16 and f16 pattern to f32, and back; rounding to nearest, ties to even, of numbers between.
import { convert, cpuPaths, type Dtype, openDevice, type TensorData } from "@posttrain/kernels";
import { describe, expect, it } from "vitest";
import { Random } from "./cases/case.js";

const patterns = Uint16Array.from({ length: 65_536 }, (_, i) => i);

function decode(dtype: "bf16" | "f16", bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const [exponentBits, fractionBits] = dtype === "bf16" ? [8, 7] : [5, 10];
  const exponent = (bits & 0x7fff) >> fractionBits;
  const fraction = (bits & ((1 << fractionBits) - 1)) / 2 ** fractionBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1)
    return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** (1 - bias) : sign * (1 + fraction) * 2 ** (exponent - bias);
}

/** The two nearest patterns below and above a positive finite number decide where it must go. */
function encodePositive(dtype: "bf16" | "f16", x: number): number {
  const infinity = dtype === "bf16" ? 0x7f80 : 0x7c00;
  let below = 0;
  let above = infinity;
  while (above - below > 1) {
    const middle = (below + above) >> 1;
    if (decode(dtype, middle) <= x) below = middle;
    else above = middle;
  }
  const largest = decode(dtype, infinity - 1);
  const next = above === infinity ? largest + (largest - decode(dtype, infinity - 2)) : decode(dtype, above);
  const down = x - decode(dtype, below);
  const up = next - x;
  if (down !== up) return down < up ? below : above;
  return below % 2 === 0 ? below : above;
}

async function converted(path: string, data: TensorData, from: Dtype, to: Dtype): Promise<TensorData> {
  const device = openDevice({ path, threads: 2 });
  const result = await device.run(async (scope) => {
    const y = scope.empty([data.length], to);
    convert(y, scope.from(data, [data.length], from));
    return y.read();
  });
  await device.close();
  return result;
}

describe.each(["bf16", "f16"] as const)("%s", (dtype) => {
  it.each(cpuPaths())("becomes f32 exactly and comes back, on %s", async (path) => {
    const values = await converted(path, patterns, dtype, "f32");
    expect(values).toEqual(Float32Array.from(patterns, (bits) => decode(dtype, bits)));
    const back = await converted(path, values, "f32", dtype);
    const numbers = patterns.filter((bits) => !Number.isNaN(decode(dtype, bits)));
    expect(numbers.map((bits) => back[bits] as number)).toEqual(numbers);
    for (const bits of patterns) {
      if (Number.isNaN(decode(dtype, bits))) expect(decode(dtype, back[bits] as number)).toBeNaN();
    }
  });

  it.each(cpuPaths())("keeps a NaN whose fraction would round away, on %s", async (path) => {
    // As numbers these would round to infinity, or over it to zero.
    const bits = [0x7f800001, 0x7f807fff, 0x7fffffff, 0xff800001, 0xffffffff];
    const values = new Float32Array(Uint32Array.from({ length: 37 }, (_, i) => bits[i % 5] as number).buffer);
    const result = await converted(path, values, "f32", dtype);
    for (const half of result) expect(decode(dtype, half)).toBeNaN();
  });

  it.each(cpuPaths())("takes the nearest, ties to even, on %s", async (path) => {
    const random = new Random(3);
    const bits = Uint32Array.from({ length: 20_000 }, () => random.integer(0x7f800000));
    const values = new Float32Array(bits.buffer.slice(0));
    for (let i = 0; i < 20_000; i += 4) {
      // Halfway between two neighbours, and in the f16 range.
      const at = random.integer(dtype === "bf16" ? 0x7f00 : 0x7b00);
      values[i] = (decode(dtype, at) + decode(dtype, at + 1)) / 2;
      values[i + 1] = 70_000 * random.uniform();
      values[i + 2] = 1e-4 * random.uniform();
    }
    const result = await converted(path, values, "f32", dtype);
    expect(result).toEqual(Uint16Array.from(values, (value) => encodePositive(dtype, value)));
  });
});
