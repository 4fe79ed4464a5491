// A pipeline whose steps are done by workers: steps that do not read from each other at the same time, and the bytes of one machine, whoever dies in between.
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type RedisServer, redisOfTest, withRedis } from "../../../tests/support/redis-server.js";
import { conversation, makeModel, posttrain, writeRows } from "./support/command-line.js";
import { type Started, startCommand } from "./support/start-command.js";

/** Of what takes seconds on a quiet machine. */
const patience = { timeout: 240_000, interval: 20 };

let folder: string;
const training = "per_device_train_batch_size: 2\n    save_steps: 4";
const pipeline = `output_dir: run
steps:
  scores:
    run: score
    model_name_or_path: \${preferences.checkpoint}
    data: rows.jsonl
  first:
    run: sft
    model_name_or_path: model
    data: rows.jsonl
    max_steps: 4
    ${training}
  preferences:
    run: dpo
    model_name_or_path: \${first.checkpoint}
    data: pairs.jsonl
    max_steps: 8
    ${training}
  reward:
    run: reward
    model_name_or_path: \${first.checkpoint}
    data: pairs.jsonl
    max_steps: 8
    ${training}
`;

/** A folder of one test's own, which stands for what machines share. */
async function begin(name: string): Promise<string> {
  const own = join(folder, name);
  mkdirSync(own);
  await makeModel(own);
  const say = (content: string) => [{ role: "assistant", content }];
  writeRows(
    own,
    "rows.jsonl",
    Array.from({ length: 8 }, (_, i) => conversation(`${i} + 1?`, `${i + 1}`)),
  );
  writeRows(
    own,
    "pairs.jsonl",
    Array.from({ length: 8 }, (_, i) => ({
      ...{ prompt: [{ role: "user", content: `${i} + 2?` }], chosen: say(`${i + 2}`), rejected: say("none") },
    })),
  );
  writeFileSync(join(own, "p.yaml"), pipeline);
  return own;
}

/** SHA-256 of all that the steps are for. */
function madeIn(own: string): Readonly<Record<string, string>> {
  const names = readdirSync(join(own, "run"), { recursive: true }).map(String).sort();
  return Object.fromEntries(
    names
      .filter((name) => name.endsWith(".safetensors") || name === "scores.jsonl")
      .map((name) => [
        name,
        createHash("sha256")
          .update(readFileSync(join(own, "run", name)))
          .digest("hex"),
      ]),
  );
}

let alone: Readonly<Record<string, string>>;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "posttrain-pipeline-on-workers-"));
  const own = await begin("alone");
  const { code, err } = await posttrain(["run", "p.yaml", "--threads", "1"], { cwd: own });
  expect([code, err]).toEqual([0, expect.anything()]);
  alone = madeIn(own);
  expect(Object.keys(alone)).toContain("scores.jsonl");
  return () => rmSync(folder, { recursive: true });
});

const startWorker = (redis: RedisServer, own: string): Started =>
  startCommand(
    [
      ...["worker", "--kinds", "stage", "--folder", own, "--threads", "1", "--concurrency", "1"],
      ...["--lock_seconds", "4"],
    ],
    { POSTTRAIN_REDIS: redis.url },
  );
const active = (redis: RedisServer): number => Number(redis.cli("LLEN", "posttrain:stage:active"));

describe("a pipeline on workers", withRedis, () => {
  test("queues each step when what it reads is made: two machines train at once, and one of them dies", async () => {
    const redis = await redisOfTest();
    const own = await begin("shared");
    const run = posttrain(["run", "p.yaml"], { cwd: own, env: { POSTTRAIN_REDIS: redis.url } });
    const workers = [startWorker(redis, own), startWorker(redis, own)];
    await expect.poll(() => active(redis), patience).toBe(2);
    expect(existsSync(join(own, "run", "first", "checkpoint-4", "manifest.json"))).toBe(true);
    workers[0]?.child.kill("SIGKILL");
    const { code, out } = await run;
    expect(code).toBe(0);
    expect(out).toMatch(/preferences {2}job [0-9a-f]{12}$/m);
    expect(madeIn(own)).toEqual(alone);
    const again = await posttrain(["run", "p.yaml"], { cwd: own, env: { POSTTRAIN_REDIS: redis.url } });
    expect([again.code, again.out]).toEqual([4, expect.stringContaining("4 steps unchanged")]);
    expect(redis.cli("KEYS", "posttrain:stage:*:payload")).toBe("");
  });

  test("submitted as a whole, it needs no more than one worker, and goes on where it was killed", async () => {
    const redis = await redisOfTest();
    const own = await begin("submitted");
    const env = { POSTTRAIN_REDIS: redis.url };
    const submit = ["submit", "run", "--file", "p.yaml"];
    expect(await posttrain(submit, { cwd: own, env })).toMatchObject({ code: 0 });
    const first = startWorker(redis, own);
    await expect.poll(() => existsSync(join(own, "run", "first", "checkpoint-4")), patience).toBe(true);
    first.child.kill("SIGKILL");
    await first.ended;
    startWorker(redis, own);
    expect(await posttrain([...submit, "--wait"], { cwd: own, env })).toMatchObject({ code: 0 });
    expect(madeIn(own)).toEqual(alone);
  });

  test("a step that fails is told, and what does not read from it is done", async () => {
    const redis = await redisOfTest();
    const own = await begin("failing");
    // Of the two that read pairs the first: conversations are none.
    writeFileSync(join(own, "p.yaml"), pipeline.replace("pairs.jsonl", "rows.jsonl"));
    startWorker(redis, own);
    const { code, out, err } = await posttrain(["run", "p.yaml"], {
      cwd: own,
      env: { POSTTRAIN_REDIS: redis.url },
    });
    expect(code).toBe(1);
    expect(out + err).toMatch(
      /preferences {2}failed: posttrain dpo ended with exit code 1: .*rows\.jsonl, line 1/s,
    );
    expect(out).toMatch(/preferences {2}stopped with exit code 1\. Go on: npx posttrain run p\.yaml$/m);
    expect(existsSync(join(own, "run", "reward", "checkpoint-8", "manifest.json"))).toBe(true);
    expect(existsSync(join(own, "run", "scores.jsonl"))).toBe(false);
  });
});
