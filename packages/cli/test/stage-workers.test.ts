// Stages done by workers: the weights of the command itself, whoever dies in between.
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

const patience = { timeout: 240_000, interval: 50 };
const steps = 12;

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);

const configOf = (output: string): string =>
  `model_name_or_path: model\ndata: rows.jsonl\noutput_dir: ${output}\nmax_steps: ${steps}\nsave_steps: 3\nper_device_train_batch_size: 2\ngradient_accumulation_steps: 1\nlogging_steps: 1\n`;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "posttrain-stage-workers-"));
  await makeModel(folder);
  writeRows(
    folder,
    "rows.jsonl",
    Array.from({ length: 24 }, (_, i) => conversation(`${i} + 1?`, `${i + 1}`.repeat(20))),
  );
  writeFileSync(at("alone.yaml"), configOf("alone"));
  expect((await posttrain(["sft", "--config", "alone.yaml", "--threads", "1"], { cwd: folder })).code).toBe(
    0,
  );
  return () => rmSync(folder, { recursive: true });
});

const weights = (run: string): Buffer => readFileSync(at(run, `checkpoint-${steps}`, "model.safetensors"));

const startWorker = (redis: RedisServer, ...more: string[]): Started =>
  startCommand([
    ...["worker", "--redis", redis.url, "--kinds", "stage", "--folder", folder],
    ...["--threads", "1", "--concurrency", "1", "--lock_seconds", "4", ...more],
  ]);

async function submit(redis: RedisServer, run: string, ...more: string[]) {
  writeFileSync(at(`${run}.yaml`), configOf(run));
  return posttrain(["submit", "sft", "--file", `${run}.yaml`, "--redis", redis.url, ...more], {
    cwd: folder,
  });
}

const hasCheckpoint = (run: string, step: number): boolean =>
  existsSync(at(run, `checkpoint-${step}`, "manifest.json"));

