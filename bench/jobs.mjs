// npm run bench -- jobs [--jobs 10000] [--window 512] [--workers 1] [--redis URL]: answers of mathematics graded by `posttrain worker` through Redis, and by this process alone. Says jobs a
// second, how long a job takes from its submission to its verdict while `window` of them are under way, and what the three processes hold. Without --redis it starts a server of its own.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openRedisJobs } from "@posttrain/jobs";
import { inOrder } from "@posttrain/run";
import { openChosenVerifiers } from "@posttrain/verify";

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    jobs: { type: "string", default: "10000" },
    window: { type: "string", default: "512" },
    workers: { type: "string", default: "1" },
    redis: { type: "string" },
  },
});
const [jobs, window, workers] = [values.jobs, values.window, values.workers].map(Number);
const main = fileURLToPath(new URL("../packages/cli/dist/main.js", import.meta.url));

/** The defaults of `posttrain verify`. @type {import("@posttrain/verify").GradingOptions} */
const options = {
  ...{ verifier: "math", mode: "own", extraction: "strict", strictness: "strict", unsealed: "accept" },
  ...{ route: "auto", cpu_seconds: 10, memory_mb: 1024, timeout_seconds: 10 },
};

/** One row in three is wrong; none is another's job. @param {number} from @param {number} count */
const rowsOf = (from, count) =>
  Array.from({ length: count }, (_, i) => ({
    question: `${from + i} / 8?`,
    answer: `\\frac{${from + i}}{8}`,
    response: `It is \\boxed{${(from + i) / 8 + (i % 3 === 0 ? 1 : 0)}}.`,
  }));
const rows = rowsOf(0, jobs ?? 0);

/**
 * Seconds in all, and milliseconds of each job.
 * @param {string | undefined} url
 * @param {typeof rows} own
 * @returns {Promise<{ seconds: number, each: number[] }>}
 */
async function grade(url, own = rows) {
  const client = url === undefined ? undefined : await openRedisJobs(url);
  const chosen = await openChosenVerifiers(options, undefined, client);
  /** @type {number[]} */
  const each = [];
  const one = async (/** @type {(typeof rows)[number]} */ row) => {
    const begun = performance.now();
    const { outcome } = await chosen.verifiers.grade(row.response, row);
    each.push(performance.now() - begun);
    return outcome;
  };
  const started = performance.now();
  const outcomes = new Map();
  const tasks = own.map((row) => () => one(row));
  for await (const outcome of inOrder(tasks, window ?? 1))
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  const seconds = (performance.now() - started) / 1000;
  await chosen.close();
  await client?.close();
  const right = own.filter((_, i) => i % 3 !== 0).length;
  if (outcomes.get("pass") !== right)
    throw new Error(`${right} answers are right, and ${outcomes.get("pass")} passed`);
  return { seconds, each };
}

const print = (/** @type {string} */ text) => process.stdout.write(`${text}\n`);
const mib = (/** @type {number} */ bytes) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

/** Resident memory. */
function memoryOf(/** @type {number | "self"} */ pid) {
  return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

/** @param {readonly number[]} sorted @param {number} share */
const quantile = (sorted, share) =>
  sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;

/** @param {string} name @param {{ seconds: number, each: number[] }} measured */
function line(name, { seconds, each }) {
  const sorted = each.toSorted((a, b) => a - b);
  const [p50, p99] = [0.5, 0.99].map((share) => `${quantile(sorted, share).toFixed(0)} ms`);
  print(
    `| ${name} | ${rows.length} | ${seconds.toFixed(1)} s | ${(rows.length / seconds).toFixed(0)} | ${p50} | ${p99} |`,
  );
}

const folder = mkdtempSync(join(tmpdir(), "posttrain-bench-jobs-"));
/** @type {import("node:child_process").ChildProcess[]} */
const children = [];
try {
  let url = values.redis;
  if (url === undefined) {
    const probe = createServer().listen(0, "127.0.0.1");
    await once(probe, "listening");
    const { port } = /** @type {import("node:net").AddressInfo} */ (probe.address());
    probe.close();
    const own = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes"];
    const server = spawn("redis-server", own, { stdio: ["ignore", "pipe", "inherit"] });
    children.push(server);
    for await (const said of server.stdout) if (String(said).includes("Ready to accept")) break;
    server.stdout?.resume();
    url = `redis://127.0.0.1:${port}`;
  }
  const alone = await grade(undefined);
  for (let i = 0; i < (workers ?? 1); i++)
    children.push(
      spawn(process.execPath, [main, "worker", "--kinds", "grade", "--quiet"], {
        env: { ...process.env, POSTTRAIN_REDIS: url },
        stdio: ["ignore", "ignore", "inherit"],
      }),
    );
  // Until all have started and proved their graders.
  await grade(url, rowsOf(1_000_000, 64));
  const parties = new Map(/** @type {[string, number | "self"][]} */ ([["submitter", "self"]]));
  for (const { pid = 0, spawnfile } of children)
    parties.set(spawnfile === process.execPath ? `worker ${parties.size}` : "redis-server", pid);
  /** @type {Map<string, number[]>} */
  const memory = new Map([...parties.keys()].map((name) => [name, []]));
  const timer = setInterval(() => {
    for (const [name, pid] of parties) memory.get(name)?.push(memoryOf(pid));
  }, 250);
  const shared = await grade(url);
  clearInterval(timer);
  const cpu = cpus()[0]?.model ?? "unknown";
  const version = execFileSync("redis-server", ["--version"], { encoding: "utf8" }).match(/v=(\S+)/)?.[1];
  print(
    `\n${availableParallelism()} cores of ${cpu}, Node ${process.version}, Redis ${version}, ${window} at once\n`,
  );
  print("| | jobs | time | jobs/s | p50 | p99 |\n| --- | --- | --- | --- | --- | --- |");
  line("this process", alone);
  line(`${workers} worker${workers === 1 ? "" : "s"} through Redis`, shared);
  print("\n| memory | at a quarter | at the end | most |\n| --- | --- | --- | --- |");
  for (const [name, all] of memory) {
    const [quarter = 0, last = 0] = [all[Math.floor(all.length / 4)], all.at(-1)];
    print(`| ${name} | ${mib(quarter)} | ${mib(last)} | ${mib(Math.max(...all))} |`);
  }
} finally {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
}
