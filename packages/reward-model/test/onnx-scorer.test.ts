// ONNX files as scorers: our own exports agree with our kernels, each sequence as alone; files of other models are refused with what they are.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDevice } from "@posttrain/kernels";
import { exportOnnx, loadModel, onnxFileAt, openOnnxModel } from "@posttrain/model";
import { afterAll, beforeAll, expect, it } from "vitest";
import { goldenPath } from "../../../tests/support/golden.js";
import { modelScorer, openOnnxScorer } from "../src/index.js";

const device = openDevice();
const folder = mkdtempSync(join(tmpdir(), "posttrain-onnx-scorer-"));
const file = (name: string): string => join(folder, name, "model.onnx");
beforeAll(async () => {
  for (const name of ["reward-tiny", "qwen2-tiny-tied"]) {
    const model = await loadModel(device, goldenPath(name), { kind: "either" });
    await exportOnnx(model, join(folder, name));
    model.scope.end();
  }
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await device.close();
});

const ids = (length: number, from: number): Int32Array =>
  Int32Array.from({ length }, (_, i) => (from + 7 * i) % 320);

it("scores as our kernels do, the same bits alone and among others, null where there is no score", async () => {
  const model = await loadModel(device, goldenPath("reward-tiny"), { kind: "reward" });
  const sequences = [ids(90, 1), ids(0, 0), ids(257, 3), ids(1, 5), ids(31, 8)];
  const expected = await modelScorer(model)(sequences);
  model.scope.end();
  const { scorer, close } = await openOnnxScorer(file("reward-tiny"), { vocabSize: 320, context: 256 });
  const scores = await scorer(sequences);
  expect(scores.map((score) => score === null)).toEqual(expected.map((score) => score === null));
  for (const [i, score] of scores.entries()) {
    if (score !== null) expect(Math.abs(score - expected[i]!)).toBeLessThan(1e-4);
    expect((await scorer([sequences[i]!]))[0]).toBe(score);
  }
  await close();
});

it("a path is a file, or a folder with one", async () => {
  expect(await onnxFileAt(join(folder, "reward-tiny"))).toBe(file("reward-tiny"));
  expect(await onnxFileAt("other.onnx")).toBe("other.onnx");
  expect(await onnxFileAt(goldenPath("reward-tiny"))).toBeUndefined();
});

it("refuses a language model, a smaller vocabulary, and what is no model", async () => {
  const open = (path: string, vocabSize = 320) => openOnnxScorer(path, { vocabSize, context: 256 });
  await expect(open(file("qwen2-tiny-tied"))).rejects.toThrow(
    /has the shape \[any, any, 320\], expected one score a row.*looks like a language model/,
  );
  await expect(open(file("reward-tiny"), 321)).rejects.toThrow(
    /does not take token 320, the last of the tokenizer beside it/,
  );
  const broken = join(folder, "broken.onnx");
  writeFileSync(broken, "not a model");
  await expect(openOnnxModel(broken)).rejects.toThrow(/onnxruntime cannot read it/);
  await expect(openOnnxModel(join(folder, "none.onnx"))).rejects.toThrow(
    /none\.onnx: onnxruntime cannot read it/,
  );
});

it("refuses other inputs, naming them", async () => {
  // The name of an input in the file's bytes, one letter changed wherever it stands.
  const other = join(folder, "other.onnx");
  const bytes = readFileSync(file("reward-tiny"))
    .toString("latin1")
    .replaceAll("attention_mask", "pixel_values_x");
  writeFileSync(other, Buffer.from(bytes, "latin1"));
  await expect(openOnnxModel(other)).rejects.toThrow(
    /takes an input "pixel_values_x", which is none of input_ids, attention_mask/,
  );
});
