// Rewards of the user's own in a run: tried out before a token is sampled, named in the metrics; what fails for a prompt is masked and counted, what means nothing
// ends the run with all saved.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Device, openDevice } from "@posttrain/kernels";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeTinyPolicy } from "../../../tests/support/tiny-policy.js";
import { type GrpoConfig, grpoConfig } from "../src/config.js";
import { openRewardSources } from "../src/sources.js";
import { runGrpo } from "../src/train.js";
import { writePrompts } from "./support/rewards.js";

const folder = mkdtempSync(join(tmpdir(), "posttrain-own-rewards-"));
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

let runs = 0;
/** A run whose rewards are a module with this text. */
function configOf(source: string, options: object = {}): GrpoConfig {
  const path = join(folder, `reward-${runs}.mjs`);
  writeFileSync(path, source);
  return grpoConfig.parse({
    ...{ model_name_or_path: model, data: writePrompts(join(folder, "prompts.jsonl"), 4) },
    ...{ output_dir: join(folder, `run-${runs++}`), max_steps: 2, num_generations: 4 },
    ...{ per_device_train_batch_size: 8, max_completion_length: 8, most_truncated: 1, concurrency: 1 },
    ...{ reward_funcs: [path], timeout_seconds: 2, max_refills: 0 },
    ...options,
  });
}
async function run(config: GrpoConfig) {
  await using rewards = await openRewardSources(config, undefined);
  return await runGrpo(config, device, rewards);
}
const linesOf = (path: string): Record<string, unknown>[] =>
  readFileSync(path, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

it("has its name in the metrics, beside others", async () => {
  const source =
    "export const short_reward = (prompts, completions) => completions.map((text) => -text.length);";
  const config = configOf(source);
  const both = { ...config, reward_funcs: [...config.reward_funcs, "overlong"], overlong_buffer: 4 };
  await run(both);
  const [line] = linesOf(join(both.output_dir, "metrics.jsonl"));
  expect(line).toMatchObject({ "rewards/ungraded": 0, "rewards/overlong/mean": expect.any(Number) });
  expect(line!["rewards/short_reward/mean"]).toBeLessThan(0);
  const [rollout] = linesOf(join(both.output_dir, "rollouts", "step-000001.jsonl"));
  expect(rollout!["rewards"]).toEqual({ short_reward: expect.any(Number), overlong: expect.any(Number) });
});

it.each([
  [
    "gives the wrong number of values",
    "(prompts) => [1]",
    /The reward a_reward, asked for 4 responses to the prompt on line 1, gave 1 values/,
  ],
  ["gives text", "(prompts) => prompts.map(() => 'good')", /line 1, gave "good"/],
  ["gives NaN", "(prompts) => prompts.map(() => NaN)", /line 1, gave NaN/],
  [
    "throws",
    "(prompts) => { throw new Error('no such table'); }",
    /tried out with 4 responses "x" to the prompt on line 1, did not come back: .*no such table/s,
  ],
  ["hangs", "(prompts) => { for (;;); }", /line 1, did not come back: the reward did not answer within 2 s/],
])("is refused before anything is written where it %s", async (_, body, message) => {
  const config = configOf(`export const a_reward = ${body};`);
  await expect(run(config)).rejects.toThrow(message);
  expect(existsSync(config.output_dir)).toBe(false);
});

it("masks and counts the responses of a prompt that it fails on, with the reason", async () => {
  const source = `export const a_reward = (prompts, completions) => {
    if (prompts[0] === "question 2") throw new Error("no table for this");
    return completions.map((text) => text.length);
  };`;
  const config = configOf(source, { stop_on_alarm: false, order: "uniform", prepass: false });
  await run(config);
  const files = readdirSync(join(config.output_dir, "rollouts")).sort();
  const rollouts = files.flatMap((name) => linesOf(join(config.output_dir, "rollouts", name)));
  const failed = rollouts.filter(({ problems }) => problems !== undefined);
  expect(failed).toHaveLength(4);
  for (const one of failed) {
    expect(one).toMatchObject({ line: 3, masked: true, reward: null, rewards: { a_reward: null } });
    expect(one["problems"]).toEqual({ a_reward: expect.stringMatching(/no table for this/) });
  }
  const ungraded = linesOf(join(config.output_dir, "metrics.jsonl")).map((line) => line["rewards/ungraded"]);
  expect(ungraded.sort()).toEqual([0, 0.5]);
});

it("ends the run with all saved where it gives what means nothing, and goes on when it is mended", async () => {
  // Once to be tried out, four prompts in the first pass, two a step.
  const source = (last: string): string =>
    `let calls = 0;
    export const a_reward = (prompts, completions) => completions.map((text) => (++calls > 4 * 10 ? ${last} : text.length));`;
  const config = configOf(source("'good'"), { max_steps: 4 });
  const failure: Error = await run(config).then(
    () => expect.fail("it went on"),
    (error: Error) => error,
  );
  expect(failure.message).toMatch(
    /The reward a_reward, asked for 4 responses to the prompt on line \d, gave "good"/,
  );
  const saved = join(config.output_dir, "checkpoint-2");
  expect(failure.message).toContain(saved);
  expect(existsSync(join(saved, "model.safetensors"))).toBe(true);
  writeFileSync(config.reward_funcs[0]!, source("text.length"));
  const resumed = { ...config, resume_from_checkpoint: true };
  await expect(run(resumed)).rejects.toThrow(/reward a_reward/);
  const mended = await run({ ...resumed, accept_change: ["reward a_reward"] });
  expect(mended).toMatchObject({ end: "done", steps: 4 });
});

it("is refused by name where it is no module and no reward", () => {
  expect(() => configOf("", { reward_funcs: ["acuracy"] })).toThrow(
    /expected verifier, reward_model, overlong, or the path of a module/,
  );
});
