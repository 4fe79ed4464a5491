import { appendFile, mkdir, open, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  newestCheckpoint,
  pruneCheckpoints,
  verifyCheckpoint,
  writeCheckpoint,
  writeDurably,
} from "@posttrain/run";
import { expect, test } from "vitest";
import { newFolder } from "./support/folder.js";

const sha256 = "a".repeat(64);

function checkpoint(
  step: number,
  files: Readonly<Record<string, string>> = { "model.bin": `weights ${step}` },
) {
  return {
    step,
    identity: { learning_rate: 1e-5, data: sha256 },
    accepted: [],
    parents: [{ kind: "model", path: "base", sha256 }],
    bytes: 100,
    write: async (dir: string) => {
      await mkdir(join(dir, "trainer"), { recursive: true });
      await writeFile(join(dir, "trainer", "m.bin"), "moments");
      for (const [name, content] of Object.entries(files)) await writeDurably(join(dir, name), content);
    },
  };
}

test("a checkpoint is written whole, with the digest of every file, and verifies", async () => {
  const dir = await newFolder();
  const written = await writeCheckpoint(dir, checkpoint(3));
  expect(await readdir(dir)).toEqual(["checkpoint-3"]);
  expect(Object.keys(written.manifest.files)).toEqual(["model.bin", "trainer/m.bin"]);
  expect(await verifyCheckpoint(written.dir)).toEqual(written);
});

test("a changed byte, a missing file and a longer file are found, each by its name", async () => {
  const dir = await newFolder();
  const { dir: sound } = await writeCheckpoint(dir, checkpoint(1));
  const names = ["model.bin", "trainer/m.bin", "manifest.json"];
  for (const name of names) {
    const path = join(sound, name);
    const bytes = await readFile(path);
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] as number) ^ 1;
      await writeFile(path, changed);
      await expect(verifyCheckpoint(sound), `${name} byte ${at}`).rejects.toThrow(path);
    }
    await writeFile(path, bytes);
  }
  await verifyCheckpoint(sound);
  await appendFile(join(sound, "model.bin"), "x");
  await expect(verifyCheckpoint(sound)).rejects.toThrow(/model\.bin has 10 bytes, manifest\.json says 9/);
  await rm(join(sound, "model.bin"));
  await expect(verifyCheckpoint(sound)).rejects.toThrow(/model\.bin is missing/);
});

test("a manifest of any other form is damage, never an exception of another kind", async () => {
  const dir = await newFolder();
  const { dir: sound } = await writeCheckpoint(dir, checkpoint(1));
  const path = join(sound, "manifest.json");
  const text = await readFile(path, "utf8");
  const parsed = JSON.parse(text) as Record<string, unknown>;
  const others = [
    "",
    "null",
    "[]",
    text.slice(0, 50),
    JSON.stringify({ ...parsed, step: -1 }),
    JSON.stringify({ ...parsed, files: { "../outside": { bytes: 0, sha256 } } }),
    JSON.stringify({ ...parsed, extra: 1 }),
    JSON.stringify({ ...parsed, step: 2 }),
  ];
  for (const other of others) {
    await writeFile(path, other);
    await expect(verifyCheckpoint(sound), other).rejects.toMatchObject({ code: "damaged_checkpoint" });
  }
});

test("the newest checkpoint that verifies is found, and the torn ones before it are told", async () => {
  const dir = await newFolder();
  for (const step of [2, 9, 10]) await writeCheckpoint(dir, checkpoint(step));
  const handle = await open(join(dir, "checkpoint-10", "model.bin"), "r+");
  await handle.truncate(3);
  await handle.close();
  await mkdir(join(dir, "checkpoint-11"));
  const { checkpoint: found, damaged } = await newestCheckpoint(dir);
  expect(found?.manifest.step).toBe(9);
  expect(damaged.map((damage) => damage.dir)).toEqual([
    join(dir, "checkpoint-11"),
    join(dir, "checkpoint-10"),
  ]);
});

test("a write that fails leaves earlier checkpoints and nothing else", async () => {
  const dir = await newFolder();
  await writeCheckpoint(dir, checkpoint(1));
  const failing = {
    ...checkpoint(2),
    write: async (folder: string) => {
      await mkdir(folder);
      await symlink("/dev/full", join(folder, "model.bin"));
      const handle = await open(join(folder, "model.bin"), "a");
      await handle.writeFile("weights").finally(() => handle.close());
    },
  };
  await expect(writeCheckpoint(dir, failing)).rejects.toMatchObject({
    code: "cannot_write",
    message: expect.stringContaining("no space left"),
  });
  await expect(writeCheckpoint(dir, { ...checkpoint(2), bytes: 1e18 })).rejects.toMatchObject({
    code: "disk_full",
  });
  expect(await readdir(dir)).toEqual(["checkpoint-1"]);
  await verifyCheckpoint(join(dir, "checkpoint-1"));
});

test("a step that is written again replaces the checkpoint of that name", async () => {
  const dir = await newFolder();
  await writeCheckpoint(dir, checkpoint(1, { a: "old" }));
  const again = await writeCheckpoint(dir, checkpoint(1, { b: "new" }));
  expect(await readdir(dir)).toEqual(["checkpoint-1"]);
  expect(await verifyCheckpoint(join(dir, "checkpoint-1"))).toEqual(again);
});

test("only the newest are kept, by number and not by spelling", async () => {
  const dir = await newFolder();
  for (const step of [1, 2, 10]) await writeCheckpoint(dir, checkpoint(step));
  await pruneCheckpoints(dir, 2);
  expect((await readdir(dir)).sort()).toEqual(["checkpoint-10", "checkpoint-2"]);
});
