// What is Redis' own: its URL, what may and may not be read there, and what becomes of jobs when something is lost.
import { execFileSync, spawn } from "node:child_process";
import { pbkdf2 } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import { UserError } from "@posttrain/data";
import {
  defineHandler,
  defineKind,
  GivenBack,
  type Handler,
  type Job,
  openRedisJobs,
  openWorker,
  type WorkerEvent,
  type WorkerOptions,
} from "@posttrain/jobs";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { freePort, redisOfTest, withRedis } from "../../../tests/support/redis-server.js";

const kind = defineKind({ name: "square", payload: z.number(), result: z.number() });
const squaring = defineHandler(kind, async (n) => n * n);
/** Of what takes no time on a quiet machine. */
const patience = { timeout: 60_000 };
const numbers = (...all: number[]): Job<number>[] => all.map((payload) => ({ payload }));

async function openBoth(url: string, handler: Handler, options: Partial<WorkerOptions> = {}) {
  const events: WorkerEvent[] = [];
  const worker = await openWorker(url, [handler], {
    concurrency: 1,
    watch: (event) => events.push(event),
    ...options,
  });
  const jobs = await openRedisJobs(url);
  onTestFinished(async () => {
    await jobs.close();
    await worker.close();
  });
  return { jobs, worker, events };
}

/** Another process. */
function node(script: string) {
  const head = `
    import { defineHandler, defineKind, openRedisJobs, openWorker } from "@posttrain/jobs";
    import { z } from "zod";
    const kind = defineKind({ name: "square", payload: z.number(), result: z.number() });`;
  const args = ["--input-type=module", "-e", head + script];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const gone = new Promise((resolve) => child.once("exit", resolve));
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await gone;
  };
  onTestFinished(kill);
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => {
    said += chunk;
  });
  return { said: () => said, kill };
}

async function resultsOf(
  batch: AsyncIterable<{ readonly state: string; readonly place: number }>,
): Promise<unknown[]> {
  const results: unknown[] = [];
  for await (const outcome of batch) results[outcome.place] = "result" in outcome ? outcome.result : outcome;
  return results;
}

