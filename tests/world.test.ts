// What the world does to a run: its model folder changes under it, its logs and folders are tampered with before it is resumed, it lives under odd names
// and rights, or is moved while it writes. As a shell runs it, and without a process of its own where that is not what is tested.
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { verifyCheckpoint } from "@posttrain/run";
import { afterAll, expect, it } from "vitest";
import { posttrainHere as posttrain } from "../packages/cli/test/support/in-process.js";
import { type Outcome, type Started, startPosttrain } from "./support/command-line.js";
import { goldenPath } from "./support/golden.js";
import { sftArgs, testFolder, writeTokenRows } from "./support/tiny-run.js";

const folder = testFolder();
const at = (...parts: readonly string[]): string => join(folder, ...parts);
const rows = writeTokenRows(at("rows.jsonl"), 12);
const said = ({ out }: Outcome): string => out.replaceAll(/\s+/g, " ");
const weights = (run: string, step: number): string =>
  createHash("sha256")
    .update(readFileSync(join(run, `checkpoint-${step}`, "model.safetensors")))
    .digest("hex");

/** A run of 4 steps, copied for each test. */
const four = { max_steps: 4, save_steps: 2 };
const whole = posttrain(sftArgs(at("made"), rows, four));
async function copyOfRun(name: string): Promise<string> {
  const { code, err } = await whole;
  expect(code, err).toBe(0);
  cpSync(at("made"), at(name), { recursive: true });
  return at(name);
}
const again = (run: string): string[] => [...sftArgs(run, rows, four), "--resume_from_checkpoint"];
const begins = async ({ child }: Started, run: string): Promise<void> => {
  const metrics = join(run, "metrics.jsonl");
  while (!(existsSync(metrics) && statSync(metrics).size > 0) && child.exitCode === null) await sleep(5);
};
const cut = (path: string, lines: number): void =>
  writeFileSync(path, readFileSync(path, "utf8").split("\n").slice(0, lines).join("\n").concat("\n"));

// Nobody looks at this run before all tests have begun: a test alone must not leave it running.
afterAll(() => whole);

it("files of the model folder that are deleted or changed while it trains change nothing in its checkpoints", async () => {
  const model = at("model");
  cpSync(goldenPath("qwen2-tiny-tied"), model, { recursive: true });
  const files = { "chat_template.jinja": "{{ messages }}", LICENSE: "first", "merges.txt": "a b\n" };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(model, name), text);
  const run = at("held");
  const args = sftArgs(run, rows, { model_name_or_path: model, max_steps: 100_000, save_steps: 100_000 });
  const started = startPosttrain(args);
  await begins(started, run);
  writeFileSync(join(model, "chat_template.jinja"), "another");
  writeFileSync(join(model, "LICENSE"), "second");
  rmSync(join(model, "merges.txt"));
  rmSync(join(model, "generation_config.json"));
  started.child.kill("SIGTERM");
  const { code, err } = await started.done;
  expect(code, err).toBe(143);
  const checkpoint = readdirSync(run).find((name) => name.startsWith("checkpoint-"));
  for (const [name, text] of Object.entries(files))
    expect(readFileSync(join(run, String(checkpoint), name), "utf8")).toBe(text);
  rmSync(model, { recursive: true });
});

it("lines that a log has lost before it is gone on with are told, with how many and which are left", async () => {
  const run = await copyOfRun("shortened");
  rmSync(join(run, "checkpoint-4"), { recursive: true });
  cut(join(run, "metrics.jsonl"), 1);
  rmSync(join(run, "steps.jsonl"));
  const resumed = await posttrain(again(run));
  expect(resumed.code, resumed.err).toBe(0);
  expect(said(resumed)).toContain(
    "metrics.jsonl: 1 of the 2 lines up to step 2 are missing; what is left is of steps 1 to 1.",
  );
  expect(said(resumed)).toContain(
    "steps.jsonl: 2 of the 2 lines up to step 2 are missing; the file is not there.",
  );
  expect(said(resumed)).not.toContain("trainer_log");
  expect(weights(run, 4)).toEqual(weights(at("made"), 4));
  // The next checkpoint knows what there is: it is told once.
  expect(said(await posttrain(again(run)))).not.toContain("missing");

  const complete = await copyOfRun("shortened-complete");
  cut(join(complete, "trainer_log.jsonl"), 3);
  const nothing = await posttrain(again(complete));
  expect(nothing.code).toBe(4);
  expect(said(nothing)).toContain(
    "trainer_log.jsonl: 1 of the 4 lines up to step 4 are missing; what is left is of steps 1 to 3.",
  );
});

