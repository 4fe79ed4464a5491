// Commands that sample, with workers that do it: the bytes of one process, whoever dies in between.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { freePort, type RedisServer, redisOfTest, withRedis } from "../../../tests/support/redis-server.js";
import { makeModel, posttrain } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";
import { type Started, startCommand } from "./support/start-command.js";

/** Of what takes seconds on a quiet machine. */
const patience = { timeout: 240_000, interval: 20 };

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);
const read = (...names: string[]): string => readFileSync(at(...names), "utf8");

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "posttrain-sampled-on-workers-"));
  await makeModel(folder);
  const rows = Array.from({ length: 5 }, (_, i) => ({ prompt: `Word ${i}?` }));
  writeFileSync(at("prompts.jsonl"), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  // Of what an untrained model writes, some are of even length.
  writeFileSync(at("own.mjs"), "export const grade = (response) => [...response].length % 2 === 0;\n");
  return () => rmSync(folder, { recursive: true });
});

const startWorker = (redis: RedisServer, place = ["--weights_dir", at("weights")], env = {}): Started =>
  startCommand(
    [
      ...["worker", "--redis", redis.url, "--kinds", "rollout,grade", ...place],
      ...["--verifier", at("own.mjs"), "--threads", "1", "--concurrency", "2", "--lock_seconds", "3"],
    ],
    env,
  );

const onWorkers = (redis: RedisServer): readonly string[] => [
  ...["--redis", redis.url, "--weights_dir", at("weights")],
];

/** SIGKILL to a worker that is at work for sure. */
async function killAtWork(redis: RedisServer, { child, ended }: Started): Promise<void> {
  const held = (): number => Number(redis.cli("LLEN", "posttrain:rollout:active"));
  for (;;) {
    await expect.poll(held, patience).toBeGreaterThan(0);
    child.kill("SIGSTOP");
    if (held() > 0) break;
    child.kill("SIGCONT");
  }
  child.kill("SIGKILL");
  await ended;
}

