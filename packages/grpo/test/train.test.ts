// The loop on a tiny policy: it learns what pays, nothing from what does not differ, and goes on with the same bits.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Device, openDevice } from "@posttrain/kernels";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeTinyPolicy } from "../../../tests/support/tiny-policy.js";
import { type GrpoConfig, grpoConfig } from "../src/config.js";
import type { RewardSource } from "../src/rewards.js";
import { type GrpoReport, runGrpo } from "../src/train.js";
import { lowTokens, rewardBy, writePrompts } from "./support/rewards.js";

let device: Device;
let folder = "";
let model = "";
let data = "";
beforeAll(async () => {
  device = openDevice({ threads: 2 });
  folder = mkdtempSync(join(tmpdir(), "posttrain-grpo-"));
  model = await writeTinyPolicy(device, folder);
  data = writePrompts(join(folder, "prompts.jsonl"), 12);
});
afterAll(async () => {
  await device.close();
  rmSync(folder, { recursive: true });
});

let runs = 0;
function configOf(options: object = {}): GrpoConfig {
  return grpoConfig.parse({
    model_name_or_path: model,
    data,
    output_dir: join(folder, `run-${runs++}`),
    learning_rate: 1e-2,
    per_device_train_batch_size: 16,
    max_completion_length: 12,
    max_prompt_length: 64,
    max_steps: 6,
    most_truncated: 1,
    ...options,
  });
}

const run = (config: GrpoConfig, reward: RewardSource, report?: GrpoReport, signal?: AbortSignal) =>
  runGrpo(config, device, { sources: [reward], check: async () => [] }, report, signal);
