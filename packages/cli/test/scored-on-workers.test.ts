// Scores of a reward model by workers: the same to the bit, whoever dies in between, and of no other model.
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type RedisServer, redisOfTest, withRedis } from "../../../tests/support/redis-server.js";
import { makeModel, type Outcome, posttrain, writeRows } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";
import { type Started, startCommand } from "./support/start-command.js";

/** Of what takes seconds on a quiet machine. */
const patience = { timeout: 240_000, interval: 10 };
const heads = ["helpfulness", "conciseness"] as const;

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "posttrain-scored-on-workers-"));
  await makeModel(folder);
  const say = (content: string) => [{ role: "assistant", content }];
  const ask = (i: number) => [{ role: "user", content: `${i} + ${i}?` }];
  const pairs = Array.from({ length: 4 }, (_, i) => ({
    ...{ prompt: ask(i), chosen: say(`${2 * i}`), rejected: say(`${2 * i + 1}`) },
    criteria: { helpfulness: "chosen", conciseness: "rejected" },
  }));
  writeRows(folder, "pairs.jsonl", pairs);
  const made = await posttrainHere([
    ...["reward", "--model_name_or_path", at("model"), "--data", at("pairs.jsonl"), "--max_steps", "1"],
    ...["--output_dir", at("trained"), ...heads.flatMap((name) => ["--criteria", name])],
  ]);
  expect([made.code, made.err]).toEqual([0, ""]);
  cpSync(at("trained", "checkpoint-1"), at("reward"), { recursive: true });
  const many = Array.from({ length: 100 }, (_, i) =>
    i % 3 === 0
      ? pairs[i % 4]
      : { prompt: ask(i), responses: [`${i}`, "word ".repeat(1 + (i % 20)), `${2 * i}`] },
  );
  writeRows(folder, "many.jsonl", [...many, { text: "longer than the context ".repeat(400) }]);
  return () => rmSync(folder, { recursive: true });
});

const startWorker = (redis: RedisServer, ...more: string[]): Started =>
  startCommand(
    ["worker", "--kinds", "score", "--concurrency", "1", "--threads", "1", "--lock_seconds", "4", ...more],
    { POSTTRAIN_REDIS: redis.url },
  );

const scoreArgs = (output: string): readonly string[] => [
  ...["reward", "score", "--model_name_or_path", "reward", "--data", "many.jsonl", "--output", output],
];
const score = (redis: RedisServer, output: string): Promise<Outcome> =>
  posttrain(scoreArgs(output), { cwd: folder, env: { POSTTRAIN_REDIS: redis.url } });

describe("scores on workers", withRedis, () => {
  test("reward score writes the bytes of one process, though a worker is killed", async () => {
    expect(await posttrainHere(scoreArgs("alone.jsonl"), { cwd: folder })).toMatchObject({ code: 0 });
    const redis = await redisOfTest();
    const run = score(redis, "shared.jsonl");
    const first = startWorker(redis, "--folder", folder);
    await expect.poll(() => Number(redis.cli("LLEN", "posttrain:score:active")), patience).toBeGreaterThan(0);
    first.child.kill("SIGKILL");
    await first.ended;
    expect(existsSync(at("shared.jsonl"))).toBe(false);
    const second = startWorker(redis, "--folder", folder);
    const { code, err } = await run;
    expect([code, err]).toEqual([
      0,
      expect.stringContaining("reward: on workers (posttrain worker --kinds score;"),
    ]);
    const alone = readFileSync(at("alone.jsonl"), "utf8");
    expect(alone).toMatch(/"head_scores":\[?\{"helpfulness":/);
    expect(alone).toContain('"reward_score":null');
    expect(readFileSync(at("shared.jsonl"), "utf8")).toBe(alone);
    second.child.kill("SIGTERM");
    expect(await second.ended).toBe(0);
    expect(redis.cli("KEYS", "*")).toBe("");
  });

  test("a worker whose folder holds another model scores nothing", async () => {
    const redis = await redisOfTest();
    const other = at("other-machine");
    cpSync(at("reward"), join(other, "reward"), { recursive: true });
    const weights = readFileSync(join(other, "reward", "model.safetensors"));
    weights[weights.length - 1]! ^= 1;
    writeFileSync(join(other, "reward", "model.safetensors"), weights);
    startWorker(redis, "--folder", other);
    const { code, err } = await score(redis, "none.jsonl");
    expect([code, err]).toEqual([
      1,
      expect.stringMatching(
        /Workers could not score with reward: this worker's \S+other-machine\/reward holds the model [0-9a-f]{16}, and [0-9a-f]{16} is asked for/,
      ),
    ]);
    expect(existsSync(at("none.jsonl"))).toBe(false);
  });

  test("grpo with a reward model has the weights of one process", async () => {
    writeRows(
      folder,
      "prompts.jsonl",
      Array.from({ length: 4 }, (_, i) => ({ prompt: `Word ${i}?` })),
    );
    const args = (run: string): readonly string[] => [
      ...["grpo", "--model_name_or_path", "model", "--data", "prompts.jsonl", "--output_dir", run],
      ...["--reward_funcs", "reward_model", "--reward_model", "reward", "--num_generations", "4"],
      ...["--per_device_train_batch_size", "8", "--max_completion_length", "12", "--max_steps", "2"],
      ...["--learning_rate", "1e-3", "--threads", "1", "--most_truncated", "1"],
    ];
    expect(await posttrainHere(args("rl-alone"), { cwd: folder })).toMatchObject({ code: 0 });
    const redis = await redisOfTest();
    startWorker(redis, "--folder", folder);
    const run = await posttrain(args("rl-shared"), { cwd: folder, env: { POSTTRAIN_REDIS: redis.url } });
    expect([run.code, run.err]).toEqual([0, ""]);
    const bytes = (name: string, ...parts: string[]): Buffer => readFileSync(at(name, ...parts));
    for (const parts of [
      ["checkpoint-2", "model.safetensors"],
      ["rollouts", "step-000002.jsonl"],
    ])
      expect(bytes("rl-shared", ...parts).equals(bytes("rl-alone", ...parts))).toBe(true);
  });
});