it("a checkpoint says how many lines each log had", async () => {
  const { logs } = (await verifyCheckpoint(join(await copyOfRun("counted"), "checkpoint-2"))).manifest;
  expect(logs).toEqual({ "metrics.jsonl": 2, "trainer_log.jsonl": 2, "steps.jsonl": 2 });
});

it("what only looks like a checkpoint does not stand in the way", async () => {
  const run = await copyOfRun("strays");
  rmSync(join(run, "checkpoint-4"), { recursive: true });
  const strays = [
    "checkpoint-004",
    `checkpoint-${"9".repeat(30)}`,
    "checkpoint-1.bak",
    "checkpoint--1",
    "checkpoint-",
  ];
  for (const name of strays) mkdirSync(join(run, name));
  writeFileSync(join(run, "checkpoint-5"), "a file");
  writeFileSync(join(run, "checkpoint-4"), "a file");
  const outcome = await posttrain(again(run));
  expect(outcome.code, outcome.err).toBe(0);
  expect(said(outcome)).toMatch(/resumed from \S+checkpoint-2/);
  expect(readdirSync(run)).toEqual(expect.arrayContaining(strays));
  expect(weights(run, 4)).toEqual(weights(at("made"), 4));
  expect(readFileSync(join(run, "superseded-checkpoint-4"), "utf8")).toBe("a file");
});

it("newer checkpoints that are damaged are named when nothing is left to do", async () => {
  const run = await copyOfRun("damaged");
  cpSync(join(run, "checkpoint-4"), join(run, "checkpoint-6"), { recursive: true });
  rmSync(join(run, "checkpoint-6", "config.json"));
  const outcome = await posttrain(again(run));
  expect(outcome.code).toBe(4);
  expect(said(outcome)).toMatch(/damaged \S+checkpoint-6\/config\.json is missing/);
  expect(existsSync(join(run, "checkpoint-6"))).toBe(true);
});

it("runs live under odd names and behind links, in folders of their owner's alone", async () => {
  for (const name of ["with a space", "a line feed\n语"]) {
    const run = at("odd", name);
    const first = await posttrain(sftArgs(run, rows, { max_steps: 2, save_steps: 1 }));
    expect(first.code, first.err).toBe(0);
    const undisturbed = weights(run, 2);
    rmSync(join(run, "checkpoint-2"), { recursive: true });
    const second = await posttrain([
      ...sftArgs(run, rows, { max_steps: 2, save_steps: 1 }),
      "--resume_from_checkpoint",
    ]);
    expect(second.code, second.err).toBe(0);
    expect(weights(run, 2)).toEqual(undisturbed);
  }
  mkdirSync(at("real"));
  symlinkSync(at("real"), at("link"));
  const masked = startPosttrain(sftArgs(at("link"), rows, four), {
    under: ["bash", "-c", 'umask 077; exec "$@"', "-"],
  });
  expect((await masked.done).code).toBe(0);
  expect(weights(at("real"), 4)).toEqual(weights(at("made"), 4));
  expect(statSync(at("real", "checkpoint-4", "model.safetensors")).mode & 0o077).toBe(0);
  expect((await posttrain(again(at("link")))).code).toBe(4);
});

it("a run folder that is moved while it is written gets nothing written into what takes its place", async () => {
  const run = at("moved");
  const started = startPosttrain(sftArgs(run, rows, { max_steps: 100_000, save_steps: 50 }));
  while (!existsSync(join(run, "checkpoint-50")) && started.child.exitCode === null) await sleep(2);
  renameSync(run, at("moved-away"));
  mkdirSync(run);
  const { code, err } = await started.done;
  expect([code, err]).toEqual([
    1,
    expect.stringMatching(/moved is no longer the folder that this run was begun in/),
  ]);
  expect(readdirSync(run)).toEqual([]);
  await verifyCheckpoint(at("moved-away", "checkpoint-50"));
});
