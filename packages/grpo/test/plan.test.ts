// What a run takes is what was predicted: the arena of a real device after training is that of the dry one, where responses are as long as they may be.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDevice } from "@posttrain/kernels";
import { refusalOf, type TrainingPlan } from "@posttrain/train";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeTinyPolicy } from "../../../tests/support/tiny-policy.js";
import { grpoConfig } from "../src/config.js";
import { plannedGrpo } from "../src/plan.js";
import { preparePrompts } from "../src/prompts.js";
import { runGrpo } from "../src/train.js";
import { lowTokens, rewardBy, writePrompts } from "./support/rewards.js";

const folder = mkdtempSync(join(tmpdir(), "posttrain-grpo-plan-"));
let model = "";
beforeAll(async () => {
  const device = openDevice({ threads: 2 });
  model = await writeTinyPolicy(device, folder);
  await device.close();
});
afterAll(() => rmSync(folder, { recursive: true }));

const config = (options: object = {}) =>
  grpoConfig.parse({
    ...{ model_name_or_path: model, data: writePrompts(join(folder, "prompts.jsonl"), 12) },
    ...{ output_dir: join(folder, `run-${Math.random()}`), max_steps: 2, most_truncated: 1 },
    ...{ per_device_train_batch_size: 16, max_completion_length: 60, max_prompt_length: 64 },
    ...options,
  });

it.each([{}, { beta: 0.1, val_size: 4, episode_size: 32 }])("%j", async (options) => {
  // Nothing ends before its time.
  const device = openDevice({ threads: 2 });
  try {
    let prediction: TrainingPlan | undefined;
    await runGrpo(
      config(options),
      device,
      { sources: [rewardBy(lowTokens)], check: async () => [] },
      {
        onStart: (start) => {
          prediction = start.prediction;
        },
      },
    );
    const { arena } = prediction!.memory;
    const { reservedBytes } = device.status();
    expect(reservedBytes).toBeLessThanOrEqual(arena * 1.02);
    expect(reservedBytes).toBeGreaterThan(arena * 0.9);
  } finally {
    await device.close();
  }
});

it("says what does not fit, and what would", async () => {
  const own = config();
  const planned = plannedGrpo(own, await preparePrompts(own));
  const plan = (arena: number, evaluation: number): TrainingPlan =>
    ({
      ...{ resident: 2 * arena, available: arena, tensorLimit: arena, process: 0 },
      memory: { arena, evaluation, held: 1, working: 1 },
    }) as TrainingPlan;
  const refused = await refusalOf(plan(1e6, 5e5), own, planned, { memoryLimit: 1e6 });
  expect(refused).toMatch(/This run would take .*lower --max_completion_length/);
});
