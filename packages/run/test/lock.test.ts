import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { lockRun } from "../src/lock.js";
import { newFolder } from "./support/folder.js";

test("one writer at a time, and the next after it", async () => {
  const dir = await newFolder();
  const lock = await lockRun(dir);
  await expect(lockRun(dir)).rejects.toMatchObject({
    code: "run_locked",
    message: expect.stringContaining(`process ${process.pid}`),
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

test("a killed process holds nothing, nor does one of an earlier boot or a pid that was given again", async () => {
  const dir = await newFolder();
  await lockRun(dir);
  const own = JSON.parse(await readFile(join(dir, ".lock"), "utf8")) as Record<string, unknown>;
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  const started = (await readFile(`/proc/${child.pid}/stat`, "utf8")).split(" ")[21];
  const held = { ...own, token: "other", pid: child.pid, started };
  await writeFile(join(dir, ".lock"), JSON.stringify(held));
  await expect(lockRun(dir)).rejects.toMatchObject({ code: "run_locked" });

  await writeFile(join(dir, ".lock"), JSON.stringify({ ...held, started: "1" }));
  await (await lockRun(dir)).release();
  await writeFile(join(dir, ".lock"), JSON.stringify({ ...held, boot: "another" }));
  await (await lockRun(dir)).release();

  await writeFile(join(dir, ".lock"), JSON.stringify(held));
  child.kill("SIGKILL");
  await once(child, "exit");
  await (await lockRun(dir)).release();
  await writeFile(join(dir, ".lock"), "");
  await (await lockRun(dir)).release();
  expect(await readdir(dir)).toEqual([]);
});

test("another machine's process cannot be looked at: its lock stands", async () => {
  const dir = await newFolder();
  await lockRun(dir);
  const own = JSON.parse(await readFile(join(dir, ".lock"), "utf8")) as Record<string, unknown>;
  await writeFile(join(dir, ".lock"), JSON.stringify({ ...own, host: "elsewhere", boot: "x" }));
  await expect(lockRun(dir)).rejects.toMatchObject({ message: expect.stringContaining("on elsewhere") });
});

test("a folder that cannot be written to is the user's to mend", async () => {
  const dir = await newFolder();
  await expect(lockRun(join(dir, "missing"))).rejects.toMatchObject({ code: "cannot_write" });
});
