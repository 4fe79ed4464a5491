// Small runs of stages on tokenised rows: 60,000 parameters, milliseconds a step.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { goldenPath } from "./golden.js";

/** A folder for the tests of a file. */
export function testFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "posttrain-test-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** `count` rows of 5 to 64 tokens, all but the first three of each trained. */
export function writeTokenRows(path: string, count: number, first = 0): string {
  const row = (r: number): string => {
    const ids = Array.from({ length: 5 + ((r * 37) % 60) }, (_, i) => (i * i * 7 + r * 31 + 5) % 320);
    return `${JSON.stringify({ input_ids: ids, completion_mask: ids.map((_, i) => (i > 2 ? 1 : 0)) })}\n`;
  };
  writeFileSync(path, Array.from({ length: count }, (_, r) => row(first + r)).join(""));
  return path;
}

/** A folder beside the tiny model's whose weights are `factor` times its own: what it may have been fine-tuned from. */
export function writeBase(folder: string, factor = 0.99): string {
  cpSync(goldenPath("qwen2-tiny-tied"), folder, { recursive: true });
  const file = join(folder, "model.safetensors");
  const bytes = readFileSync(file);
  const begin = 8 + Number(bytes.readBigUInt64LE(0));
  for (let at = begin; at < bytes.length; at += 4) bytes.writeFloatLE(bytes.readFloatLE(at) * factor, at);
  writeFileSync(file, bytes);
  return folder;
}

/** `count` pairs of 4 to 40 tokens a side, of which the better ones have smaller ids; with labels of two criteria. */
export function writePairRows(path: string, count: number, first = 0): string {
  const row = (r: number): string => {
    const ids = (length: number, from: number): number[] =>
      Array.from({ length }, (_, i) => from + ((i * i * 7 + r * 31 + 5) % 150));
    const pair = {
      prompt_ids: ids(2 + (r % 9), 40),
      chosen_ids: ids(2 + ((r * 37) % 30), 0),
      rejected_ids: ids(2 + ((r * 17) % 30), 160),
      ...(r % 3 === 0 && { margin: r % 2 }),
      criteria: {
        helpfulness: r % 2 === 0 ? "chosen" : "rejected",
        conciseness: r % 5 === 0 ? "tie" : "chosen",
      },
    };
    return `${JSON.stringify(pair)}\n`;
  };
  writeFileSync(path, Array.from({ length: count }, (_, r) => row(first + r)).join(""));
  return path;
}

/** The arguments of `posttrain sft`, over defaults that suit the tiny model. */
export function sftArgs(
  run: string,
  data: string,
  options: Readonly<Record<string, string | number>>,
): string[] {
  return stageArgs("sft", run, data, options);
}

/** The same of any stage; without `data` the options say what is trained on. */
export function stageArgs(
  stage: string,
  run: string,
  data: string | undefined,
  options: Readonly<Record<string, string | number>>,
): string[] {
  const all = {
    model_name_or_path: goldenPath("qwen2-tiny-tied"),
    ...(data !== undefined && { data }),
    output_dir: run,
    learning_rate: 1e-3,
    per_device_train_batch_size: 3,
    ...options,
  };
  return [stage, ...Object.entries(all).flatMap(([name, value]) => [`--${name}`, String(value)])];
}
