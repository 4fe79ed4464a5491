import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { replaceDurably, writeDurably } from "../src/index.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "posttrain-durable-"));
});
afterAll(() => rm(folder, { recursive: true }));

test("a file that is written piece by piece is whole under its name, over an older one", async () => {
  const path = join(folder, "rows.jsonl");
  await writeDurably(path, "old");
  await writeDurably(path, ["one\n", "two\n"]);
  expect(await readFile(path, "utf8")).toBe("one\ntwo\n");
  expect(await readdir(folder)).toEqual(["rows.jsonl"]);
});

test("what fails leaves the old file and nothing else", async () => {
  const path = join(folder, "rows.jsonl");
  await writeDurably(path, "old");
  function* pieces() {
    yield "new\n";
    throw new Error("in between");
  }
  await expect(writeDurably(path, pieces())).rejects.toThrow("in between");
  await expect(replaceDurably(path, () => Promise.reject(new Error("at once")))).rejects.toThrow("at once");
  expect([await readFile(path, "utf8"), await readdir(folder)]).toEqual(["old", ["rows.jsonl"]]);
});

test("a folder that is not there is the user's to mend", async () => {
  await expect(writeDurably(join(folder, "none", "x"), ["row\n"])).rejects.toMatchObject({
    code: "cannot_write",
  });
});
