// Stages that grade a part of their work: pairs, preferences and rewards are those of one process, whoever grades and whoever dies in between.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type RedisServer, redisOfTest, withRedis } from "../../../tests/support/redis-server.js";
import { makeModel, posttrain } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";
import { type Started, startCommand } from "./support/start-command.js";

/** Of what takes seconds on a quiet machine. */
const patience = { timeout: 240_000, interval: 20 };

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "posttrain-graded-on-workers-"));
  await makeModel(folder);
  // Takes its time, so that a worker can be killed in the middle. An untrained model writes an "e" now and then.
  writeFileSync(
    at("slow.mjs"),
    `export async function grade(response, row) {
  await new Promise((resolve) => setTimeout(resolve, 60));
  return row.answer === undefined ? response.includes("e") : response.startsWith(row.answer);
}`,
  );
  const lines = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
  const asked = Array.from({ length: 12 }, (_, i) => ({
    prompt: `What is ${i} + ${i}?`,
    answer: `${2 * i}`,
  }));
  const responses = asked.map((row, i) => ({
    ...row,
    responses: [`${2 * i}!`, `${2 * i + 1}?`, `${2 * i}, I think`],
  }));
  writeFileSync(at("responses.jsonl"), lines(responses));
  writeFileSync(at("prompts.jsonl"), lines(Array.from({ length: 4 }, (_, i) => ({ prompt: `Word ${i}?` }))));
  return () => rmSync(folder, { recursive: true });
});

const startWorker = (redis: RedisServer): Started =>
  startCommand([
    ...["worker", "--redis", redis.url, "--kinds", "grade", "--concurrency", "2", "--lock_seconds", "4"],
    ...["--verifier", at("slow.mjs")],
  ]);

/** Without how long it took, which no two runs have in common. */
const withoutTimes = (text: string): string => text.replaceAll(/"seconds":[\d.e-]+/g, "");

/** Lines of a journal in their order by key: verdicts come in any. */
const journal = (path: string): readonly string[] =>
  existsSync(path) ? withoutTimes(readFileSync(path, "utf8")).trimEnd().split("\n").sort() : [];

/** Runs it on two workers, of which the first is killed once `done` says that some is graded. */
async function disturbed(args: readonly string[], done: () => number, all: number): Promise<void> {
  const redis = await redisOfTest();
  const first = startWorker(redis);
  const run = posttrain(args, { env: { POSTTRAIN_REDIS: redis.url } });
  await expect.poll(done, patience).toBeGreaterThan(2);
  first.child.kill("SIGKILL");
  await first.ended;
  expect(done()).toBeLessThan(all);
  startWorker(redis);
  const { code, err } = await run;
  expect([code, err]).toEqual([0, expect.not.stringContaining("could not be graded")]);
  expect(redis.cli("KEYS", "posttrain:grade:*:payload")).toBe("");
  expect(redis.cli("ZCARD", "posttrain:grade:completed")).toBe("0");
}

describe("on workers, one of which is killed", withRedis, () => {
  test.each([
    ["dpo pairs", []],
    ["reward data", ["--pairs_per_query", "2"]],
  ])("%s has the rows and the journal of one process", async (name, more) => {
    const args = (output: string): readonly string[] => [
      ...[...name.split(" "), "--responses", at("responses.jsonl"), "--verifier", at("slow.mjs")],
      ...["--output", at(output), ...more],
    ];
    const [alone, shared] = [`${name}-alone.jsonl`, `${name}-shared.jsonl`];
    const journalOf = (output: string): readonly string[] =>
      journal(at(`${output}.progress`, "journal.jsonl"));
    expect(await posttrainHere(args(alone))).toMatchObject({ code: 0 });
    const all = journalOf(alone).length;
    expect(all).toBeGreaterThanOrEqual(36);
    await disturbed(args(shared), () => journalOf(shared).length, all);
    const written = readFileSync(at(shared), "utf8");
    expect(written.split("\n").length).toBeGreaterThan(12);
    expect(written).toBe(readFileSync(at(alone), "utf8"));
    expect(journalOf(shared)).toEqual(journalOf(alone));
    // Where Redis is decides nothing: without it nothing is left to do.
    expect(await posttrainHere(args(shared))).toMatchObject({ code: 4 });
  });

  test("evaluate has the samples and the table of one process", async () => {
    const args = (dir: string): readonly string[] => [
      ...["evaluate", "--model_name_or_path", at("model"), "--data", at("responses.jsonl"), "--limit", "8"],
      ...["--verifier", at("slow.mjs"), "--num_samples", "2", "--temperature", "1", "--max_new_tokens", "8"],
      ...["--threads", "1", "--output_dir", at(dir)],
    ];
    const samples = (dir: string): string => {
      const names = readdirSync(at(dir), { recursive: true }).map(String);
      const name = names.find((one) => /samples_[^/]*$/.test(one)) ?? "";
      return withoutTimes(readFileSync(at(dir, name), "utf8"));
    };
    const alone = await posttrainHere(args("evaluated-alone"));
    expect(alone.code).toBe(0);
    const redis = await redisOfTest();
    const run = posttrain(args("evaluated-shared"), { env: { POSTTRAIN_REDIS: redis.url } });
    const first = startWorker(redis);
    await expect.poll(() => Number(redis.cli("LLEN", "posttrain:grade:active")), patience).toBeGreaterThan(0);
    first.child.kill("SIGKILL");
    await first.ended;
    startWorker(redis);
    const shared = await run;
    expect([shared.code, shared.out]).toEqual([0, alone.out]);
    expect(samples("evaluated-shared")).toBe(samples("evaluated-alone"));
    expect(samples("evaluated-shared").trimEnd().split("\n")).toHaveLength(8);
  });

  test("grpo has the weights, the rollouts and the journal of one process", async () => {
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
      ...["--verifier", at("slow.mjs"), "--num_generations", "4", "--per_device_train_batch_size", "8"],
      ...["--max_completion_length", "16", "--max_steps", "2", "--learning_rate", "1e-3", "--threads", "1"],
      ...["--most_truncated", "1"],
    ];
    expect(await posttrainHere(args("alone"))).toMatchObject({ code: 0 });
    const episodes = (run: string): readonly string[] =>
      existsSync(at(run, "rollouts")) ? readdirSync(at(run, "rollouts")).sort() : [];
    const graded = (run: string): number =>
      existsSync(at(run, "episodes"))
        ? readdirSync(at(run, "episodes")).reduce(
            (sum, name) => sum + journal(at(run, "episodes", name)).length,
            0,
          )
        : 0;
    await disturbed(args("shared"), () => graded("shared"), Number.POSITIVE_INFINITY);
    const weights = (run: string): Buffer => readFileSync(at(run, "checkpoint-2", "model.safetensors"));
    expect(weights("shared").equals(weights("alone"))).toBe(true);
    expect(episodes("shared")).toHaveLength(2);
    for (const name of episodes("alone")) {
      const rollouts = (run: string): string => withoutTimes(readFileSync(at(run, "rollouts", name), "utf8"));
      expect(rollouts("shared")).toBe(rollouts("alone"));
    }
    const written = readdirSync(at("shared"), { recursive: true }) as string[];
    for (const file of written.filter((one) => /\.(json|jsonl|yaml)$/.test(one)))
      expect(readFileSync(at("shared", file), "utf8")).not.toContain("redis://");
  });
});