test.each([
  ["http://localhost", /begins with http:\/\/.*redis:\/\/\[USER:PASSWORD@\]HOST/],
  ["localhost:6379", /begins with localhost:\/\//],
  ["nothing", /is none/],
  ["redis://:hunter2@host/first", /has the path \/first/],
  ["redis://:hunter2@host/?prefix=a b", /prefix "a b"/],
  ["redis://:hunter2@host/?family=6", /has \?family=/],
])("%s is refused", async (url, message) => {
  const error = await openRedisJobs(url).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(UserError);
  expect((error as Error).message).toMatch(message);
  expect((error as Error).message).not.toContain("hunter2");
});

test("a Redis that is not there is said in one sentence, at once", async () => {
  const began = performance.now();
  const error = await openRedisJobs("redis://user:hunter2@127.0.0.1:1/3").catch((caught: unknown) => caught);
  expect(error).toMatchObject({ code: "no_redis" });
  expect((error as Error).message).toMatch(
    /^Redis at redis:\/\/127.0.0.1:1\/3 cannot be used: .*ECONNREFUSED/,
  );
  expect((error as Error).message).not.toContain("hunter2");
  expect(performance.now() - began).toBeLessThan(9000);
});

test(
  "passwords and users are given by the URL, and are in no key, value, message or log",
  withRedis,
  async () => {
    const redis = await redisOfTest([
      "--requirepass",
      "hunter2",
      "--user",
      "mallory",
      "on",
      ">swordfish",
      "~mine:*",
      "&mine:*",
      "+@all",
    ]);
    const at = `127.0.0.1:${redis.port}`;
    for (const wrong of [`redis://${at}`, `redis://:hunter3@${at}`, `redis://mallory:hunter2@${at}`]) {
      const error = (await openRedisJobs(wrong).catch((caught: unknown) => caught)) as UserError;
      expect(error.code).toBe("no_redis");
      expect(error.message).toMatch(/NOAUTH|WRONGPASS/);
      expect(error.message).not.toMatch(/hunter|swordfish|mallory/);
    }
    let during = "";
    for (const url of [
      `redis://:hunter2@${at}?prefix=mine`,
      `redis://mallory:swordfish@${at}/0?prefix=mine`,
    ]) {
      const handler = defineHandler(kind, async (n) => {
        const cli = (...args: string[]): string =>
          execFileSync(
            "redis-cli",
            ["-p", String(redis.port), "-a", "hunter2", "--no-auth-warning", ...args],
            { encoding: "utf8" },
          );
        during = cli("KEYS", "*");
        for (const key of during.split("\n").filter((one) => /[0-9a-f]{32}$/.test(one)))
          during += cli("HGETALL", key);
        return n * n;
      });
      const { jobs, events } = await openBoth(url, handler);
      expect(await resultsOf(jobs.submit(kind, numbers(3)))).toEqual([9]);
      expect(during).toContain("mine:square:");
      expect(during + JSON.stringify(events)).not.toMatch(/hunter2|swordfish/);
    }
  },
);

test("rediss:// speaks TLS, and trusts what NODE_EXTRA_CA_CERTS names", withRedis, async () => {
  const folder = mkdtempSync(join(tmpdir(), "posttrain-tls-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const [key, certificate] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
  execFileSync(
    "openssl",
    [
      ..."req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost".split(
        " ",
      ),
      "-keyout",
      key,
      "-out",
      certificate,
    ],
    { stdio: "ignore" },
  );
  const port = await freePort();
  await redisOfTest([
    ...["--tls-port", String(port), "--tls-auth-clients", "no"],
    ...["--tls-cert-file", certificate, "--tls-key-file", key],
  ]);
  const script = `
    import { openRedisJobs } from "@posttrain/jobs";
    const jobs = await openRedisJobs("rediss://localhost:${port}").catch((error) => error);
    console.log(jobs instanceof Error ? jobs.message : "connected");
    await jobs.close?.();`;
  const run = (env: Record<string, string>): string =>
    execFileSync(process.execPath, ["--input-type=module", "-e", script], {
      encoding: "utf8",
      env: { ...process.env, ...env },
    }).trim();
  expect(run({ NODE_EXTRA_CA_CERTS: certificate })).toBe("connected");
  expect(run({})).toMatch(/^Redis at rediss:\/\/localhost:\d+\/0 cannot be used: self.signed certificate/);
});

test("names are readable, and every key expires", withRedis, async () => {
  const redis = await redisOfTest();
  const jobs = await openRedisJobs(redis.url);
  const long = defineKind({ name: "long-text", payload: z.string(), result: z.number() });
  const batch = jobs.submit(long, [{ payload: "x".repeat(100_000), label: "a long one" }]);
  await expect.poll(() => redis.cli("KEYS", "posttrain:long-text:prioritized"), patience).not.toBe("");
  await expect
    .poll(
      () =>
        redis
          .cli("KEYS", "*")
          .split("\n")
          .filter((key) => Number(redis.cli("TTL", key)) <= 0),
      patience,
    )
    .toEqual([]);
  const [id] = batch.ids;
  expect(redis.cli("HGET", `posttrain:long-text:${id}`, "name")).toBe("a long one");
  expect(redis.cli("HGET", `posttrain:long-text:${id}`, "data")).toContain(
    `"key":"posttrain:long-text:${id}:payload"`,
  );
  await jobs.close();
  expect(redis.cli("KEYS", "*")).toBe("");
});

test("jobs that Redis has forgotten are submitted again", withRedis, async () => {
  const redis = await redisOfTest();
  const jobs = await openRedisJobs(redis.url);
  const batch = jobs.submit(kind, numbers(1, 2, 3));
  await expect.poll(() => redis.cli("ZCARD", "posttrain:square:prioritized"), patience).toBe("3");
  redis.cli("FLUSHALL");
  const { events } = await openBoth(redis.url, squaring);
  expect(await resultsOf(batch)).toEqual([1, 4, 9]);
  await expect.poll(() => events.filter(({ event }) => event === "done"), patience).toHaveLength(3);
  await jobs.close();
});

test("a result that came while nobody listened is taken by the next who asks", withRedis, async () => {
  const redis = await redisOfTest();
  let times = 0;
  const counting = defineHandler(kind, async (n) => {
    times++;
    return n * n;
  });
  const first = node(`
    const jobs = await openRedisJobs("${redis.url}");
    jobs.submit(kind, [{ payload: 7 }]);`);
  await expect.poll(() => redis.cli("ZCARD", "posttrain:square:prioritized"), patience).toBe("1");
  await first.kill();
  const { jobs, worker } = await openBoth(redis.url, counting);
  await worker.idle();
  expect(await resultsOf(jobs.submit(kind, numbers(7)))).toEqual([49]);
  expect(times).toBe(1);
});

test(
  "a worker takes no kind but its own, and no payload that is not what its id names",
  withRedis,
  async () => {
    const redis = await redisOfTest();
    const { jobs, worker, events } = await openBoth(redis.url, squaring);
    const other = defineKind({ name: "cube", payload: z.number(), result: z.number() });
    const cubes = jobs.submit(other, numbers(2));
    await expect.poll(() => redis.cli("ZCARD", "posttrain:cube:prioritized"), patience).toBe("1");
    await worker.close();
    const squares = jobs.submit(kind, numbers(2, 3));
    await expect.poll(() => redis.cli("ZCARD", "posttrain:square:prioritized"), patience).toBe("2");
    redis.cli("HSET", `posttrain:square:${squares.ids[0]}`, "data", '{"payload":{"text":"5"}}');
    redis.cli("HSET", `posttrain:square:${squares.ids[1]}`, "data", '{"payload":{"text":"\\"rm -rf\\""}}');
    const next = await openBoth(redis.url, squaring);
    expect(await resultsOf(squares)).toMatchObject([
      { state: "failed", error: expect.stringContaining("not the one that its id names") },
      { state: "failed", error: expect.stringContaining("not that of a job of kind square") },
    ]);
    expect([...events, ...next.events].some((event) => "kind" in event && event.kind === "cube")).toBe(false);
    await cubes.cancel();
  },
);

test("a worker that ends gives its job back, and another does it", withRedis, async () => {
  const redis = await redisOfTest();
  let begun = 0;
  const patient = defineHandler(kind, async (n, { ending }) => {
    if (begun++ > 0) return n * n;
    await new Promise((resolve) => ending.addEventListener("abort", resolve));
    throw new GivenBack();
  });
  const { jobs, worker, events } = await openBoth(redis.url, patient);
  const batch = jobs.submit(kind, numbers(6));
  await expect.poll(() => begun, patience).toBe(1);
  await worker.close();
  expect(events.map(({ event }) => event)).toEqual(["begun", "given back"]);
  await openBoth(redis.url, patient);
  expect(await resultsOf(batch)).toEqual([36]);
});

test("locks are renewed while native work keeps all cores busy", withRedis, async () => {
  const redis = await redisOfTest();
  const busy = [1, 2].map(() => spawn(process.execPath, ["-e", "for (;;);"]));
  onTestFinished(() => {
    for (const child of busy) child.kill("SIGKILL");
  });
  const lockSeconds = 4;
  const native = defineHandler(kind, async (n) => {
    const began = performance.now();
    while (performance.now() - began < lockSeconds * 2500)
      await promisify(pbkdf2)("x", "y", 300_000, 64, "sha512");
    return n * n;
  });
  const { jobs, events } = await openBoth(redis.url, native, { concurrency: 2, lockSeconds });
  expect(await resultsOf(jobs.submit(kind, numbers(1, 2)))).toEqual([1, 4]);
  await expect.poll(() => events.filter(({ event }) => event === "done"), patience).toHaveLength(2);
  expect(events).toHaveLength(4); // two begun, two done: no lock was lost, nothing stalled
});

test(
  "a worker that was deaf for longer than its lock is overtaken, and its late result is refused",
  withRedis,
  async () => {
    const redis = await redisOfTest();
    const start = (body: string) =>
      node(`
        const watch = (event) => console.log(JSON.stringify(event));
        const handler = defineHandler(kind, async (n) => { ${body} });
        await openWorker("${redis.url}", [handler], { concurrency: 1, lockSeconds: 1, watch });`);
    const jobs = await openRedisJobs(redis.url);
    onTestFinished(() => jobs.close());
    const batch = jobs.submit(kind, numbers(5));
    const deaf = start("const began = Date.now(); while (Date.now() - began < 6000); return -n;");
    await expect.poll(() => deaf.said(), patience).toContain('"begun"');
    const well = start("return n * n;");
    expect(await resultsOf(batch)).toEqual([25]);
    expect(well.said()).toContain('"stalled"');
    await expect.poll(() => deaf.said(), patience).toMatch(/Missing lock|could not renew lock|Missing key/);
    await wait(100);
    expect(deaf.said()).not.toContain('"done"');
  },
);

test("putting off the expiry of keys leaves the locks of dead workers alone", withRedis, async () => {
  const redis = await redisOfTest();
  const forever = node(`
    const handler = defineHandler(kind, () => new Promise(() => undefined));
    await openWorker("${redis.url}", [handler], { concurrency: 1, lockSeconds: 2 });`);
  const jobs = await openRedisJobs(redis.url);
  onTestFinished(() => jobs.close());
  const batch = jobs.submit(kind, numbers(4));
  await expect.poll(() => redis.cli("LLEN", "posttrain:square:active"), patience).toBe("1");
  // Puts the expiry of all keys off, the lock's not among them.
  const other = jobs.submit(kind, numbers(5));
  await forever.kill();
  await openBoth(redis.url, squaring, { lockSeconds: 2 });
  expect(await resultsOf(batch)).toEqual([16]);
  expect(await resultsOf(other)).toEqual([25]);
});
