import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { acceptDifferences, differences, openRun, writeCheckpoint } from "@posttrain/run";
import { expect, test } from "vitest";
import { newFolder } from "./support/folder.js";

const config = { learning_rate: 1e-5, max_steps: undefined, data: "rows.jsonl" };

async function aRun(dir: string, ...steps: readonly number[]): Promise<void> {
  const run = await openRun(dir, false);
  await run.begin(config);
  for (const step of steps) {
    await writeCheckpoint(dir, {
      step,
      identity: {},
      accepted: [],
      parents: [],
      bytes: 1,
      write: async (folder) => {
        await mkdir(folder);
        await writeFile(join(folder, "weights"), `of step ${step}`);
      },
    });
  }
  await run.close();
}

test("a new run makes its folder when it begins, not before, and keeps its config", async () => {
  const dir = join(await newFolder(), "runs", "first");
  const run = await openRun(dir, false);
  await expect(readdir(dir)).rejects.toThrow("ENOENT");
  await run.begin(config);
  expect(await readFile(join(dir, "config.yaml"), "utf8")).toBe("learning_rate: 0.00001\ndata: rows.jsonl\n");
  await run.close();
});

test("a folder with something else in it, and a run that nobody asked to resume, are refused", async () => {
  const dir = await newFolder();
  await aRun(join(dir, "run"));
  await writeFile(join(dir, "notes.txt"), "mine");
  await expect(openRun(dir, false)).rejects.toThrow(/not empty: it holds notes.txt, run/);
  await expect(openRun(dir, true)).rejects.toMatchObject({ code: "not_a_run" });
  await expect(openRun(join(dir, "run"), false)).rejects.toThrow(/--resume_from_checkpoint/);
  await expect(openRun(join(dir, "notes.txt"), false)).rejects.toMatchObject({ code: "bad_output_dir" });
});

test("a run that was killed before it had begun begins, asked to resume or not", async () => {
  for (const resume of [false, true]) {
    const dir = join(await newFolder(), "run");
    await mkdir(dir);
    await writeFile(join(dir, "config.yaml.partial-0123456789ab"), "learning");
    const run = await openRun(dir, resume);
    expect(run.checkpoint).toBeUndefined();
    await run.begin(config);
    expect((await readdir(dir)).sort()).toEqual([".lock", "config.yaml"]);
    await run.close();
  }
});

test("resuming takes the newest sound checkpoint and sets damaged ones aside", async () => {
  const dir = join(await newFolder(), "run");
  await aRun(dir, 1, 2, 3);
  await writeFile(join(dir, "checkpoint-3", "weights"), "torn");
  await mkdir(join(dir, "checkpoint-4.partial-0123456789ab"));
  await mkdir(join(dir, "checkpoint-1.trash-0123456789ab"));
  const run = await openRun(dir, true);
  expect(run.checkpoint?.manifest.step).toBe(2);
  expect(run.damaged).toHaveLength(1);
  await expect(openRun(dir, true)).rejects.toMatchObject({ code: "run_locked" });
  await run.begin(config);
  expect((await readdir(dir)).sort()).toEqual([
    ".lock",
    "checkpoint-1",
    "checkpoint-2",
    "config.yaml",
    "damaged-checkpoint-3",
  ]);
  await run.close();
});

test("resuming from an earlier checkpoint sets the later ones aside", async () => {
  const dir = join(await newFolder(), "run");
  await aRun(dir, 1, 2, 3);
  const run = await openRun(dir, join(dir, "checkpoint-1"));
  await run.begin(config);
  await run.close();
  expect((await readdir(dir)).filter((name) => name.includes("checkpoint")).sort()).toEqual([
    "checkpoint-1",
    "superseded-checkpoint-2",
    "superseded-checkpoint-3",
  ]);
});

test("a run killed before its first checkpoint begins again; one without a sound checkpoint does not", async () => {
  const dir = join(await newFolder(), "run");
  await aRun(dir);
  const run = await openRun(dir, true);
  expect(run.checkpoint).toBeUndefined();
  await run.begin(config);
  await run.close();
  const other = join(await newFolder(), "run");
  await aRun(other, 1);
  await writeFile(join(other, "checkpoint-1", "weights"), "torn");
  await expect(openRun(other, true)).rejects.toMatchObject({ code: "no_sound_checkpoint" });
  expect(await readdir(other)).not.toContain(".lock");
});

test("a checkpoint of another run goes on in a new folder only", async () => {
  const dir = await newFolder();
  await aRun(join(dir, "old"), 5);
  await aRun(join(dir, "used"));
  const checkpoint = join(dir, "old", "checkpoint-5");
  const run = await openRun(join(dir, "new"), checkpoint);
  expect(run.checkpoint?.manifest.step).toBe(5);
  await run.begin(config);
  await run.close();
  await expect(openRun(join(dir, "used"), checkpoint)).rejects.toThrow(/checkpoint of another run/);
  await expect(openRun(join(dir, "newer"), join(dir, "old"))).rejects.toMatchObject({
    code: "not_a_checkpoint",
  });
});

test("differences of identity are listed by key, and each must be accepted by name", () => {
  const before = { learning_rate: 1e-5, data: "a".repeat(64), warmup_steps: 3, seed: 1 };
  const now = { seed: 1, learning_rate: 2e-5, data: "b".repeat(64), packing: true };
  expect(differences(before, now).map(({ key }) => key)).toEqual([
    "learning_rate",
    "data",
    "warmup_steps",
    "packing",
  ]);
  expect(() => acceptDifferences("c", before, now, ["data", "packing"])).toThrow(
    "learning_rate was 0.00001, is now 0.00002; warmup_steps was 3, is now not set. ",
  );
  const all = ["learning_rate", "data", "warmup_steps", "packing"];
  expect(acceptDifferences("c", before, now, all)).toHaveLength(4);
  expect(() => acceptDifferences("c", before, now, [...all, "sed"])).toThrow(
    /--accept_change sed: not among/,
  );
  expect(acceptDifferences("c", before, { ...before }, [])).toEqual([]);
});
