import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { skipUnless } from "../../../tests/support/skip.js";
import { lockRun } from "../src/lock.js";
import { newFolder } from "./support/folder.js";

const built = new URL("../dist/lock.js", import.meta.url).href;

/** A process that takes the lock of `dir`, says so, and holds it; `under` is a command line that runs it. */
async function holderOf(
  dir: string,
  { under = [], before = "" }: { readonly under?: readonly string[]; readonly before?: string } = {},
): Promise<{ readonly child: ChildProcess; readonly said: string }> {
  const code = `import { lockRun } from ${JSON.stringify(built)};
    try { await lockRun(${JSON.stringify(dir)}); ${before} console.log("locked"); } catch (error) { console.log(error.code + " " + error.message); }
    setInterval(() => {}, 1000);`;
  const [program = "", ...args] = [...under, process.execPath, "--input-type=module", "-e", code];
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const ended = once(child, "exit").then(() => [""]);
  const [said] = await Promise.race([once(child.stdout!, "data") as Promise<[Buffer]>, ended]);
  return { child, said: String(said).trim() };
}

async function killed(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "exit");
}

test("one writer at a time, and the next after it", async () => {
  const dir = await newFolder();
  const lock = await lockRun(dir);
  await expect(lockRun(dir)).rejects.toMatchObject({
    code: "run_locked",
    message: expect.stringContaining(`by process ${process.pid} on `),
  });
  await lock.release();
  await (await lockRun(dir)).release();
  expect(await readdir(dir)).toEqual([]);
});

test("of many at once exactly one gets it", async () => {
  const dir = await newFolder();
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => lockRun(dir)));
  expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  expect(await readdir(dir)).toEqual([".lock"]);
});

test("of many that come and go no two have it at once", async () => {
  const dir = await newFolder();
  let [inside, most, turns] = [0, 0, 0];
  const visitor = async (): Promise<void> => {
    for (let turn = 0; turn < 20; ) {
      const lock = await lockRun(dir).catch(() => undefined);
      if (lock === undefined) {
        await new Promise(setImmediate);
        continue;
      }
      inside++;
      most = Math.max(most, inside);
      await new Promise(setImmediate);
      inside--;
      turn++;
      turns++;
      await lock.release();
    }
  };
  await Promise.all([visitor(), visitor(), visitor()]);
  expect([most, turns]).toEqual([1, 60]);
});

test("a killed process holds nothing, though a program that it started lives on", async () => {
  const dir = await newFolder();
  const starts = `const { spawn } = await import("node:child_process");
    const kept = spawn("sleep", ["30"], { stdio: "ignore", detached: true });
    console.log(kept.pid);`;
  const { child, said } = await holderOf(dir, { before: starts });
  const sleeper = Number.parseInt(said, 10);
  onTestFinished(() => void process.kill(sleeper, "SIGKILL"));
  await expect(lockRun(dir)).rejects.toThrow(`by process ${child.pid} on `);
  await killed(child);
  process.kill(sleeper, 0);
  await (await lockRun(dir)).release();
  expect(await readdir(dir)).toEqual([]);
});

const alone = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
const canUnshare = spawnSync(alone[0]!, [...alone.slice(1), "true"]).status === 0;

test(
  "process ids of other namespaces, which repeat, decide nothing",
  skipUnless(canUnshare, "no pid namespaces here", "npm test, as root"),
  async () => {
    const dir = await newFolder();
    const first = await holderOf(dir, { under: alone });
    expect(first.said).toBe("locked");
    const second = await holderOf(dir, { under: alone });
    expect(second.said).toMatch(/^run_locked .* by process 1 on /);
    await expect(lockRun(dir)).rejects.toThrow("by process 1 on ");
    await killed(second.child);
    await killed(first.child);
    // The kernel ends the namespace's processes in its own time.
    const again = async (): Promise<string> => (await holderOf(dir, { under: alone })).said;
    await expect.poll(again, { timeout: 10_000 }).toBe("locked");
  },
);

test("what a holder wrote decides nothing, and what earlier versions left is taken over", async () => {
  const dir = await newFolder();
  const old = { token: "a", pid: process.pid, started: "1", boot: "b", host: "elsewhere", since: "then" };
  for (const text of [JSON.stringify(old), "", "no JSON"]) {
    await writeFile(join(dir, ".lock"), text);
    await writeFile(join(dir, ".lock.0123456789abcdef01234567"), text);
    const lock = await lockRun(dir);
    expect(await readdir(dir)).toEqual([".lock"]);
    expect(JSON.parse(await readFile(join(dir, ".lock"), "utf8"))).toMatchObject({ pid: process.pid });
    await writeFile(join(dir, ".lock"), text);
    await expect(lockRun(dir)).rejects.toMatchObject({ code: "run_locked" });
    await lock.release();
  }
});

test("a folder that was moved away, or a lock file that was deleted, is noticed before anything is written", async () => {
  const dir = join(await newFolder(), "run");
  await mkdir(dir);
  const lock = await lockRun(dir);
  await lock.check();
  await rm(join(dir, ".lock"));
  await lock.check();
  await expect(lockRun(dir)).rejects.toMatchObject({ code: "run_locked" });
  await rm(join(dir, ".lock"));
  const other = await lockRun(dir);
  await expect(lock.check()).rejects.toMatchObject({ code: "run_locked" });
  await rename(dir, `${dir}-moved`);
  await mkdir(dir);
  await expect(lock.check()).rejects.toMatchObject({ code: "run_moved" });
  await lock.release();
  await other.release();
  expect(await readdir(dir)).toEqual([]);
});

test("a folder that cannot be written to, or a pipe in the place of the file, is the user's to mend", async () => {
  const dir = await newFolder();
  await expect(lockRun(join(dir, "missing"))).rejects.toMatchObject({ code: "cannot_write" });
  execFileSync("mkfifo", [join(dir, ".lock")]);
  await expect(lockRun(dir)).rejects.toMatchObject({ code: "cannot_write" });
});

test("a file system without locks is named as that", async () => {
  const dir = await newFolder();
  const library = join(dir, "without-locks.so");
  const source = `#include <errno.h>
    #include <fcntl.h>
    #include <stdarg.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    extern "C" int fcntl(int fd, int command, ...) {
      va_list rest; va_start(rest, command); long value = va_arg(rest, long); va_end(rest);
      if (command == 37) { errno = ENOLCK; return -1; }
      return (int)syscall(SYS_fcntl, fd, command, value);
    }`;
  const compiler = process.env["CXX"] ?? "c++";
  execFileSync(compiler, ["-shared", "-fPIC", "-x", "c++", "-", "-o", library], { input: source });
  const { said } = await holderOf(dir, { under: ["env", `LD_PRELOAD=${library}`] });
  expect(said).toMatch(/^no_locks .*\.lock cannot be locked \(.*no locks.*mounted with locks/);
});
