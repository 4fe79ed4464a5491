// What holds of jobs wherever they are done: in this process, and by workers through Redis.
import { setTimeout as wait } from "node:timers/promises";
import { UserError } from "@posttrain/data";
import {
  defineHandler,
  defineKind,
  type Handler,
  type Job,
  type Jobs,
  openJobsHere,
  openRedisJobs,
  openWorker,
} from "@posttrain/jobs";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { type RedisServer, startRedis, withRedis } from "../../../tests/support/redis-server.js";

const kind = defineKind({
  name: "double",
  payload: z.strictObject({ number: z.number(), ms: z.number().default(0), text: z.string().default("") }),
  result: z.strictObject({ double: z.number(), text: z.string() }),
});
type Payload = z.output<typeof kind.payload>;

const job = (number: number, more: Partial<Payload> = {}): Job<Payload> => ({
  payload: { number, ms: 0, text: "", ...more },
});

/** What the handler of a test was asked for, in this order. */
interface Seen {
  readonly numbers: number[];
  readonly cancelled: number[];
}

function doubling(
  seen: Seen,
  fails: (number: number, times: number) => Error | undefined = () => undefined,
): Handler {
  return defineHandler(kind, async ({ number, ms, text }, { cancelled }) => {
    seen.numbers.push(number);
    const error = fails(number, seen.numbers.filter((one) => one === number).length);
    if (error !== undefined) throw error;
    try {
      await wait(ms, undefined, { signal: cancelled });
    } catch (aborted) {
      seen.cancelled.push(number);
      throw aborted;
    }
    return { double: number * 2, text };
  });
}

type Open = (handler: Handler, concurrency?: number) => Promise<Jobs>;

async function outcomesOf(jobs: Jobs, batch: readonly Job<Payload>[]) {
  const outcomes = [];
  for await (const outcome of jobs.submit(kind, batch)) outcomes.push(outcome);
  return outcomes.sort((a, b) => a.place - b.place);
}

const nobody = (): Seen => ({ numbers: [], cancelled: [] });

