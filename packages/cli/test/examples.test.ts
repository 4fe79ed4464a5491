// Every file in examples/ is accepted by its command and runs: a few steps on a tiny model.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sftConfig } from "@posttrain/sft";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parse } from "yaml";
import { trainingConfig } from "../src/quickstart/recipe.js";
import { conversation, makeModel, posttrain, temporaryFolder, writeRows } from "./support/command-line.js";

const examples = fileURLToPath(new URL("../../../examples", import.meta.url));
const folder = temporaryFolder();
const rows = Array.from({ length: 40 }, (_, i) => conversation(`What is ${i} + 1?`, `Answer: ${i + 1}`));

beforeAll(async () => {
  // What the examples take for granted: the quickstart's run; the user's model and rows.
  const model = await makeModel(folder);
  for (const dir of ["runs/quickstart-1/model", "models/Qwen2.5-0.5B"])
    cpSync(model, join(folder, dir), { recursive: true });
  writeRows(folder, "runs/quickstart-1/training.jsonl", rows);
  writeRows(folder, "rows.jsonl", rows);
  mkdirSync(join(folder, "examples"));
  for (const name of readdirSync(examples)) cpSync(join(examples, name), join(folder, "examples", name));
});
afterAll(() => rmSync(folder, { recursive: true }));

const files = readdirSync(examples);

it("there are some, all of them YAML", () => {
  expect(files.length).toBeGreaterThan(1);
  for (const name of files) expect(name).toMatch(/\.yaml$/);
});

it.each(files)("%s", async (name) => {
  const config = ["--config", `examples/${name}`];
  const validated = await posttrain(["validate", ...config, "--quiet"], { cwd: folder });
  expect([validated.code, validated.err]).toEqual([0, ""]);
  const { stage = "sft" } = parse(readFileSync(join(examples, name), "utf8"));
  const { code, out, err } = await posttrain([stage, ...config, "--max_steps", "2", "--json"], {
    cwd: folder,
  });
  expect([name, code, err]).toEqual([
    name,
    0,
    expect.stringMatching(new RegExp(`config +examples/${name}:`)),
  ]);
  const { checkpoint, step } = JSON.parse(out);
  expect([step, existsSync(join(folder, checkpoint, "model.safetensors"))]).toEqual([2, true]);
});

it("tiny-sft.yaml is the quickstart's recipe", () => {
  const written = sftConfig.parse(parse(readFileSync(join(examples, "tiny-sft.yaml"), "utf8")));
  const [model, data] = ["runs/quickstart-1/model", "runs/quickstart-1/training.jsonl"];
  expect(written).toEqual(trainingConfig({ model, data, outputDir: "runs/tiny-sft", seed: 1 }));
});

it("qwen2.5-sft.yaml has what the report discloses", () => {
  // arXiv 2412.15115, section 4.1.
  expect(sftConfig.parse(parse(readFileSync(join(examples, "qwen2.5-sft.yaml"), "utf8")))).toMatchObject({
    num_train_epochs: 2,
    max_length: 32_768,
    learning_rate: 7e-6,
    min_lr: 7e-7,
    weight_decay: 0.1,
    max_grad_norm: 1,
  });
});
