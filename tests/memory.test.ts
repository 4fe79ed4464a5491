// What `posttrain plan` says a run takes against what the run took, in processes of their own. From 16 M parameters on: of a smaller model
// Node is the larger part, and its heap grows as it likes.
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { openDevice } from "@posttrain/kernels";
import { initialiseModel, parseModelConfig, saveModel } from "@posttrain/model";
import { afterAll, beforeAll, expect, it } from "vitest";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const main = here("../packages/cli/dist/main.js");
const run = promisify(execFile);

let folder = "";
const at = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "posttrain-memory-"));
  const device = openDevice();
  const config = parseModelConfig(
    {
      ...{ model_type: "qwen2", hidden_size: 256, num_hidden_layers: 8, num_attention_heads: 4 },
      ...{ num_key_value_heads: 2, intermediate_size: 1024, vocab_size: 32_000 },
      ...{ max_position_embeddings: 2048, tie_word_embeddings: true, eos_token_id: 1 },
    },
    "config.json",
  );
  await saveModel(initialiseModel(device, config, 1), at("model"));
  await device.close();
  const rows = Array.from({ length: 60 }, (_, r) => {
    const length = 40 + ((r * 7919) % 217);
    const ids = Array.from({ length }, (_, i) => (r * 7 + i * 131) % 32_000);
    return `${JSON.stringify({ input_ids: ids, completion_mask: ids.map((_, i) => (i < 20 ? 0 : 1)) })}\n`;
  });
  await writeFile(at("rows.jsonl"), rows.join(""));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const packed = { packing: true, max_length: 512, per_device_train_batch_size: 2 };
const whole = { gradient_checkpointing: false };

const cases = [
  { name: "with checkpointing, packed", options: packed },
  { name: "in bf16 with checkpointing", options: { bf16: true } },
  {
    name: "without, packed, in two micro-batches, with held-out rows",
    options: {
      ...{ ...whole, ...packed },
      ...{ per_device_train_batch_size: 1, gradient_accumulation_steps: 2, val_size: 20 },
    },
  },
];
/** npm run test:long */
const more = [
  { name: "with checkpointing", options: {} },
  { name: "without", options: whole },
  { name: "in bf16 without, packed", options: { bf16: true, ...whole, ...packed } },
];

it.each(process.env["POSTTRAIN_TEST_LONG"] === "1" ? [...cases, ...more] : cases)(
  "predicts the peak of a process to a tenth: $name",
  async ({ name, options: own }) => {
    const given = { max_steps: 2, per_device_train_batch_size: 6, ...own };
    const options = [
      ...["--model_name_or_path", at("model"), "--data", at("rows.jsonl"), "--json"],
      ...Object.entries(given).flatMap(([key, value]) => [`--${key}`, String(value)]),
    ];
    const plan = JSON.parse((await run(process.execPath, [main, "plan", ...options])).stdout);
    const file = at("peak");
    const training = [
      "sft",
      ...options,
      "--output_dir",
      at(name.replaceAll(/\W+/g, "-")),
      "--save_steps",
      "1",
    ];
    await run(process.execPath, ["--import", here("support/peak-resident.mjs"), main, ...training], {
      env: { ...process.env, PEAK_RESIDENT_FILE: file },
    });
    const measured = Number(await readFile(file, "utf8"));
    expect(plan.fits).toBe(true);
    // So that the model counts and not Node alone.
    expect(plan.memory.arena).toBeGreaterThan(2 * plan.memory.process);
    expect(plan.memory.resident / measured).toBeGreaterThan(0.9);
    expect(plan.memory.resident / measured).toBeLessThan(1.1);
  },
);
