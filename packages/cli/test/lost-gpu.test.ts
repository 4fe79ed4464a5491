// A run whose GPU is lost, or has no memory left, in the middle of a step: what a person reads, and what is whole. On a driver for tests, which fails once
// the first checkpoint is there (packages/kernels/native/test/fake_cuda.cpp); no GPU has a part in this.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addonFile } from "@posttrain/kernels";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { conversation, makeModel, type Outcome, posttrain, writeRows } from "./support/command-line.js";

const tests = join(addonFile().path, "../test");
const library = join(tests, "cuda-on-fake.so");

// The sanitizers' builds are without it.
describe.runIf(existsSync(library))("a GPU that fails in the middle of a step", () => {
  const folder = mkdtempSync(join(tmpdir(), "posttrain-lost-gpu-"));
  const at = (...parts: readonly string[]): string => join(folder, ...parts);
  const weights = (run: string): Buffer => readFileSync(at(run, "checkpoint-2", "model.safetensors"));
  let args: readonly string[] = [];
  const train = (run: string, machine?: string): Promise<Outcome> =>
    posttrain(
      ["sft", "--output_dir", at(run), ...args, ...(machine === undefined ? [] : ["--device", library])],
      {
        env: {
          POSTTRAIN_LIBCUDA: join(tests, "fake-libcuda.so"),
          POSTTRAIN_FAKE_CUDA_LOG: at("complaints"),
          POSTTRAIN_FAKE_CUDA: `once=${at(run, "checkpoint-1", "manifest.json")} ${machine}`,
        },
      },
    );

  beforeAll(async () => {
    const model = await makeModel(folder);
    const data = writeRows(folder, "rows.jsonl", [conversation("1?", "1"), conversation("2?", "2")]);
    args = [
      ...["--model_name_or_path", model, "--data", data, "--per_device_train_batch_size", "1"],
      ...["--max_steps", "2", "--save_steps", "1", "--warmup_steps", "0", "--quiet"],
    ];
    expect(await train("whole")).toMatchObject({ code: 0 });
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each([
    ["lost", "late=9:999", /^read: the GPU was lost \([^)]+\): CUDA_ERROR_UNKNOWN \(999.*nvidia-smi/],
    [
      "no-memory",
      "fail=cuLaunchKernel:9:2",
      /^\w+\(.*the GPU.s memory is exhausted \(a launch\): CUDA_ERROR_OUT_OF_MEMORY/,
    ],
  ] as const)("%s: one paragraph, and the run goes on from its checkpoint", async (run, machine, says) => {
    const stopped = await train(run, machine);
    const text = stopped.err.trim();
    expect(stopped.code).toBe(2);
    expect(text.replace(/\s+/g, " ")).toMatch(says);
    expect(text).not.toContain("\n\n");
    expect(text.replace(/\s+/g, " ")).toContain(
      `${at(run, "checkpoint-1")} is whole: npx posttrain sft --config ${at(run, "config.yaml")} --resume_from_checkpoint goes on after step 1 with the same bits.`,
    );
    // What to lower, where it was memory.
    if (run !== "lost")
      expect(text.replace(/\s+/g, " ")).toMatch(/lower: per_device_train_batch_size, max_length/);
    expect(existsSync(at(run, "checkpoint-2"))).toBe(false);
    const resumed = await posttrain([
      ...["sft", "--config", at(run, "config.yaml"), "--resume_from_checkpoint", "--device", "cpu"],
    ]);
    expect(resumed).toMatchObject({ code: 0, err: "" });
    expect(weights(run).equals(weights("whole"))).toBe(true);
    expect(existsSync(at("complaints")) && readFileSync(at("complaints"), "utf8")).toBe(false);
  });
});
