// posttrain export as a shell runs it: what is written is the model, with its tokenizer, and nothing is overwritten.
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { openOnnxModel } from "@posttrain/model";
import { afterAll, beforeAll, expect, it } from "vitest";
import { goldenPath } from "../../../tests/support/golden.js";
import { makeModel, posttrain, temporaryFolder, writeRows } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

const folder = temporaryFolder();
let model: string;
beforeAll(async () => {
  model = await makeModel(folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

it("writes log-probabilities that score has, beside config and tokenizer", async () => {
  const dir = join(folder, "log-probs");
  const args = ["--model_name_or_path", model, "--output_dir", dir, "--onnx_output", "log_probs", "--json"];
  const { code, out, err } = await posttrain(["export", "--format", "onnx", ...args]);
  expect(err).not.toMatch(/error/i);
  expect(code).toBe(0);
  const result = JSON.parse(out);
  expect(result.files).toEqual(readdirSync(dir).sort());
  expect(result.files).toEqual(expect.arrayContaining(["config.json", "model.onnx", "tokenizer.json"]));
  expect(result.largest_difference).toBeLessThan(1e-4);
  expect(readFileSync(join(dir, "tokenizer.json"))).toEqual(readFileSync(join(model, "tokenizer.json")));

  const ids = [72, 101, 108, 108, 111];
  const data = writeRows(folder, "ids.jsonl", [{ input_ids: ids }]);
  const scored = await posttrainHere(["score", "--model_name_or_path", model, "--data", data]);
  const [, ...expected] = JSON.parse(scored.out).logprobs as number[];
  const onnx = await openOnnxModel(join(dir, "model.onnx"), 1);
  const { data: logProbs } = await onnx.run([Int32Array.from(ids)]);
  await onnx.close();
  for (const [i, value] of expected.entries()) expect(Math.abs(value - logProbs[i]!)).toBeLessThan(1e-4);
});

it("puts weights beside the file on request, and overwrites nothing", async () => {
  const dir = join(folder, "beside");
  const args = ["export", "--model_name_or_path", model, "--output_dir", dir, "--external_data"];
  const first = await posttrainHere(args);
  expect(first.code).toBe(0);
  expect(first.out).toContain("model.onnx_data");
  expect(first.out).toContain("onnxruntime gives the same logits as our kernels");
  const again = await posttrainHere(args);
  expect(again.code).toBe(1);
  expect(again.err).toContain("already exists and is not an empty folder");
});

it("writes the scores of a reward model, which has no words to give log-probabilities of", async () => {
  const args = [
    "export",
    "--model_name_or_path",
    goldenPath("reward-tiny"),
    "--output_dir",
    join(folder, "reward"),
  ];
  const refused = await posttrainHere([...args, "--onnx_output", "log_probs"]);
  expect(refused.code).toBe(1);
  expect(refused.err).toContain("is a reward model: it gives scores, not words");
  const { code, out } = await posttrainHere(args);
  expect(code).toBe(0);
  expect(out).toContain("onnxruntime gives the same scores as our kernels");
});
