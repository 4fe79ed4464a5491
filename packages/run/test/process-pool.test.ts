// Processes that hang, spin, die and answer nonsense: what becomes of the job that did it, and that nothing behind it is lost.
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { openProcessPool, type ProcessPool } from "@posttrain/run";
import { afterAll, describe, expect, it } from "vitest";
import { skipUnless } from "../../../tests/support/skip.js";

const folder = mkdtempSync(join(tmpdir(), "posttrain-pool-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Does what its jobs say. */
const program = join(folder, "child.mjs");
writeFileSync(
  program,
  `import { spawn } from "node:child_process";
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
const [greeting = "ready {}"] = process.argv.slice(2);
const say = (line) => writeSync(3, line + "\\n");
say(greeting);
for await (const line of createInterface({ input: process.stdin })) {
  const space = line.indexOf(" ");
  const id = line.slice(0, space);
  const job = JSON.parse(line.slice(space + 1));
  if (job === "spin") for (;;) {}
  if (job === "wait") await new Promise(() => setInterval(() => {}, 1000));
  if (job === "exit") { console.error("last words"); process.exit(1); }
  if (job === "nonsense") say("nonsense");
  if (job === "leave a child") say(id + " " + spawn("sleep", ["600"], { stdio: "inherit" }).pid);
  else if (job === "pid") say(id + " " + process.pid);
  else say(id + " " + JSON.stringify(job));
}
`,
);

const open = (
  more: Partial<Parameters<typeof openProcessPool>[0]> & { greeting?: string } = {},
): ProcessPool => {
  const { greeting, ...rest } = more;
  return openProcessPool({
    command: { program: process.execPath, args: [program, ...(greeting === undefined ? [] : [greeting])] },
    processes: 1,
    depth: 4,
    limit: { seconds: 2, clock: "wall" },
    loadSeconds: 60,
    ...rest,
  });
};
const run = async (pool: ProcessPool, ...jobs: readonly unknown[]) =>
  Promise.all(jobs.map((job) => pool.run(JSON.stringify(job))));
const answered = (job: unknown) => ({ fate: "answered", text: JSON.stringify(job) });
const isRunning = (pid: number): boolean => existsSync(`/proc/${pid}`);

describe("a pool of processes", () => {
  it("answers each job, with as many processes as are needed", async () => {
    const pool = open({ processes: 3, depth: 2, limit: { seconds: 30, clock: "wall" } });
    const jobs = Array.from({ length: 40 }, (_, i) => i);
    expect(await run(pool, ...jobs)).toEqual(jobs.map(answered));
    const pids = new Set(
      (await run(pool, ...jobs.map(() => "pid"))).map((fate) => "text" in fate && fate.text),
    );
    expect(pids.size).toBe(3);
    const [one, other] = [await run(pool, "pid"), await run(pool, "pid")];
    expect(one).toEqual(other);
    await pool.close();
  });

  it("takes any text to a process and back", async () => {
    const pool = open({ limit: { seconds: 30, clock: "wall" } });
    const texts = ["a\nb\r\u2028c\u2029d", "é".repeat(300_000), ""];
    expect(await run(pool, ...texts)).toEqual(texts.map(answered));
    await pool.close();
  });

  it.each(["wall", "cpu"] as const)(
    "kills what spins past its limit by the %s clock, and that alone",
    async (clock) => {
      const pool = open({ limit: { seconds: clock === "cpu" ? 0.3 : 2, clock } });
      const [pid] = await run(pool, "pid");
      const fates = await run(pool, 1, "spin", 2, "pid");
      expect(fates.slice(0, 3)).toEqual([answered(1), { fate: "late", tries: 1, said: "" }, answered(2)]);
      expect(fates[3]).not.toEqual(pid);
      expect(isRunning(Number((pid as { text: string }).text))).toBe(false);
      await pool.close();
    },
  );

  it(
    "gives a process that gets no CPU time ten times its limit, then says so",
    skipUnless(existsSync("/proc/self/stat"), "no CPU times in /proc", ""),
    async () => {
      const pool = open({
        limit: { seconds: 0.1, clock: "cpu" },
        again: (fate, tries) => fate === "starved" && tries < 2,
      });
      const began = performance.now();
      expect(await run(pool, "wait", 1)).toEqual([{ fate: "starved", tries: 2, said: "" }, answered(1)]);
      expect(performance.now() - began).toBeGreaterThan(2 * 0.9 * 1000);
      await pool.close();
    },
  );

  it("tells what a process said that ended, and goes on with the next", async () => {
    const pool = open();
    expect(await run(pool, "exit", 1, "exit", 2)).toEqual([
      { fate: "gone", tries: 1, said: "last words" },
      answered(1),
      { fate: "gone", tries: 1, said: "last words" },
      answered(2),
    ]);
    expect(await run(pool, "nonsense", 3)).toEqual([
      { fate: "gone", tries: 1, said: "It answered what it was not asked: nonsense" },
      answered(3),
    ]);
    await pool.close();
  });

  it("tries again as often as it is told, the job that failed first in line", async () => {
    const asked: string[] = [];
    const pool = open({
      again: (fate, tries) => {
        asked.push(`${fate} ${tries}`);
        return tries < 3;
      },
    });
    expect(await run(pool, "exit", 1)).toEqual([{ fate: "gone", tries: 3, said: "last words" }, answered(1)]);
    expect(asked).toEqual(["gone 1", "gone 2", "gone 3"]);
    await pool.close();
  });

  it.each<[what: string, more: Parameters<typeof open>[0], greeting: object, said: RegExp]>([
    ["refuses", { greeting: 'refused {"why":1}' }, { word: "refused", text: '{"why":1}' }, /why/],
    [
      "talks nonsense",
      { greeting: "hello" },
      { word: "gone", text: "It said in place of being ready: hello" },
      /hello/,
    ],
    [
      "is not there",
      { command: { program: join(folder, "none"), args: [] } },
      { word: "gone", text: expect.stringContaining("ENOENT") },
      /ENOENT/,
    ],
    [
      "says nothing",
      { loadSeconds: 0.2, command: { program: "sleep", args: ["600"] } },
      { word: "late", text: "" },
      /^$/,
    ],
  ])("a process that %s does no work", async (_, more, greeting, said) => {
    const pool = open(more);
    expect(await pool.start()).toEqual(greeting);
    expect(await run(pool, 1, 2)).toEqual(
      [1, 2].map(() => ({ fate: "unstarted", tries: 1, said: expect.stringMatching(said) })),
    );
    await pool.close();
  });

  it(
    "ends with all that its processes have started, and rejects what is open",
    skipUnless(existsSync("/proc/self"), "no /proc", ""),
    async () => {
      const pool = open({
        processes: 2,
        depth: 1,
        limit: { seconds: 600, clock: "wall" },
        command: { program: process.execPath, args: [program], ownGroup: true },
      });
      expect(await pool.start()).toEqual({ word: "ready", text: "{}" });
      const [own, child] = await run(pool, "pid", "leave a child");
      const pids = [own, child].map((fate) => Number((fate as { text: string }).text));
      expect(pids.map(isRunning)).toEqual([true, true]);
      const jobs = ["wait", "wait", "wait"].map((job) => pool.run(JSON.stringify(job)));
      const outcomes = Promise.allSettled(jobs);
      await pool.close();
      expect((await outcomes).map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
      await expect.poll(() => pids.filter(isRunning), { timeout: 30_000 }).toEqual([]);
      await expect(pool.run("1")).rejects.toThrow("closed");
    },
  );

  it("does not keep its owner alive without work", async () => {
    const source = new URL("../dist/process-pool.js", import.meta.url).href;
    const script = `import { openProcessPool } from ${JSON.stringify(source)};
      const command = { program: process.execPath, args: [${JSON.stringify(program)}] };
      const pool = openProcessPool({ command, processes: 2, depth: 1, limit: { seconds: 60, clock: "cpu" }, loadSeconds: 60 });
      const fates = await Promise.all([pool.run('"a"'), pool.run('"b"')]);
      console.log(fates.map(({ text }) => text).join());`;
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script]);
    expect(stdout).toBe('"a","b"\n');
  });
});
