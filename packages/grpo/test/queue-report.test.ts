import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDevice } from "@posttrain/kernels";
import { expect, it } from "vitest";
import { writeTinyPolicy } from "../../../tests/support/tiny-policy.js";
import { grpoConfig } from "../src/config.js";
import { histogramOf, movers, type QueuedPrompt, readQueue } from "../src/queue-report.js";
import { runGrpo } from "../src/train.js";
import { lowTokens, rewardBy, writePrompts } from "./support/rewards.js";

const prompt = (
  id: string,
  firstSolveRate: number | undefined,
  solveRate: number | undefined,
): QueuedPrompt => ({
  ...{ id, firstSolveRate, solveRate, variance: undefined, groups: 1, retired: undefined },
});

it("counts each prompt in one bin, the ends apart", () => {
  const rates = [0, 0, 0.04, 0.1, 0.19, 0.5, 0.99, 1, undefined];
  const bins = histogramOf(rates.map((rate) => prompt("p", rate, rate))).filter(({ count }) => count > 0);
  expect(bins).toEqual([
    { label: "never", count: 2 },
    { label: "up to 10 %", count: 1 },
    { label: "10 to 20 %", count: 2 },
    { label: "50 to 60 %", count: 1 },
    { label: "90 to 100 %", count: 1 },
    { label: "always", count: 1 },
  ]);
});

it("names those that moved most, either way, ties by id", () => {
  const prompts = [
    prompt("c", 0, 0.5),
    prompt("a", 1, 0.25),
    prompt("b", 0.5, 1),
    prompt("d", 0.5, 0.5),
    prompt("e", undefined, undefined),
  ];
  expect(movers(prompts, 5).map(({ id }) => id)).toEqual(["a", "b", "c"]);
});

it("reads the newest checkpoint of a run", async () => {
  const folder = mkdtempSync(join(tmpdir(), "posttrain-queue-"));
  const device = openDevice({ threads: 2 });
  try {
    const config = grpoConfig.parse({
      model_name_or_path: await writeTinyPolicy(device, folder),
      data: writePrompts(join(folder, "prompts.jsonl"), 6),
      output_dir: join(folder, "run"),
      ...{ per_device_train_batch_size: 16, max_completion_length: 6, max_steps: 2, most_truncated: 1 },
    });
    await runGrpo(config, device, { sources: [rewardBy(lowTokens)], check: async () => [] });
    const report = await readQueue(config.output_dir);
    expect(report?.checkpoint.manifest.step).toBe(2);
    expect(report?.prompts).toHaveLength(6);
    // The first pass, and for four of them a visit.
    expect(report?.prompts.map(({ groups }) => groups).sort()).toEqual([1, 1, 2, 2, 2, 2]);
    expect(report?.left).toHaveLength(2);
  } finally {
    await device.close();
    rmSync(folder, { recursive: true });
  }
});