function conformance(open: Open): void {
  test("each job of a batch has its result, in whatever order they come", async () => {
    const jobs = await open(doubling(nobody()), 4);
    const numbers = Array.from({ length: 40 }, (_, i) => i);
    const outcomes = await outcomesOf(
      jobs,
      numbers.map((n) => job(n, { ms: (n * 7) % 30 })),
    );
    expect(outcomes.map((one) => one.state === "done" && one.result.double)).toEqual(
      numbers.map((n) => n * 2),
    );
  });

  test("an empty batch ends", async () => {
    const jobs = await open(doubling(nobody()));
    expect(await outcomesOf(jobs, [])).toEqual([]);
  });

  test("a payload that is not of its kind is refused by who submits it", async () => {
    const jobs = await open(doubling(nobody()));
    expect(() => jobs.submit(kind, [{ payload: { number: "1" } as unknown as Payload }])).toThrow(z.ZodError);
  });

  test("the same content is the same job: done once, told twice", async () => {
    const seen = nobody();
    const jobs = await open(doubling(seen));
    const [one, two, other] = await outcomesOf(jobs, [job(3, { ms: 50 }), job(3, { ms: 50 }), job(4)]);
    expect(one?.id).toBe(two?.id);
    expect(other?.id).not.toBe(one?.id);
    expect([one, two].map((own) => own?.state === "done" && own.result.double)).toEqual([6, 6]);
    expect(seen.numbers.filter((n) => n === 3)).toHaveLength(1);
  });

  test("weights and seed are part of what a job is", async () => {
    const jobs = await open(doubling(nobody()));
    const { ids } = jobs.submit(kind, [
      job(1),
      { ...job(1), seed: 1 },
      { ...job(1), seed: 2 },
      { ...job(1), weights: "a" },
      { ...job(1), rank: 5, label: "named" },
    ]);
    expect(new Set(ids).size).toBe(4);
    expect(ids[4]).toBe(ids[0]);
  });

  test("a job that throws is tried again", async () => {
    const seen = nobody();
    const jobs = await open(doubling(seen, (_, times) => (times < 3 ? new Error("not yet") : undefined)));
    const [outcome] = await outcomesOf(jobs, [job(5)]);
    expect(outcome).toMatchObject({ state: "done", result: { double: 10 } });
    expect(seen.numbers).toEqual([5, 5, 5]);
  });

  test("a job that always throws fails alone, after three tries", async () => {
    const jobs = await open(
      doubling(nobody(), (number) => (number === 2 ? new Error("two is broken") : undefined)),
    );
    const outcomes = await outcomesOf(jobs, [job(1), job(2), job(3)]);
    expect(outcomes.map(({ state }) => state)).toEqual(["done", "failed", "done"]);
    expect(outcomes[1]).toMatchObject({ error: "two is broken", tries: 3 });
  });

  test("a mistake of the user's is not tried again", async () => {
    const seen = nobody();
    const jobs = await open(doubling(seen, () => new UserError("no_file", "the file is not there.")));
    const [outcome] = await outcomesOf(jobs, [job(1)]);
    expect(outcome).toMatchObject({ state: "failed", error: "the file is not there.", tries: 1 });
    expect(seen.numbers).toEqual([1]);
  });

  test("what has failed is tried anew when it is asked for again; what is done, too", async () => {
    const seen = nobody();
    let isBroken = true;
    const jobs = await open(doubling(seen, () => (isBroken ? new Error("broken") : undefined)));
    expect(await outcomesOf(jobs, [job(8)])).toMatchObject([{ state: "failed", error: "broken" }]);
    isBroken = false;
    expect(await outcomesOf(jobs, [job(8)])).toMatchObject([{ state: "done", result: { double: 16 } }]);
    expect(await outcomesOf(jobs, [job(8)])).toMatchObject([{ state: "done", result: { double: 16 } }]);
  });

  test("a result that is not of the kind is a failure", async () => {
    const wrong = defineHandler(
      kind,
      async () => ({ double: "2" }) as unknown as { double: number; text: string },
    );
    const [outcome] = await outcomesOf(await open(wrong), [job(1)]);
    expect(outcome?.state).toBe("failed");
  });

  test("ranks go first, lower ones before higher ones", async () => {
    const seen = nobody();
    const jobs = await open(doubling(seen), 1);
    // The first keeps the only place while the others come.
    const first = jobs.submit(kind, [job(100, { ms: 1000 })]);
    await expect.poll(() => seen.numbers, { timeout: 20_000 }).toEqual([100]);
    const rest = outcomesOf(jobs, [
      job(9),
      { ...job(7), rank: 7 },
      { ...job(2), rank: 2 },
      { ...job(0), rank: 0 },
    ]);
    for await (const { state } of first) expect(state).toBe("done");
    await rest;
    expect(seen.numbers).toEqual([100, 0, 2, 7, 9]);
  });

  test("cancelled jobs are not begun, one under way is told, and no outcome comes", async () => {
    const seen = nobody();
    const jobs = await open(doubling(seen), 1);
    const batch = jobs.submit(kind, [job(1, { ms: 60_000 }), job(2), job(3)]);
    await expect.poll(() => seen.numbers, { timeout: 20_000 }).toHaveLength(1);
    await batch.cancel();
    const outcomes = [];
    for await (const outcome of batch) outcomes.push(outcome);
    expect(outcomes).toEqual([]);
    await expect.poll(() => seen.cancelled, { timeout: 20_000 }).toHaveLength(1);
    expect(await outcomesOf(jobs, [job(5)])).toMatchObject([{ state: "done" }]);
    expect(seen.numbers).toHaveLength(2);
  });

  test("what was cancelled can be asked for again", async () => {
    const jobs = await open(doubling(nobody()), 1);
    const batch = jobs.submit(kind, [job(1, { ms: 300 }), job(2, { ms: 10 })]);
    await batch.cancel();
    const outcomes = await outcomesOf(jobs, [job(1, { ms: 300 }), job(2, { ms: 10 })]);
    expect(outcomes.map(({ state }) => state)).toEqual(["done", "done"]);
  });

  test("a batch that is left has no outcome, and its jobs go on", async () => {
    const seen = nobody();
    const jobs = await open(doubling(seen), 1);
    const batch = jobs.submit(kind, [job(1, { ms: 100 }), job(2)]);
    await batch.leave();
    const outcomes = [];
    for await (const outcome of batch) outcomes.push(outcome);
    expect(outcomes).toEqual([]);
    expect(await outcomesOf(jobs, [job(2), job(1, { ms: 100 })])).toMatchObject([
      { state: "done" },
      { state: "done" },
    ]);
    expect(seen.numbers.toSorted()).toEqual([1, 2]);
  });

  test("a batch that is cancelled at once is never begun", async () => {
    const seen = nobody();
    const jobs = await open(doubling(seen), 1);
    const batch = jobs.submit(
      kind,
      Array.from({ length: 300 }, (_, i) => job(i, { ms: 20 })),
    );
    await batch.cancel();
    await wait(500);
    // One may be under way by then.
    expect(seen.numbers.length).toBeLessThan(2);
  });

  test("what others wait for too goes on when one cancels", async () => {
    const jobs = await open(doubling(nobody()), 2);
    const one = jobs.submit(kind, [job(1, { ms: 500 })]);
    const two = outcomesOf(jobs, [job(1, { ms: 500 })]);
    await wait(50);
    await one.cancel();
    expect(await two).toMatchObject([{ state: "done", result: { double: 2 } }]);
  });

  test("payloads and results of megabytes come whole", async () => {
    const text = "0123456789abcdef".repeat(150_000);
    const jobs = await open(doubling(nobody()));
    const [outcome] = await outcomesOf(jobs, [job(1, { text })]);
    expect(outcome?.state === "done" && outcome.result.text === text).toBe(true);
  });
}

describe("in this process", () => {
  conformance(async (handler, concurrency = 2) => {
    const jobs = openJobsHere([handler], { concurrency });
    onTestFinished(() => jobs.close());
    return jobs;
  });
});

describe("through Redis", withRedis, () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis?.stop());
  conformance(async (handler, concurrency = 2) => {
    const worker = await openWorker(redis.url, [handler], { concurrency });
    const jobs = await openRedisJobs(redis.url);
    onTestFinished(async () => {
      await jobs.close();
      await worker.close();
      const left = redis.cli("KEYS", "*").split("\n").filter(Boolean);
      redis.cli("FLUSHALL");
      // Failed jobs stay to be looked at, and with them their queue.
      if (!left.includes("posttrain:double:failed")) expect(left).toEqual([]);
    });
    return jobs;
  });
});
