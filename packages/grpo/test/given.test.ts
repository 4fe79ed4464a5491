// Rollouts that are given: those of a run lead to its weights again, old ones are said to be old, and files that mean something else are refused.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Device, openDevice } from "@posttrain/kernels";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeTinyPolicy } from "../../../tests/support/tiny-policy.js";
import { type GrpoConfig, grpoConfig } from "../src/config.js";
import { type GrpoReport, prepareGrpo, runGrpo } from "../src/train.js";
import { lowTokens, rewardBy, writePrompts } from "./support/rewards.js";

type Line = Record<string, unknown>;

const folder = mkdtempSync(join(tmpdir(), "posttrain-given-"));
const at = (...parts: readonly string[]): string => join(folder, ...parts);
const sources = { sources: [rewardBy(lowTokens)], check: async () => [] };
let device: Device;
let model = "";
/** The run that sampled. */
let sampler: GrpoConfig;
/** All its rollouts, in order. */
let lines: readonly Line[];

beforeAll(async () => {
  device = openDevice({ threads: 2 });
  model = await writeTinyPolicy(device, folder);
  const data = writePrompts(at("prompts.jsonl"), 6);
  sampler = configOf({ data, output_dir: at("sampler"), save_steps: 2 });
  await runGrpo(sampler, device, sources);
  const files = readdirSync(at("sampler", "rollouts")).sort();
  lines = files.flatMap((name) => linesOf(at("sampler", "rollouts", name)));
});
afterAll(async () => {
  await device.close();
  rmSync(folder, { recursive: true });
});

let runs = 0;
function configOf(options: object): GrpoConfig {
  return grpoConfig.parse({
    ...{ model_name_or_path: model, output_dir: at(`run-${runs++}`), learning_rate: 1e-2, max_steps: 4 },
    ...{
      num_generations: 4,
      per_device_train_batch_size: 8,
      max_completion_length: 12,
      max_prompt_length: 64,
    },
    most_truncated: 1,
    ...options,
  });
}

