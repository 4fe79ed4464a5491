// posttrain grpo as a person runs it: rewards by verifiers, checkpoints that other commands take, mistakes in rows.
import { appendFileSync, cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { goldenPath } from "../../../tests/support/golden.js";
import { makeModel, posttrain, temporaryFolder } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";
import { startCommand } from "./support/start-command.js";

const folder = temporaryFolder();
const at = (...parts: readonly string[]): string => join(folder, ...parts);
let model: string;
beforeAll(async () => {
  model = await makeModel(folder);
  // A response that has an "e" passes: a model that knows nothing writes one now and then.
  const rows = Array.from({ length: 6 }, (_, i) => ({ prompt: `Word ${i}?` }));
  writeFileSync(at("prompts.jsonl"), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  writeFileSync(at("own.mjs"), 'export const grade = (response) => (response.includes("e") ? 1 : 0);\n');
});
afterAll(() => rmSync(folder, { recursive: true }));

const args = (run: string, ...more: readonly string[]): readonly string[] => [
  ...["grpo", "--model_name_or_path", model, "--data", at("prompts.jsonl"), "--output_dir", at(run)],
  ...["--verifier", at("own.mjs"), "--num_generations", "4", "--per_device_train_batch_size", "8"],
  ...["--max_completion_length", "24", "--max_steps", "4", "--learning_rate", "1e-3"],
  ...more,
];
const uncut = ["--most_truncated", "1"];

it("is looked at before anything is spent: every bad row, what it takes, and a config with reasons", async () => {
  const sums = Array.from({ length: 6 }, (_, i) =>
    JSON.stringify({ prompt: `${i} + 1?`, answer: `${i + 1}` }),
  );
  const bad = ["{oops", { text: 3 }, { prompt: "Who?" }, { prompt: "<|im_end|>", answer: "1" }];
  const long = { prompt: "word ".repeat(40), answer: "1" };
  const lines = [
    ...sums,
    ...[...bad, long].map((row) => (typeof row === "string" ? row : JSON.stringify(row))),
  ];
  writeFileSync(at("mixed.jsonl"), lines.map((line) => `${line}\n`).join(""));
  writeFileSync(at("sums.jsonl"), sums.map((line) => `${line}\n`).join(""));
  const own = ["--model_name_or_path", model, "--max_prompt_length", "32", "--max_completion_length", "8"];
  const small = ["--num_generations", "4", "--per_device_train_batch_size", "8", "--stage", "grpo", "--json"];
  const told = await posttrainHere(["validate", "--data", at("mixed.jsonl"), ...own, ...small]);
  const report = JSON.parse(told.out);
  expect([told.code, report.ok, report.train_rows]).toEqual([1, false, 6]);
  expect(report.rejects.map(({ reason }: { reason: string }) => reason).sort()).toEqual([
    "bad_line",
    "bad_question",
    "bad_row",
    "dropped",
    "special_token_in_content",
  ]);
  expect(report.plan.epoch).toMatchObject({ rows: 24, optimizer_steps: 3 });

  const planned = await posttrainHere([
    "plan",
    "--data",
    at("sums.jsonl"),
    ...own,
    ...small,
    "--beta",
    "0.1",
  ]);
  expect(planned.err).toMatch(/graders +math: /);
  expect(planned.err).toMatch(
    /episode +an episode samples 2 prompts with 4 responses each: at most 168\s+tokens/,
  );
  const { fits, memory, steps, work } = JSON.parse(planned.out);
  expect([planned.code, fits, steps]).toEqual([0, true, 3]);
  // The reference is the policy once more.
  expect(memory.beside).toBe(memory.weights);
  expect(memory.evaluation).toBeGreaterThan(0);
  expect(work.other).toBeGreaterThan(0);
  const tight = await posttrainHere(["plan", "--data", at("sums.jsonl"), ...own, ...small], {
    env: { POSTTRAIN_MEMORY: "20MB" },
  });
  expect([tight.code, JSON.parse(tight.out).fits]).toEqual([1, false]);

  const init = ["init", "--stage", "grpo", "--model_name_or_path", model, "--data", at("sums.jsonl")];
  const written = await posttrainHere([...init, "--output", at("rl.yaml"), "--quiet"]);
  expect([written.code, written.err]).toEqual([0, ""]);
  // With who works for it: what the command takes, those that look at its config take too.
  appendFileSync(at("rl.yaml"), "redis: redis://127.0.0.1:1\nweights_dir: shared\n");
  const checked = await posttrainHere(["validate", "--config", at("rl.yaml"), "--quiet"]);
  expect([checked.code, checked.err]).toEqual([0, ""]);
});

it("trains, and leaves a checkpoint that other commands take", async () => {
  const whole = await posttrain(args("whole", "--json", ...uncut));
  expect(whole.err).toContain("an episode samples 2 prompts with 4 responses each");
  expect(whole.err).toMatch(/step 1 best +reward/);
  expect(whole.code).toBe(0);
  expect(JSON.parse(whole.out)).toMatchObject({ end: "done", step: 4 });

  const answer = await posttrainHere([
    "generate",
    "--model_name_or_path",
    at("whole", "checkpoint-4"),
    "--prompt",
    "Word 1?",
    "--max_new_tokens",
    "4",
  ]);
  expect(answer.code).toBe(0);
});

it("asked to stop while rewards are waited for, waits for them: it goes on to the same weights", async () => {
  const own = readFileSync(at("own.mjs"), "utf8");
  const slow = own
    .replace("= (", "= async (")
    .replace("=> (", "=> (await new Promise((done) => setTimeout(done, 100)), ");
  writeFileSync(at("slow.mjs"), slow);
  const slowArgs = args("stopped", ...uncut).map((arg) => (arg === at("own.mjs") ? at("slow.mjs") : arg));
  const run = startCommand(slowArgs);
  const journal = at("stopped", "episodes", "prepass.journal");
  await expect
    .poll(() => existsSync(journal) && readFileSync(journal, "utf8").includes('"verdict"'), {
      timeout: 120_000,
      interval: 5,
    })
    .toBe(true);
  run.child.kill("SIGINT");
  expect([await run.ended, run.said()]).toEqual([130, expect.stringContaining("Stopping after this step")]);
  expect(readFileSync(at("stopped", "rollouts", "step-000001.jsonl"), "utf8")).not.toContain("cancelled");
  expect(await posttrainHere([...slowArgs, "--resume_from_checkpoint"])).toMatchObject({ code: 0 });
  const weights = (name: string): Buffer => readFileSync(at(name, "checkpoint-4", "model.safetensors"));
  expect(weights("stopped").equals(weights("whole"))).toBe(true);
});

it("says in which row nothing can be graded, before a token is sampled", async () => {
  const outcome = await posttrainHere(
    args("ungraded").filter((arg) => arg !== "--verifier" && arg !== at("own.mjs")),
  );
  expect(outcome.code).toBe(1);
  expect(outcome.err).toContain("prompts.jsonl, line 1: ");
  expect(existsSync(at("ungraded"))).toBe(false);
});

it("ends with its own exit code when an alarm sounds, all saved", async () => {
  const outcome = await posttrainHere(args("alarm", "--most_truncated", "0.1"));
  expect(outcome.code).toBe(6);
  expect(outcome.out).toContain("ALARM at step 1");
  expect(existsSync(at("alarm", "checkpoint-1", "trainer", "grpo.json"))).toBe(true);
});

it("refuses a language model as the reward model, with the command that would make one", async () => {
  const outcome = await posttrainHere(
    args("wrong", "--reward_funcs", "reward_model", "--reward_model", model),
  );
  expect(outcome.code).toBe(1);
  expect(outcome.err).toMatch(/posttrain reward/);
});

it("refuses a reward model that means other words by the same ids, before a token is sampled", async () => {
  const scorer = at("scorer");
  cpSync(goldenPath("reward-tiny"), scorer, { recursive: true });
  const words = { model: { vocab: { other: 70 } }, added_tokens: [] };
  writeFileSync(join(scorer, "tokenizer.json"), JSON.stringify(words));
  const rewards = ["--reward_funcs", "reward_model", "--reward_model", scorer];
  const { code, err } = await posttrain(args("words", ...rewards));
  expect([code, err]).toEqual([
    1,
    expect.stringMatching(/scorer has another tokenizer than .*: token 70 is "other"/),
  ]);
  expect(existsSync(at("words"))).toBe(false);
});
