// Grading by workers, with processes and a Redis of their own: the same rows as without, whoever dies in between.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type RedisServer, redisOfTest, withRedis } from "../../../tests/support/redis-server.js";
import { type Outcome, posttrain } from "./support/command-line.js";
import { type Started, startCommand } from "./support/start-command.js";

/** Of what takes seconds on a quiet machine. */
const patience = { timeout: 240_000, interval: 50 };
const count = 40;

let folder: string;
const at = (name: string): string => join(folder, name);

/** A verifier that takes its time; of a poisoned row it takes its worker with it. */
const module = `
export async function grade(response, row) {
  if (response.includes("poison") && process.env.POISON) process.kill(process.ppid, "SIGKILL");
  await new Promise((resolve) => setTimeout(resolve, 150));
  return response === row.answer;
}`;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "posttrain-workers-"));
  writeFileSync(at("slow.mjs"), module);
  const rows = Array.from({ length: count }, (_, i) => ({
    question: `${i}?`,
    answer: String(i),
    response: i === 17 ? "poison" : String(i - (i % 3)),
  }));
  writeFileSync(at("rows.jsonl"), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const { code, err } = await posttrain(
    ["verify", "--data", at("rows.jsonl"), "--verifier", at("slow.mjs"), "--output", at("alone.jsonl")],
    { env: { POISON: "" } },
  );
  expect(err).toContain("slow.mjs#grade");
  expect(code).toBe(0);
  return () => rmSync(folder, { recursive: true });
});

/** Without how long it took, which no two runs have in common. */
const withoutSeconds = (path: string): string =>
  readFileSync(path, "utf8").replaceAll(/"seconds":[\d.e-]+/g, "");

const startWorker = (redis: RedisServer, ...more: string[]): Started =>
  startCommand([
    ...["worker", "--redis", redis.url, "--kinds", "grade", "--concurrency", "2", "--lock_seconds", "4"],
    ...["--verifier", at("slow.mjs"), ...more],
  ]);

function verifyArgs(redis: RedisServer, output: string): readonly string[] {
  return [
    ...["verify", "--redis", redis.url, "--data", at("rows.jsonl"), "--verifier", at("slow.mjs")],
    ...["--output", output, "--json"],
  ];
}

/** Verdicts in the journal, its first line not counted. */
function journalled(output: string): number {
  const path = `${output}.progress/journal.jsonl`;
  return existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n").length - 1 : 0;
}

function outputOfTest(): string {
  return join(mkdtempSync(join(folder, "test-")), "out.jsonl");
}

function expectUndisturbed(output: string): void {
  expect(withoutSeconds(output)).toBe(withoutSeconds(at("alone.jsonl")));
  expect(journalled(output)).toBe(count);
}

