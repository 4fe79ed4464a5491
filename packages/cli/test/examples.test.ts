// Every file in examples/ is accepted by its command and runs: a few steps on a tiny model.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { dpoConfig } from "@posttrain/dpo";
import { grpoConfig } from "@posttrain/grpo";
import { sftConfig } from "@posttrain/sft";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parse } from "yaml";
import { trainingConfig } from "../src/quickstart/recipe.js";
import { conversation, makeModel, temporaryFolder, writeRows } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

const examples = fileURLToPath(new URL("../../../examples", import.meta.url));
const folder = temporaryFolder();
const rows = Array.from({ length: 40 }, (_, i) => conversation(`What is ${i} + 1?`, `Answer: ${i + 1}`));

beforeAll(async () => {
  // What the examples take for granted: the quickstart's run; the user's model and rows.
  const model = await makeModel(folder);
  const models = ["Qwen2.5-0.5B", "Qwen2.5-0.5B-SFT", "Qwen2.5-0.5B-DPO"].map((name) => `models/${name}`);
  for (const dir of ["runs/quickstart-1/model", ...models])
    cpSync(model, join(folder, dir), { recursive: true });
  writeRows(folder, "runs/quickstart-1/training.jsonl", rows);
  writeRows(folder, "rows.jsonl", rows);
  const pair = (i: number) => ({
    prompt: [{ role: "user", content: `What is ${i} + 1?` }],
    chosen: [{ role: "assistant", content: `Answer: ${i + 1}` }],
    rejected: [{ role: "assistant", content: `Answer: ${i}` }],
  });
  for (const name of ["pairs.jsonl", "preferences.jsonl"])
    writeRows(
      folder,
      name,
      rows.map((_, i) => pair(i)),
    );
  const questions = rows.map((_, i) => ({ prompt: `What is ${i} + 1?`, answer: `${i + 1}` }));
  writeRows(folder, "queries.jsonl", questions);
  const reward = ["--model_name_or_path", model, "--data", "pairs.jsonl", "--output_dir", "reward"];
  const { out } = await posttrainHere(["reward", ...reward, "--max_steps", "1", "--quiet"], { cwd: folder });
  cpSync(join(folder, out.trim()), join(folder, "models/reward"), { recursive: true });
  mkdirSync(join(folder, "examples"));
  for (const name of readdirSync(examples)) cpSync(join(examples, name), join(folder, "examples", name));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** pipeline.yaml is of several stages: pipeline-example.test.ts; sft-mix.yaml of data build: sft-data-guide.test.ts. */
const files = readdirSync(examples).filter((name) => !["pipeline.yaml", "sft-mix.yaml"].includes(name));

it("there are some, all of them YAML", () => {
  expect(files.length).toBeGreaterThan(1);
  for (const name of files) expect(name).toMatch(/\.yaml$/);
});

/** What a few steps of the tiny model need in place of an example's own: episodes of thousands of samples, and no reward model. */
const small: Readonly<Record<string, readonly string[]>> = {
  grpo: [
    ...["--episode_size", "16", "--gradient_accumulation_steps", "2", "--num_generations", "8"],
    ...["--max_prompt_length", "64", "--max_completion_length", "8", "--most_truncated", "1"],
  ],
};

it.each(files)("%s", async (name) => {
  const config = ["--config", `examples/${name}`];
  const { stage = "sft" } = parse(readFileSync(join(examples, name), "utf8"));
  const more = small[stage] ?? [];
  const validated = await posttrainHere(["validate", ...config, "--quiet", ...more], { cwd: folder });
  expect([validated.code, validated.err]).toEqual([0, ""]);
  const { code, out, err } = await posttrainHere([stage, ...config, "--max_steps", "2", "--json", ...more], {
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

it("qwen2.5-dpo.yaml has what the report discloses", () => {
  // arXiv 2412.15115, section 4.2.
  const { stage, ...config } = parse(readFileSync(join(examples, "qwen2.5-dpo.yaml"), "utf8"));
  expect(stage).toBe("dpo");
  expect(dpoConfig.parse(config)).toMatchObject({
    num_train_epochs: 1,
    learning_rate: 7e-7,
    optim: "online_dare",
  });
});

it("qwen2.5-grpo.yaml has what the report discloses", () => {
  // arXiv 2412.15115, section 4.3.
  const { stage, ...config } = parse(readFileSync(join(examples, "qwen2.5-grpo.yaml"), "utf8"));
  expect(stage).toBe("grpo");
  const parsed = grpoConfig.parse(config);
  expect(parsed).toMatchObject({ num_generations: 8, episode_size: 2048, order: "variance" });
  expect(parsed.per_device_train_batch_size * parsed.gradient_accumulation_steps).toBe(2048);
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
