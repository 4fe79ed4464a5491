// posttrain init: what it writes is accepted by validate and trained by sft as it stands, and its numbers are those of the model and the rows.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parameterCount, parseModelConfig } from "@posttrain/model";
import { residentBytes } from "@posttrain/sft";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { type Suggestion, suggest } from "../src/init/suggest.js";
import { stage } from "../src/stages/sft.js";
import { conversation, copyModel, makeModel, temporaryFolder, writeRows } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

const folder = temporaryFolder();
const at = (...parts: readonly string[]): string => join(folder, ...parts);
const run = (...args: readonly string[]) => posttrainHere(args, { cwd: folder });
let model: string;

beforeAll(async () => {
  model = await makeModel(folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

const rows = Array.from({ length: 80 }, (_, i) =>
  conversation(`What is ${i} + ${i}?`, `${"x ".repeat(i)}Answer: ${2 * i}`),
);

it("writes a config that validate accepts and sft trains, in a folder whose name needs quotes", async () => {
  const dir = copyModel(model, "my: model #1");
  const data = writeRows(folder, "rows.jsonl", rows);
  const init = ["init", "--model_name_or_path", dir, "--data", data];
  const { code, out, err } = await run(...init);
  expect([code, err]).toEqual([0, ""]);
  const next = [...out.matchAll(/npx posttrain (.*)/g)].map(([, line]) => line!.split(" "));
  expect(next).toEqual([
    ["validate", "--config", "run.yaml"],
    ["sft", "--config", "run.yaml"],
  ]);
  const written = readFileSync(at("run.yaml"), "utf8");
  const config = parse(written);
  expect(config).toMatchObject({
    model_name_or_path: dir,
    data,
    output_dir: "runs/run",
    num_train_epochs: 2,
  });
  // A reason above every value, but for the paths.
  for (const key of Object.keys(config).slice(3)) expect(written).toMatch(new RegExp(`\n# [^\n]+\n${key}: `));
  for (const line of written.split("\n"))
    if (line.startsWith("#")) expect(line.length).toBeLessThanOrEqual(100);

  const validated = await run(...next[0]!, "--json");
  const report = JSON.parse(validated.out);
  expect([validated.code, report.ok, report.eval_rows]).toEqual([0, true, config.val_size]);
  expect(report.lengths.longest).toBeLessThanOrEqual(config.max_length);
  expect(report.plan.run.optimizer_steps).toBe(Number(/report: (\d+) steps/.exec(written)![1]));
  expect(report.plan.epoch.optimizer_steps).toBe(Number(/and (\d+) steps an epoch/.exec(written)![1]));
  const trained = await run(...next[1]!, "--json");
  expect(trained.code).toBe(0);
  expect(JSON.parse(trained.out)).toMatchObject({ end: "done", step: report.plan.run.optimizer_steps });
  expect(readdirSync(at("runs/run")).filter((name) => name.startsWith("checkpoint-"))).toHaveLength(2);

  const again = await run(...init);
  expect([again.code, again.err]).toEqual([1, expect.stringMatching(/output run\.yaml already exists/)]);
  expect(readFileSync(at("run.yaml"), "utf8")).toBe(written);
  const second = await run(...init, "--output", at("run.yml"), "--json");
  expect(JSON.parse(second.out)).toMatchObject({
    config: at("run.yml"),
    options: { output_dir: "runs/run-2", max_length: config.max_length },
    model: { context: 512, chat_template: true },
    rows: { sound: 80, bad: 0 },
  });
});

it("goes on over bad rows, and writes nothing where there is no sound one", async () => {
  const some = writeRows(folder, "some.jsonl", [...rows.slice(0, 3), "{oops", { text: 7 }]);
  const { code, out } = await run(
    "init",
    "--model_name_or_path",
    model,
    "--data",
    some,
    "--output",
    "some.yaml",
  );
  expect(code).toBe(0);
  expect(out).toMatch(/bad {9}2 rows cannot be trained on/);
  expect(readFileSync(at("some.yaml"), "utf8")).toMatch(/# 2 further rows cannot be trained on/);
  const none = writeRows(folder, "none.jsonl", ["{oops"]);
  const refused = await run("init", "--model_name_or_path", model, "--data", none, "--output", "none.yaml");
  expect([refused.code, refused.out]).toEqual([1, ""]);
  expect(refused.err).toMatch(/none of its 1 row can be trained on.*is not JSON/);
  expect(readdirSync(folder).filter((name) => name.startsWith("none.yaml"))).toEqual([]);
  expect(existsSync(at("none.yaml"))).toBe(false);
});

it("states the date that a template writes", async () => {
  const dir = copyModel(model, "dated");
  const path = join(dir, "tokenizer_config.json");
  const config = JSON.parse(readFileSync(path, "utf8"));
  const template = `{{ strftime_now("%Y-%m-%d") }}${config.chat_template}`;
  writeFileSync(path, JSON.stringify({ ...config, chat_template: template }));
  const data = writeRows(folder, "few.jsonl", rows.slice(0, 3));
  const { code } = await run("init", "--model_name_or_path", dir, "--data", data, "--output", "dated.yaml");
  expect(code).toBe(0);
  expect(parse(readFileSync(at("dated.yaml"), "utf8")).template_date).toMatch(/^\d{4}-\d\d-\d\d$/);
  expect((await run("validate", "--config", "dated.yaml", "--quiet")).code).toBe(0);
});

describe("suggestions", () => {
  // Qwen2.5-0.5B: table 1 of the report.
  const qwen = parseModelConfig(
    {
      ...{
        model_type: "qwen2",
        hidden_size: 896,
        num_hidden_layers: 24,
        num_attention_heads: 14,
        num_key_value_heads: 2,
      },
      ...{
        intermediate_size: 4864,
        vocab_size: 151_936,
        max_position_embeddings: 32_768,
        tie_word_embeddings: true,
      },
    },
    "config.json",
  );
  const parameters = parameterCount(qwen);
  const values = async (
    lengths: readonly number[],
    memory: number,
    heldOut = 0,
  ): Promise<Record<string, Suggestion["value"]>> => {
    const all = await suggest(stage, { config: qwen, parameters, lengths, heldOut, memory });
    return Object.fromEntries(all.map(({ key, value }) => [key, value]));
  };
  const short = Array.from({ length: 2000 }, (_, i) => 100 + (i % 300));

  it("fit the memory, with checkpointing only where it is needed, and keep the step", async () => {
    const [small, large] = [await values(short, 12e9), await values(short, 200e9)];
    for (const [chosen, memory] of [
      [small, 12e9],
      [large, 200e9],
    ] as const) {
      const [rows, length] = [chosen["per_device_train_batch_size"], chosen["max_length"]].map(Number);
      const checkpointing = chosen["gradient_checkpointing"] === true;
      const { resident } = await residentBytes(qwen, rows!, length!, checkpointing);
      expect(resident).toBeLessThan(memory);
    }
    expect([small["gradient_checkpointing"], large["gradient_checkpointing"]]).toEqual([true, false]);
    const step = (chosen: typeof small): number =>
      Number(chosen["per_device_train_batch_size"]) * Number(chosen["gradient_accumulation_steps"]);
    expect(step(small)).toBe(step(large));
    expect(large["learning_rate"]).toBe(2e-5);
    expect(large["min_lr"]).toBe(2e-6);
  });

  it("cut nothing, never go beyond the context, and pack short rows only", async () => {
    expect(await values([...short, 5000], 64e9)).toMatchObject({ max_length: 5056, packing: true });
    expect(await values([...short, 50_000], 64e9)).toMatchObject({
      max_length: 32_768,
      packing: true,
      on_overlong: "error",
    });
    expect(await values([900, 950, 1000], 64e9)).toMatchObject({ max_length: 1024, packing: false });
    expect(await values([1], 64e9)).toMatchObject({
      max_length: 64,
      val_size: 0,
      per_device_train_batch_size: 1,
    });
  });
});