describe("verify on workers", withRedis, () => {
  test("rows, verdicts and journal are those of one process, and nothing stays in Redis", async () => {
    const redis = await redisOfTest();
    const output = outputOfTest();
    const workers = [startWorker(redis), startWorker(redis)];
    const { code } = await posttrain(verifyArgs(redis, output));
    expect(code).toBe(0);
    expectUndisturbed(output);
    for (const { child, ended, said } of workers) {
      child.kill("SIGTERM");
      expect(await ended).toBe(0);
      expect(said()).toMatch(/[1-9]\d* jobs? done, 0 failed\.$/m);
    }
    expect(redis.cli("KEYS", "*")).toBe("");
  });

  test("a worker that is killed costs its own work", async () => {
    const redis = await redisOfTest();
    const output = outputOfTest();
    const run = posttrain(verifyArgs(redis, output));
    const first = startWorker(redis);
    await expect.poll(() => journalled(output), patience).toBeGreaterThan(4);
    first.child.kill("SIGKILL");
    expect(journalled(output)).toBeLessThan(count);
    startWorker(redis);
    expect((await run).code).toBe(0);
    expectUndisturbed(output);
  });

  test("a command that is killed goes on from its journal", async () => {
    const redis = await redisOfTest();
    const output = outputOfTest();
    startWorker(redis);
    const first = startCommand(verifyArgs(redis, output));
    await expect.poll(() => journalled(output), patience).toBeGreaterThan(4);
    first.child.kill("SIGKILL");
    await first.ended;
    const kept = journalled(output);
    expect(kept).toBeLessThan(count);
    const { code, out } = await posttrain(verifyArgs(redis, output));
    expect(code).toBe(0);
    expect((JSON.parse(out) as { fromJournal: number }).fromJournal).toBe(kept);
    expectUndisturbed(output);
  });

  test("a worker that was stopped for longer than its lock is overtaken; what it says then changes nothing", async () => {
    const redis = await redisOfTest();
    const output = outputOfTest();
    const run = posttrain(verifyArgs(redis, output));
    const paused = startWorker(redis);
    await expect.poll(() => journalled(output), patience).toBeGreaterThan(4);
    paused.child.kill("SIGSTOP");
    const other = startWorker(redis);
    expect((await run).code).toBe(0);
    expect(other.said()).toContain("was taken back from a worker that had fallen silent");
    paused.child.kill("SIGCONT");
    expectUndisturbed(output);
    await expect.poll(() => paused.said(), patience).toMatch(/Redis: (Missing|could not renew)/);
    expectUndisturbed(output);
  });

  test("Redis cannot be reached for longer than a worker holds its jobs", async () => {
    const redis = await redisOfTest();
    const output = outputOfTest();
    startWorker(redis);
    const run = posttrain(verifyArgs(redis, output));
    await expect.poll(() => journalled(output), patience).toBeGreaterThan(4);
    redis.pause();
    expect(journalled(output)).toBeLessThan(count);
    await new Promise((resolve) => setTimeout(resolve, 6000));
    redis.resume();
    expect((await run).code).toBe(0);
    expectUndisturbed(output);
  });

  test.each([
    ["with its append-only file", ["--appendonly", "yes", "--appendfsync", "always"]],
    ["with nothing left", []],
  ])("Redis is killed and comes back %s", async (_, args) => {
    const redis = await redisOfTest(args);
    const output = outputOfTest();
    startWorker(redis);
    const run = posttrain(verifyArgs(redis, output));
    await expect.poll(() => journalled(output), patience).toBeGreaterThan(4);
    await redis.kill();
    expect(journalled(output)).toBeLessThan(count);
    await redis.start();
    expect((await run).code).toBe(0);
    expectUndisturbed(output);
  });

  test("a row that takes its workers with it is given up after three, said, and kept to be looked at; all others are graded", async () => {
    const redis = await redisOfTest();
    const output = outputOfTest();
    let deaths = 0;
    let isOver = false;
    let last: Started | undefined;
    // As systemd would.
    const keepUp = async (): Promise<void> => {
      while (!isOver) {
        const worker = startCommand(
          [
            "worker",
            "--redis",
            redis.url,
            "--kinds",
            "grade",
            "--concurrency",
            "1",
            "--lock_seconds",
            "2",
            "--verifier",
            at("slow.mjs"),
          ],
          { POISON: "yes" },
        );
        last = worker;
        if ((await worker.ended) === null && !isOver) deaths++;
      }
    };
    void keepUp();
    const { code, out } = await posttrain(verifyArgs(redis, output));
    isOver = true;
    last?.child.kill("SIGKILL");
    expect(code).toBe(5);
    expect(deaths).toBe(3);
    const { outcomes, ungraded } = JSON.parse(out) as {
      outcomes: Record<string, number>;
      ungraded: { line: number; evidence: string }[];
    };
    expect(outcomes["infrastructure-error"]).toBe(1);
    expect(ungraded).toMatchObject([
      { line: 18, evidence: expect.stringMatching(/its job was tried .* by workers: .*stalled/) },
    ]);
    const rowsOf = (path: string): readonly string[] =>
      withoutSeconds(path)
        .split("\n")
        .filter((line) => !line.includes("poison"));
    expect(rowsOf(output)).toEqual(rowsOf(at("alone.jsonl")));
    const failed = await posttrain(["jobs", "failed", "--redis", redis.url, "--json"]);
    const { jobs } = JSON.parse(failed.out) as { jobs: { id: string; error: string }[] };
    expect(jobs).toMatchObject([
      { kind: "grade", state: "failed", error: expect.stringContaining("stalled") },
    ]);
    const shown = await posttrain(["jobs", "show", jobs[0]!.id.slice(0, 8), "--redis", redis.url, "--quiet"]);
    expect(shown.out).toContain('"poison"');
    // Cured, the same command tries it again and leaves all else as it is.
    startWorker(redis);
    const again = await posttrain(verifyArgs(redis, output));
    expect(again.code).toBe(0);
    expectUndisturbed(output);
  });

  test("a job names its module by what it holds: another is not run in its place", async () => {
    const redis = await redisOfTest();
    const output = outputOfTest();
    writeFileSync(join(output, "..", "slow.mjs"), `${module}\n// another`);
    startCommand([
      "worker",
      "--redis",
      redis.url,
      "--kinds",
      "grade",
      "--verifier",
      join(output, "..", "slow.mjs"),
    ]);
    const { code, out } = await posttrain(verifyArgs(redis, output));
    expect(code).toBe(5);
    const { outcomes, ungraded } = JSON.parse(out) as {
      outcomes: Record<string, number>;
      ungraded: { evidence: string }[];
    };
    expect(outcomes["infrastructure-error"]).toBe(count);
    expect(ungraded[0]?.evidence).toContain("this worker has no module slow.mjs#grade");
  });
});