const weightsOf = (checkpoint: string): Buffer => readFileSync(join(checkpoint, "model.safetensors"));
const metricsOf = ({ output_dir }: GrpoConfig) =>
  readFileSync(join(output_dir, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

describe("learning", () => {
  it("moves the policy to what pays, and says what it did", async () => {
    const config = configOf({ max_steps: 20, val_size: 4 });
    const result = await run(config, rewardBy(lowTokens));
    const lines = metricsOf(config).filter(({ loss }) => loss !== undefined);
    const mean = (part: readonly { reward: number }[]) =>
      part.reduce((sum, { reward }) => sum + reward, 0) / part.length;
    expect(mean(lines.slice(-3))).toBeGreaterThan(mean(lines.slice(0, 3)) + 0.2);
    expect(result).toMatchObject({ end: "done", steps: 20 });
    const evaluations = metricsOf(config).filter((line) => line.eval_accuracy !== undefined);
    expect(evaluations.map(({ step }) => step)).toEqual([0, 20]);
    expect(evaluations[1].eval_reward).toBeGreaterThan(evaluations[0].eval_reward);
    const rollouts = readFileSync(join(config.output_dir, "rollouts", "step-000001.jsonl"), "utf8")
      .trim()
      .split("\n");
    expect(rollouts).toHaveLength(16);
    const [first] = rollouts.map((line) => JSON.parse(line));
    expect(first).toMatchObject({ schema: "rollout@1", step: 1, sample: 0, masked: false });
    expect(first.completion_ids).toHaveLength(first.logprobs.length);
  });

  it("leaves every bit of the weights where all rewards are equal", async () => {
    const config = configOf({ weight_decay: 0 });
    const { checkpoint } = await run(
      config,
      rewardBy(() => 1),
    );
    expect(weightsOf(checkpoint).equals(weightsOf(model))).toBe(true);
    expect(metricsOf(config).every(({ frac_reward_zero_std }) => frac_reward_zero_std === 1)).toBe(true);
  });

  it("counts every token that is sampled: of the first pass, and of groups that give way to others", async () => {
    const config = configOf({ max_steps: 2 });
    let sampled = 0;
    const some = rewardBy(({ row, completionIds }) => {
      sampled += completionIds.length;
      // Half of the prompts differ in nothing.
      return Number(String(row["prompt"]).at(-1)) % 2 === 0 ? 1 : completionIds.length;
    });
    await run(config, some);
    const lines = metricsOf(config);
    expect(lines.map((line) => line["queue/sampled_tokens"]).reduce((a, b) => a + b)).toBe(sampled);
    expect(lines[0]["queue/sampled_tokens"]).toBeGreaterThan(lines[1]["queue/sampled_tokens"]);
  });

  it("makes responses short where length costs", async () => {
    const config = configOf({ max_steps: 30 });
    await run(
      config,
      rewardBy(({ completionIds }) => -completionIds.length / 12),
    );
    const lengths = metricsOf(config).map((line) => line["completions/mean_length"] as number);
    const mean = (part: readonly number[]) => part.reduce((a, b) => a + b, 0) / part.length;
    expect(mean(lengths.slice(-5))).toBeLessThan(mean(lengths.slice(0, 5)) - 2);
  });

  it("teaches nothing by what nobody could grade", async () => {
    const config = configOf({ max_steps: 2, stop_on_alarm: false });
    const { checkpoint } = await run(
      config,
      rewardBy(() => null),
    );
    expect(weightsOf(checkpoint).equals(weightsOf(model))).toBe(true);
    expect(metricsOf(config)[0]).toMatchObject({ "rewards/ungraded": 1 });
    expect(metricsOf(config)[0].reward).toBeUndefined();
  });
});

describe("going on", () => {
  const variants = [
    { name: "one update an episode", options: {} },
    {
      name: "several updates, twice, with a KL term",
      options: { episode_size: 32, num_iterations: 2, beta: 0.05 },
    },
    {
      name: "weighted draws, k1 in the reward",
      options: { order: "weighted", beta: 0.05, kl: "k1", prepass: false },
    },
    { name: "in bf16", options: { bf16: true } },
  ];
  it.each(variants)("stopped after every step, $name: the same bytes", async ({ options }) => {
    const whole = configOf(options);
    const { checkpoint } = await run(whole, rewardBy(lowTokens));
    const cut = configOf(options);
    for (let step = 1; step <= 6; step++) {
      const stop = new AbortController();
      const resumed = { ...cut, resume_from_checkpoint: step > 1 };
      const result = await run(resumed, rewardBy(lowTokens), { onStep: () => stop.abort() }, stop.signal);
      expect(result.steps).toBe(step);
    }
    const last = join(cut.output_dir, "checkpoint-6");
    for (const file of ["model.safetensors", "trainer/optimizer.safetensors", "trainer/grpo.json"]) {
      expect(readFileSync(join(last, file)).equals(readFileSync(join(checkpoint, file))), file).toBe(true);
    }
    const numbers = (config: GrpoConfig) =>
      metricsOf(config).map((line) => Object.entries(line).filter(([name]) => !/time/.test(name)));
    expect(numbers(cut)).toEqual(numbers(whole));
    for (const file of readdirSync(join(whole.output_dir, "rollouts"))) {
      const of = ({ output_dir }: GrpoConfig) => readFileSync(join(output_dir, "rollouts", file), "utf8");
      expect(of(cut), file).toBe(of(whole));
    }
  });

  it("keeps the journals that a checkpoint in the folder may need, and all rollouts", async () => {
    const config = configOf({ save_steps: 1, save_total_limit: 2, val_size: 2, eval_steps: 2 });
    await run(config, rewardBy(lowTokens));
    const names = (folder: string): readonly string[] => readdirSync(join(config.output_dir, folder)).sort();
    // Of checkpoint-5 and checkpoint-6 the older one needs what came after it.
    expect(names("episodes")).toEqual(["000006.journal", "evaluation-000006.journal"]);
    expect(names("rollouts")).toHaveLength(6);
  });

  it("after an error in the middle of an episode grades nothing twice, though the grader would now say something else", async () => {
    const whole = configOf();
    const { checkpoint } = await run(whole, rewardBy(lowTokens));
    const broken = configOf();
    let asked = 0;
    const dies = rewardBy((sample) => {
      if (++asked > 12 * 8 + 8) throw new Error("the grader died");
      return lowTokens(sample);
    });
    await expect(run(broken, dies)).rejects.toThrow("the grader died");
    const said = new Map<string, number>();
    const changed = rewardBy((sample) => {
      const key = JSON.stringify([sample.line, sample.text]);
      said.set(key, (said.get(key) ?? 0) + 1);
      return lowTokens(sample);
    });
    const resumed = await run({ ...broken, resume_from_checkpoint: true }, changed);
    expect(weightsOf(resumed.checkpoint).equals(weightsOf(checkpoint))).toBe(true);
    // The pre-pass's 96 and the first group's 8 were journalled before the grader died.
    const graded = [...said.values()].reduce((a, b) => a + b, 0);
    expect(graded).toBe(6 * 16 - 8);
  });
});

describe("what is refused", () => {
  it.each([
    ["another number of rewards", { reward: async () => [{ value: 1 }] }, /gave 1 values/],
    ["NaN", rewardBy(() => Number.NaN), /gave NaN for response 1/],
    // biome-ignore lint/suspicious/noExplicitAny: what a module of one's own may return
    ["text", rewardBy(() => "good" as any), /gave a string for response 1/],
  ] as const)("a reward that gives %s", async (_, source, message) => {
    const config = configOf();
    await expect(run(config, { name: "verifier", weight: 1, ...source })).rejects.toThrow(message);
    expect(existsSync(join(config.output_dir, "episodes", "prepass.journal"))).toBe(true);
  });

  it("too few prompts for an episode, before anything is written", async () => {
    const config = configOf({ per_device_train_batch_size: 128 });
    await expect(run(config, rewardBy(lowTokens))).rejects.toThrow(
      /has 12 prompts to train on, and an episode takes 16/,
    );
    expect(existsSync(config.output_dir)).toBe(false);
  });

  it("a range of solve rates that no prompt is in", async () => {
    const config = configOf({ least_solved: 0.99 });
    await expect(
      run(
        config,
        rewardBy(() => 0),
      ),
    ).rejects.toThrow(/0 prompts are solved between least_solved 0.99/);
  });

  it("only prompts that are too long", async () => {
    const long = join(folder, "long.jsonl");
    writeFileSync(long, `${JSON.stringify({ prompt: "x".repeat(100) })}\n`);
    await expect(run(configOf({ data: long }), rewardBy(lowTokens))).rejects.toThrow(
      /none of its 1 prompts has 64 tokens or fewer/,
    );
  });

  it.each([
    [{ num_generations: 3 }, /multiple of num_generations/],
    [{ episode_size: 24 }, /multiple of the 16 responses/],
    [{ reward_weights: [1, 2] }, /expected 1 of them/],
    [{ reward_shaping: "qwen2.5-math" }, /name both in reward_funcs/],
    [{ least_solved: 0.5, most_solved: 0.2 }, /at most most_solved/],
    [{ num_generations: 1 }, /num_generations/],
  ])("keys that do not go together: %j", (options, message) => {
    expect(() => configOf(options)).toThrow(message);
  });

  it("sounds an alarm, saves, and ends", async () => {
    const alarms: string[] = [];
    const config = configOf({ most_truncated: 0.1 });
    const result = await run(config, rewardBy(lowTokens), { onAlarm: ({ name }) => alarms.push(name) });
    expect(result).toMatchObject({ end: "alarm", steps: 1 });
    expect(alarms).toEqual(["truncated"]);
    expect(existsSync(join(result.checkpoint, "trainer", "grpo.json"))).toBe(true);
  });

  it("ends with the alarm of its last step too", async () => {
    const config = configOf({ most_truncated: 0.1, max_steps: 1 });
    expect(await run(config, rewardBy(lowTokens))).toMatchObject({ end: "alarm", steps: 1 });
  });
});