describe("on workers", withRedis, () => {
  test("generate writes the file of one process, in either dtype, and leaves neither weights nor jobs behind", async () => {
    const redis = await redisOfTest();
    startWorker(redis);
    for (const dtype of ["float32", "bfloat16"]) {
      const args = (output: string): readonly string[] => [
        ...["generate", "--model_name_or_path", at("model"), "--data", at("prompts.jsonl"), "--dtype", dtype],
        ...["--threads", "1"],
        ...["--num_samples", "3", "--temperature", "1", "--max_new_tokens", "24", "--stop", "a"],
        ...["--output", at(output)],
      ];
      const [alone, shared] = [`alone-${dtype}.jsonl`, `shared-${dtype}.jsonl`];
      expect(await posttrainHere(args(alone))).toMatchObject({ code: 0 });
      const { code, err } = await posttrainHere([...args(shared), ...onWorkers(redis)]);
      expect(code).toBe(0);
      expect(err).toContain("Workers sample: posttrain worker --kinds rollout --weights_dir");
      expect(err).toMatch(/15 samples: [\d,]+ tokens/);
      expect(read(shared)).toBe(read(alone));
    }
    expect(read("shared-float32.jsonl")).not.toBe(read("shared-bfloat16.jsonl"));
    expect(readdirSync(at("weights"))).toEqual([]);
    expect(redis.cli("KEYS", "posttrain:rollout:*:*")).toBe("");
  });

  test("generate serves the weights to a worker that shares no folder with it, and to nobody without the token", async () => {
    const redis = await redisOfTest();
    const port = String(await freePort());
    const place = ["--weights_url", `http://127.0.0.1:${port}`, "--weights_cache", at("cache")];
    startWorker(redis, place, { POSTTRAIN_WEIGHTS_TOKEN: "secret" });
    const args = (output: string): readonly string[] => [
      ...["generate", "--model_name_or_path", at("model"), "--data", at("prompts.jsonl"), "--threads", "1"],
      ...["--temperature", "1", "--max_new_tokens", "8", "--output", at(output)],
    ];
    const served = [...args("served.jsonl"), "--redis", redis.url, "--serve_weights", port];
    expect(await posttrainHere(args("not-served.jsonl"))).toMatchObject({ code: 0 });
    const refused = await posttrainHere(served, { env: { POSTTRAIN_WEIGHTS_TOKEN: "another" } });
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining("wants another token")]);
    expect(refused.err).not.toMatch(/secret|another"/);
    const { code, err } = await posttrainHere(served, { env: { POSTTRAIN_WEIGHTS_TOKEN: "secret" } });
    expect([code, err]).toEqual([0, expect.stringContaining(`--weights_url http://127.0.0.1:${port};`)]);
    expect(read("served.jsonl")).toBe(read("not-served.jsonl"));
    expect(readdirSync(at("cache", "tensors")).every((name) => /^[0-9a-f]{64}$/.test(name))).toBe(true);
  });

  test("dpo pairs of two checkpoints has the rows of one process", async () => {
    const redis = await redisOfTest();
    startWorker(redis);
    await makeModel(at("other"), 2);
    const args = (output: string): readonly string[] => [
      ...["dpo", "pairs", "--model_name_or_path", `${at("model")},${at("other", "model")}`],
      ...["--data", at("prompts.jsonl"), "--verifier", at("own.mjs"), "--num_samples", "4"],
      ...["--max_new_tokens", "16", "--threads", "1", "--output", at(output)],
    ];
    expect(await posttrainHere(args("pairs-alone.jsonl"))).toMatchObject({ code: 0 });
    expect(await posttrainHere([...args("pairs.jsonl"), ...onWorkers(redis)])).toMatchObject({ code: 0 });
    expect(read("pairs.jsonl")).not.toBe("");
    expect(read("pairs.jsonl")).toBe(read("pairs-alone.jsonl"));
    expect(readdirSync(at("weights"))).toEqual([]);
  });

  test("grpo ends in the weights of one process: a worker is killed while it samples, then the trainer, which goes on", async () => {
    const redis = await redisOfTest();
    const args = (run: string): readonly string[] => [
      ...[
        "grpo",
        "--model_name_or_path",
        at("model"),
        "--data",
        at("prompts.jsonl"),
        "--output_dir",
        at(run),
      ],
      ...["--verifier", at("own.mjs"), "--num_generations", "4", "--per_device_train_batch_size", "8"],
      ...[
        "--max_completion_length",
        "48",
        "--max_steps",
        "4",
        "--save_steps",
        "1",
        "--learning_rate",
        "1e-3",
      ],
      ...["--val_size", "1", "--most_truncated", "1", "--threads", "1"],
    ];
    expect(await posttrainHere(args("alone"))).toMatchObject({ code: 0 });
    const shared = [...args("shared"), ...onWorkers(redis)];
    const first = startWorker(redis);
    const trainer = startCommand(shared);
    await killAtWork(redis, first);
    startWorker(redis);
    await expect.poll(() => existsSync(at("shared", "checkpoint-1", "manifest.json")), patience).toBe(true);
    trainer.child.kill("SIGKILL");
    await trainer.ended;
    expect(existsSync(at("shared", "checkpoint-3"))).toBe(false);
    const { code, err } = await posttrain([...shared, "--resume_from_checkpoint"]);
    expect([code, err]).toEqual([0, expect.not.stringContaining("could not be graded")]);
    const weights = (run: string): Buffer => readFileSync(at(run, "checkpoint-3", "model.safetensors"));
    expect(weights("shared").equals(weights("alone"))).toBe(true);
    for (const name of readdirSync(at("alone", "rollouts"))) {
      const rollouts = (run: string): string =>
        read(run, "rollouts", name).replaceAll(/"seconds":[\d.e-]+/g, "");
      expect(rollouts("shared")).toBe(rollouts("alone"));
    }
    expect(readdirSync(at("weights"))).toEqual([]);
  });
});

test("what is missing is said before anything is sampled", async () => {
  const generate = ["generate", "--model_name_or_path", at("model"), "--prompt", "Hi"];
  expect(await posttrainHere([...generate, "--redis", "redis://127.0.0.1:1"])).toMatchObject({
    code: 1,
    err: expect.stringContaining("Give --weights_dir too"),
  });
  expect(await posttrainHere([...generate, "--weights_dir", at("weights")])).toMatchObject({
    code: 1,
    err: expect.stringContaining("Give --redis or POSTTRAIN_REDIS too"),
  });
  const worker = ["worker", "--kinds", "rollout", "--redis", "redis://127.0.0.1:1"];
  expect(await posttrainHere(worker)).toMatchObject({
    code: 1,
    err: expect.stringContaining("A worker of kind rollout needs --weights_dir"),
  });
});