describe("posttrain jobs", withRedis, () => {
  const jobs = (redis: RedisServer, ...args: string[]): Promise<Outcome> =>
    posttrain(["jobs", ...args, "--redis", redis.url]);

  test("lists, shows, cancels and drains what waits", async () => {
    const redis = await redisOfTest();
    expect((await jobs(redis, "list")).out).toBe("No jobs.\n");
    const run = startCommand(verifyArgs(redis, outputOfTest()));
    await expect.poll(() => redis.cli("ZCARD", "posttrain:grade:prioritized"), patience).toBe(String(count));
    const { out } = await jobs(redis, "list", "--limit", "5");
    expect(out).toContain(`grade: 0 under way, ${count} waiting, 0 failed`);
    const [, id = ""] = /^([0-9a-f]{12}) {2}grade {2}waiting {2}slow\.mjs#grade/m.exec(out) ?? [];
    expect((await jobs(redis, "show", id)).out).toContain('"row":{"question":');
    run.child.kill("SIGKILL");
    await run.ended;
    expect((await jobs(redis, "cancel", id)).out).toBe("Removed.\n");
    expect(await jobs(redis, "show", id)).toMatchObject({
      code: 1,
      err: expect.stringContaining(`has no job ${id}`),
    });
    expect((await jobs(redis, "drain")).out).toContain(`${count - 1} jobs removed.`);
    expect((await jobs(redis, "list")).out).toBe("No jobs.\n");
    expect(
      redis
        .cli("KEYS", "*")
        .split("\n")
        .filter((key) => !key.endsWith(":cancelled") && key !== ""),
    ).toEqual([]);
  });

  test("an address that is wrong is told in one sentence, without its password", async () => {
    const { code, err } = await posttrain(["jobs", "list"], {
      env: { POSTTRAIN_REDIS: "redis://:hunter2@127.0.0.1:1" },
    });
    expect(code).toBe(1);
    expect(err).toMatch(/^Redis at redis:\/\/127\.0\.0\.1:1\/0 cannot be used: .*\n$/);
  });
});