const linesOf = (path: string): Line[] =>
  readFileSync(path, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
const write = (rows: readonly unknown[]): string => {
  const path = at(`rollouts-${runs++}.jsonl`);
  writeFileSync(path, rows.map((row) => `${typeof row === "string" ? row : JSON.stringify(row)}\n`).join(""));
  return path;
};
const run = (config: GrpoConfig, report?: GrpoReport, signal?: AbortSignal) =>
  runGrpo(config, device, sources, report, signal);
const weightsOf = (dir: string): Buffer => readFileSync(join(dir, "model.safetensors"));
const metricsOf = ({ output_dir }: GrpoConfig): Line[] => linesOf(join(output_dir, "metrics.jsonl"));

describe("of a run", () => {
  it("from where it started: its weights to the last bit, and ratios of 1", async () => {
    const config = configOf({ rollouts: write(lines) });
    const { checkpoint } = await run(config);
    expect(weightsOf(checkpoint).equals(weightsOf(at("sampler", "checkpoint-4")))).toBe(true);
    const metrics = metricsOf(config);
    expect(metrics.map((line) => line["sampling/importance_sampling_ratio/max"])).toEqual([1, 1, 1, 1]);
    expect(metrics[0]).toMatchObject({ "staleness/other_weights": 0, "staleness/max_steps": 0 });
    // They are written down again as they came.
    expect(linesOf(join(config.output_dir, "rollouts", "step-000002.jsonl"))[0]).toMatchObject({
      ...{ step: 2, weights: lines[8]!["weights"], logprobs: lines[8]!["logprobs"] },
    });
  });

  it("from two steps later: ratios count from the first update, and it is said how old they are", async () => {
    const config = configOf({ rollouts: write(lines), model_name_or_path: at("sampler", "checkpoint-2") });
    await run(config);
    const [first, second, , fourth] = metricsOf(config);
    expect(first!["sampling/importance_sampling_ratio/mean"]).not.toBe(1);
    expect(first!["sampling/sampling_logp_difference/max"]).toBeGreaterThan(0);
    // Sampled after 0 and 1 steps, trained after 2 and 3; those sampled after 3 are of weights that these never were.
    expect([first!["staleness/mean_steps"], second!["staleness/mean_steps"]]).toEqual([2, 2]);
    expect(fourth).toMatchObject({ "staleness/other_weights": 1 });
  });

  it("stopped after every step: the same bytes", async () => {
    const rollouts = write(lines);
    const options = { rollouts, episode_size: 16, num_iterations: 2, beta: 0.05, max_steps: 5 };
    const whole = await run(configOf(options));
    const cut = configOf(options);
    for (let step = 1; step <= 5; step++) {
      const stop = new AbortController();
      await run({ ...cut, resume_from_checkpoint: step > 1 }, { onStep: () => stop.abort() }, stop.signal);
    }
    const last = join(cut.output_dir, "checkpoint-5");
    for (const file of ["model.safetensors", "trainer/optimizer.safetensors", "trainer/grpo.json"]) {
      expect(readFileSync(join(last, file)).equals(readFileSync(join(whole.checkpoint, file))), file).toBe(
        true,
      );
    }
  });
});

describe("of another program", () => {
  /** Plain names, no group but the prompt, one reward, nothing about weights. */
  const plain = () =>
    lines.slice(0, 8).map(({ prompt_ids, completion_ids, logprobs, reward }) => ({
      ...{ prompt_token_ids: prompt_ids, response_ids: completion_ids, old_log_probs: logprobs, reward },
    }));

  it("by other names, grouped by their prompt", async () => {
    const config = configOf({ rollouts: write(plain()), max_steps: 1 });
    await run(config);
    const [own] = metricsOf(config);
    const [same] = metricsOf(sampler);
    for (const name of ["loss", "grad_norm", "reward", "frac_reward_zero_std"])
      expect(own![name]).toBe(same![name]);
    expect(own).toMatchObject({ "staleness/unknown_weights": 1, "rewards/reward/mean": same!["reward"] });
  });

  it("masks and counts what has no reward", async () => {
    const rows = plain().map((row, i) => ({ ...row, reward: i % 4 === 0 ? null : row.reward }));
    const config = configOf({ rollouts: write(rows), max_steps: 1 });
    await run(config);
    expect(metricsOf(config)[0]).toMatchObject({ "rewards/ungraded": 0.25 });
    const written = linesOf(join(config.output_dir, "rollouts", "step-000001.jsonl"));
    expect(written.map(({ masked }) => masked)).toEqual(rows.map(({ reward }) => reward === null));
  });

  const broken: readonly (readonly [string, (row: Line) => unknown, RegExp])[] = [
    [
      "no tokens",
      ({ completion_ids: _, ...row }) => ({ ...row, completion: "yes" }),
      /line 2: completion_ids: expected a list of token ids/,
    ],
    [
      "an id of another vocabulary",
      (row) => ({ ...row, prompt_ids: [5, 151_643] }),
      /line 2: prompt_ids\[1\] is 151643, but the model's tokenizer has the ids 0 to 258/,
    ],
    [
      "the digest of another tokenizer",
      (row) => ({ ...row, tokenizer: "0".repeat(64) }),
      /line 2: its tokenizer is 000000000000/,
    ],
    [
      "tokens that spell another prompt",
      (row) => ({ ...row, tokenizer: undefined, prompt: "Who?" }),
      /line 2: the tokens of its prompt spell "question/,
    ],
    [
      "fewer log-probabilities than tokens",
      (row) => ({ ...row, logprobs: [-1] }),
      /line 2: logprobs has 1 numbers, and the response \d+ tokens/,
    ],
    [
      "no log-probabilities",
      ({ logprobs: _, ...row }) => row,
      /line 2: logprobs: expected the log-probability/,
    ],
    ["probabilities", (row) => ({ ...row, logprobs: [0.5] }), /line 2: logprobs: expected .*at most 0/],
    [
      "text for a reward",
      (row) => ({ ...row, rewards: { verifier: "good" } }),
      /line 2: rewards.verifier: expected a finite number, or null/,
    ],
    ["no reward", ({ rewards: _, reward: __, ...row }) => row, /line 2: rewards: expected a number/],
    ["a group of one", (row) => ({ ...row, prompt_id: "alone" }), /line 2: its group has no other response/],
    [
      "more than the context",
      (row) => ({ ...row, prompt_ids: new Array(128).fill(65), prompt: undefined, tokenizer: undefined }),
      /line 2: prompt and response have 128 \+ \d+ tokens/,
    ],
  ];
  it.each(broken)("%s", async (_, change, message) => {
    const config = configOf({
      rollouts: write(lines.slice(0, 8).map((row, i) => (i === 1 ? change(row) : row))),
    });
    await expect(run(config)).rejects.toThrow(message);
    const { rejects, counts } = await prepareGrpo(config, "reject");
    expect(rejects.map(({ line }) => line)).toEqual([2]);
    expect(counts).toMatchObject({ read: 8, kept: 7, rejected: 1 });
  });

  it("a group that no episode holds, and keys that do not go together", async () => {
    const config = configOf({ rollouts: write(lines.slice(0, 4)), per_device_train_batch_size: 2 });
    await expect(run(config)).rejects.toThrow(/line 1: its group has 4 responses, and an episode 2/);
    expect(() => configOf({ rollouts: "a", data: "b" })).toThrow(/data or rollouts, not both/);
    expect(() => configOf({})).toThrow(/expected prompts \(or rollouts\)/);
  });
});
