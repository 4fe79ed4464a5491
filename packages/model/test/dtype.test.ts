// Models in bf16: what the forward pass reads is the rounding of fp32 masters, whatever the file's type; what is saved is what is read.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDevice, type Tensor } from "@posttrain/kernels";
import {
  brokenWeights,
  initialiseModel,
  loadModel,
  type Model,
  openModelFolder,
  parseModelConfig,
  readSafetensorsHeader,
  saveModel,
  writeSafetensors,
} from "@posttrain/model";
import { afterAll, describe, expect, it } from "vitest";
import { bf16Bits, firstDifference, fromBf16 } from "../../../tests/support/bits.js";
import { goldenPath } from "../../../tests/support/golden.js";

const device = openDevice({ threads: 1 });
const folder = mkdtempSync(join(tmpdir(), "posttrain-dtype-"));
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await device.close();
});
const golden = goldenPath("qwen2-tiny-untied");

const values = async (tensor: Tensor | undefined): Promise<number[]> => [...((await tensor?.read()) ?? [])];

function expectSame(found: ArrayLike<number>, expected: ArrayLike<number>, what?: string): void {
  expect(firstDifference(found, expected), what).toBe(-1);
}

/** The golden model with its weights stored as BF16, or as F16 (of values that f16 has). */
async function storedAs(dtype: "BF16" | "F16"): Promise<string> {
  const dir = join(folder, dtype);
  cpSync(golden, dir, { recursive: true });
  const { tensors } = await openModelFolder(golden);
  const bytes = readFileSync(join(golden, "model.safetensors"));
  await writeSafetensors(
    join(dir, "model.safetensors"),
    [...tensors].map(([name, { begin, end, shape }]) => {
      const read = new Float32Array(bytes.buffer.slice(bytes.byteOffset + begin, bytes.byteOffset + end));
      // 0x3801 is 0.5 + 2^-11 in f16, which bf16 has not; its f32 is 0x3f002000.
      const stored = Uint16Array.from(read, (x) => (dtype === "BF16" ? bf16Bits(x) : 0x3801));
      return { name, dtype, shape, bytes: new Uint8Array(stored.buffer) };
    }),
  );
  return dir;
}

describe("a model in bf16", () => {
  it("of an f32 folder rounds every value, and keeps the exact ones where masters are asked for", async () => {
    const exact = await loadModel(device, golden);
    const plain = await loadModel(device, golden, { dtype: "bf16" });
    const trained = await loadModel(device, golden, { dtype: "bf16", masters: true });
    const expected = await values(exact.arena);
    expect(exact.masters).toBe(exact.arena);
    expect(plain.masters).toBeUndefined();
    expect(plain.arena.dtype).toBe("bf16");
    expectSame(await values(plain.arena), expected.map(bf16Bits));
    expectSame(await values(trained.arena), expected.map(bf16Bits));
    expectSame(await values(trained.masters), expected);
    expect(expected.some((x) => fromBf16(bf16Bits(x)) !== x)).toBe(true);
    for (const model of [exact, plain, trained]) model.scope.end();
  });

  it("of a bf16 folder has the file's bits, and masters with the same values", async () => {
    const dir = await storedAs("BF16");
    const bytes = readFileSync(join(dir, "model.safetensors"));
    const { tensors } = await openModelFolder(dir);
    for (const masters of [false, true]) {
      const model = await loadModel(device, dir, { dtype: "bf16", masters });
      for (const [name, { begin, end }] of tensors) {
        const stored = new Uint16Array(bytes.buffer.slice(bytes.byteOffset + begin, bytes.byteOffset + end));
        expectSame(await values(model.parameters.get(name)), stored, name);
      }
      if (masters) expectSame(await values(model.masters), (await values(model.arena)).map(fromBf16));
      model.scope.end();
    }
  });

  it("of an f16 folder is rounded from the f16 values, which the masters have", async () => {
    const dir = await storedAs("F16");
    const without = await loadModel(device, dir, { dtype: "bf16" });
    const model = await loadModel(device, dir, { dtype: "bf16", masters: true });
    const used = (all: readonly number[]): Set<number> => new Set(all.filter((x) => x !== 0));
    expect(used(await values(model.masters))).toEqual(new Set([0.5 + 2 ** -11]));
    expect(used(await values(model.arena))).toEqual(new Set([0x3f00]));
    expectSame(await values(without.arena), await values(model.arena));
    for (const one of [without, model]) one.scope.end();
  });

  it("is saved as BF16 and comes back with the same bits", async () => {
    const model = await loadModel(device, golden, { dtype: "bf16" });
    const dir = join(folder, "saved");
    await saveModel(model, dir);
    const entries = await readSafetensorsHeader(join(dir, "model.safetensors"));
    expect(new Set([...entries.values()].map(({ dtype }) => dtype))).toEqual(new Set(["BF16"]));
    expect(JSON.parse(readFileSync(join(dir, "config.json"), "utf8"))["torch_dtype"]).toBe("bfloat16");
    const again = await loadModel(device, dir, { dtype: "bf16" });
    expectSame(await values(again.arena), await values(model.arena));
    for (const one of [model, again]) one.scope.end();
  });

  it("made anew is the rounding of the same model in f32", async () => {
    const config = parseModelConfig(
      JSON.parse(readFileSync(join(golden, "config.json"), "utf8")),
      "config.json",
    );
    const exact = initialiseModel(device, config, 7);
    const model = initialiseModel(device, config, 7, { dtype: "bf16", masters: true });
    expectSame(await values(model.masters), await values(exact.arena));
    expectSame(await values(model.arena), (await values(exact.arena)).map(bf16Bits));
    for (const one of [exact, model]) one.scope.end();
  });

  it("names weights that are not finite, also those that only their rounding makes infinite", async () => {
    const model = await loadModel(device, golden, { dtype: "bf16", masters: true });
    expect(await brokenWeights(model)).toEqual([]);
    const name = "model.norm.weight";
    await breakWeight(model, name);
    expect(await brokenWeights(model)).toEqual([name]);
    model.scope.end();
    // The largest f32: finite there, beyond bf16.
    const dir = join(folder, "large");
    cpSync(golden, dir, { recursive: true });
    const path = join(dir, "model.safetensors");
    const { begin } = (await readSafetensorsHeader(path)).get(name) as { begin: number };
    const bytes = readFileSync(path);
    bytes.writeFloatLE(3.4028234e38, begin);
    writeFileSync(path, bytes);
    (await loadModel(device, dir)).scope.end();
    await expect(loadModel(device, dir, { dtype: "bf16" })).rejects.toThrow(
      /1 of \d+ weight tensors hold NaN or infinite values \(model\.norm\.weight\)/,
    );
  });
});

async function breakWeight(model: Model, name: string): Promise<void> {
  const tensor = model.parameters.get(name) as Tensor;
  const bits = (await tensor.read()) as Uint16Array;
  bits[3] = 0x7fc0;
  tensor.write(bits);
}