describe("stages on workers", withRedis, () => {
  test("a submitted stage has the weights of the command; the second time nothing is left to do", async () => {
    const redis = await redisOfTest();
    const { code, out } = await submit(redis, "submitted");
    expect(code).toBe(0);
    expect(out).toMatch(/^Job [0-9a-f]{12}: posttrain sft, submitted\.yaml$/m);
    const worker = startWorker(redis, "--once");
    expect(await worker.ended).toBe(0);
    expect(weights("submitted").equals(weights("alone"))).toBe(true);
    const logs = await posttrain(["jobs", "list", "--state", "done", "--quiet", "--redis", redis.url]);
    const said = await posttrain(["jobs", "logs", logs.out.trim(), "--redis", redis.url]);
    expect(said.out).toContain(`checkpoint-${steps}`);
    expect((await submit(redis, "submitted", "--wait")).code).toBe(0);
    expect(weights("submitted").equals(weights("alone"))).toBe(true);
  });

  test("a worker that is killed is followed by another, from the newest checkpoint", async () => {
    const redis = await redisOfTest();
    await submit(redis, "killed");
    const first = startWorker(redis);
    await expect.poll(() => hasCheckpoint("killed", 3), patience).toBe(true);
    first.child.kill("SIGKILL");
    await first.ended;
    expect(hasCheckpoint("killed", steps)).toBe(false);
    startWorker(redis);
    expect((await submit(redis, "killed", "--wait")).code).toBe(0);
    expect(weights("killed").equals(weights("alone"))).toBe(true);
  });

  test("a worker that was stopped for longer than its lock is overtaken; what it says then changes nothing", async () => {
    const redis = await redisOfTest();
    await submit(redis, "paused");
    const first = startWorker(redis);
    await expect.poll(() => hasCheckpoint("paused", 3), patience).toBe(true);
    first.child.kill("SIGSTOP");
    const second = startWorker(redis);
    expect((await submit(redis, "paused", "--wait")).code).toBe(0);
    expect(second.said()).toContain("was taken back from a worker that had fallen silent");
    expect(weights("paused").equals(weights("alone"))).toBe(true);
    first.child.kill("SIGCONT");
    await expect
      .poll(() => first.said(), patience)
      .toMatch(/was lost to another worker|Redis: (Missing|could not renew)/);
    expect(weights("paused").equals(weights("alone"))).toBe(true);
  });

  test("a worker whose disk is full fails the stage by name; another goes on with it", async () => {
    const redis = await redisOfTest();
    await submit(redis, "full");
    // No file of more than 64 KiB: the log finds room, the weights do not.
    const full = startCommand(
      [
        ...["worker", "--redis", redis.url, "--kinds", "stage", "--folder", folder],
        ...["--threads", "1", "--concurrency", "1", "--once"],
      ],
      {},
      ["bash", "-c", 'ulimit -f 64; exec "$@"', "-"],
    );
    expect(await full.ended).toBe(0);
    expect(full.said()).toMatch(
      /stage [0-9a-f]{12} failed: posttrain sft ended with exit code 1: [\s\S]*cannot be written/,
    );
    expect(hasCheckpoint("full", steps)).toBe(false);
    startWorker(redis);
    expect((await submit(redis, "full", "--wait")).code).toBe(0);
    expect(weights("full").equals(weights("alone"))).toBe(true);
  });

  test("a command that begins anew each time drops what a lost worker left of it, and nothing else", async () => {
    const redis = await redisOfTest();
    writeFileSync(at("data.yaml"), "output_dir: made\nseed: 1\n");
    mkdirSync(at("made"));
    writeFileSync(at("made", "mine.txt"), "not the job's");
    const args = ["submit", "quickstart data", "--file", "data.yaml", "--redis", redis.url, "--quiet"];
    startWorker(redis);
    const refused = await posttrain([...args, "--wait"], { cwd: folder });
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining("already holds 1 entries")]);
    expect(readFileSync(at("made", "mine.txt"), "utf8")).toBe("not the job's");
    // As after a kill: the job had found its place empty.
    const [job = ""] = readdirSync(at(".posttrain-jobs")).filter((name) =>
      readFileSync(at(".posttrain-jobs", name), "utf8").includes("output_dir: made"),
    );
    writeFileSync(at(".posttrain-jobs", `${job}.began`), "");
    expect((await posttrain([...args, "--wait"], { cwd: folder })).code).toBe(0);
    expect(readdirSync(at("made"))).toContain("questions.jsonl");
    expect(existsSync(at("made", "mine.txt"))).toBe(false);
  });

  test("a worker that is asked to end saves a checkpoint and gives the stage back", async () => {
    const redis = await redisOfTest();
    await submit(redis, "given-back");
    const first = startWorker(redis);
    await expect.poll(() => hasCheckpoint("given-back", 3), patience).toBe(true);
    first.child.kill("SIGTERM");
    expect(await first.ended).toBe(0);
    expect(first.said()).toContain("was given back");
    expect(hasCheckpoint("given-back", steps)).toBe(false);
    const second = startWorker(redis, "--once");
    expect(await second.ended).toBe(0);
    expect(weights("given-back").equals(weights("alone"))).toBe(true);
  });

  test("a cancelled stage ends", async () => {
    const redis = await redisOfTest();
    // Long enough that it is still at work when it is cancelled.
    const long = configOf("cancelled").replace(/max_steps: \d+/, "max_steps: 100000\nsave_total_limit: 1");
    writeFileSync(at("cancelled.yaml"), long);
    const args = ["submit", "sft", "--file", "cancelled.yaml", "--redis", redis.url];
    expect((await posttrain(args, { cwd: folder })).code).toBe(0);
    const worker = startWorker(redis);
    await expect.poll(() => existsSync(at("cancelled", "trainer_log.jsonl")), patience).toBe(true);
    const { out } = await posttrain(["jobs", "list", "--quiet", "--redis", redis.url]);
    expect((await posttrain(["jobs", "cancel", out.trim(), "--redis", redis.url])).out).toBe(
      "Its worker is told.\n",
    );
    await expect.poll(() => worker.said(), patience).toContain("failed: cancelled");
    await expect.poll(() => redis.cli("KEYS", `*${out.trim()}*`), patience).toBe("");
  });

  test.each([
    ["data: /etc/passwd", /data is "\/etc\/passwd", expected a path below the folder/],
    ["output_dir: a/../../b", /output_dir is "a\/\.\.\/\.\.\/b", expected a path below the folder/],
  ])("a worker refuses %s", async (line, message) => {
    const redis = await redisOfTest();
    writeFileSync(
      at("bad.yaml"),
      `${configOf("bad").replace(new RegExp(`^${line.split(":")[0]}:.*$`, "m"), line)}`,
    );
    startWorker(redis);
    const { code, err } = await posttrain(
      ["submit", "sft", "--file", "bad.yaml", "--redis", redis.url, "--wait"],
      { cwd: folder },
    );
    expect(code).toBe(1);
    expect(err).toMatch(message);
  });

  test("what is wrong with a config is said before it is queued", async () => {
    const redis = await redisOfTest();
    writeFileSync(at("wrong.yaml"), `${configOf("wrong")}learning_rat: 1\n`);
    const { code, err } = await posttrain(["submit", "sft", "--file", "wrong.yaml", "--redis", redis.url], {
      cwd: folder,
    });
    expect(code).toBe(1);
    expect(err).toContain("wrong.yaml, line 9: learning_rat is not an option; did you mean learning_rate?");
    expect(redis.cli("KEYS", "*")).toBe("");
  });
});
