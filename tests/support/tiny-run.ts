// A small fine-tuning run on tokenised rows: 60,000 parameters, milliseconds a step.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
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

/** The arguments of `posttrain sft`, over defaults that suit the tiny model. */
export function sftArgs(
  run: string,
  data: string,
  options: Readonly<Record<string, string | number>>,
): string[] {
  const all = {
    model_name_or_path: goldenPath("qwen2-tiny-tied"),
    data,
    output_dir: run,
    learning_rate: 1e-3,
    per_device_train_batch_size: 3,
    ...options,
  };
  return ["sft", ...Object.entries(all).flatMap(([name, value]) => [`--${name}`, String(value)])];
}
