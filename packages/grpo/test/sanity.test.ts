// A learner's sanity on a tiny policy: what must not be learnt is not, and an alarm tells when what pays is not what is right. That constant rewards leave every bit, and that
// length moves with its price, is in train.test.ts.
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Device, openDevice } from "@posttrain/kernels";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeTinyPolicy } from "../../../tests/support/tiny-policy.js";
import { grpoConfig } from "../src/config.js";
import type { RewardSource, Sample } from "../src/rewards.js";
import { type GrpoEvalMetrics, runGrpo } from "../src/train.js";
import { lowTokens, writePrompts } from "./support/rewards.js";

const folder = mkdtempSync(join(tmpdir(), "posttrain-sanity-"));
let device: Device;
let model = "";
beforeAll(async () => {
  device = openDevice({ threads: 2 });
  model = await writeTinyPolicy(device, folder);
});
afterAll(async () => {
  await device.close();
  rmSync(folder, { recursive: true });
});

/** A reward that pays what it likes, and a verdict that knows what is right: more than half of the tokens are low. */
const paying = (of: (sample: Sample) => number): RewardSource => ({
  name: "verifier",
  weight: 1,
  reward: async (group) =>
    group.map((sample) => ({
      value: of(sample),
      verdict: { outcome: lowTokens(sample) > 0.5 ? "pass" : "fail", evidence: "" },
    })),
});

let runs = 0;
async function evaluationsOf(source: RewardSource, options: object) {
  const evaluations: GrpoEvalMetrics[] = [];
  const alarms: string[] = [];
  const data = writePrompts(join(folder, "prompts.jsonl"), 16);
  const config = grpoConfig.parse({
    ...{ model_name_or_path: model, data, output_dir: join(folder, `run-${runs++}`), learning_rate: 1e-2 },
    ...{ per_device_train_batch_size: 16, max_completion_length: 12, most_truncated: 1, least_entropy: 0 },
    ...{ val_size: 8, eval_samples: 16, eval_temperature: 1 },
    ...options,
  });
  const report = {
    onEvaluation: (line: GrpoEvalMetrics) => evaluations.push(line),
    onAlarm: ({ name }: { readonly name: string }) => alarms.push(name),
  };
  const result = await runGrpo(config, device, { sources: [source], check: async () => [] }, report);
  return { evaluations, alarms, result };
}

/** Half the width of the 95 % interval of a difference between two shares of n each. */
const interval = (a: number, b: number, n: number): number =>
  1.96 * Math.sqrt((a * (1 - a) + b * (1 - b)) / n);

it("random rewards leave held-out accuracy within its interval, true ones lift it out", async () => {
  const random = ({ text, line }: Sample): number =>
    createHash("sha256").update(`${line} ${text}`).digest().readUInt32LE() / 2 ** 32;
  const moved = async (of: (sample: Sample) => number): Promise<number> => {
    const { evaluations } = await evaluationsOf(paying(of), { max_steps: 15 });
    const [before, after] = evaluations.map(({ eval_accuracy }) => eval_accuracy) as [number, number];
    return (after - before) / interval(before, after, 8 * 16);
  };
  expect(Math.abs(await moved(random))).toBeLessThan(1);
  expect(await moved(lowTokens)).toBeGreaterThan(1);
});

it("a reward against the verifier raises the alarm, and the run ends with all saved", async () => {
  const { alarms, result, evaluations } = await evaluationsOf(
    paying((sample) => 1 - lowTokens(sample)),
    { max_steps: 60, eval_steps: 4, save_steps: 100 },
  );
  expect(alarms).toEqual(["goodhart"]);
  expect(result.end).toBe("alarm");
  expect(result.steps).toBeLessThan(60);
  expect(evaluations.at(-1)!.eval_accuracy).toBeLessThan(evaluations.at(-4)!.eval_accuracy);
});
