// Going on with a run, and refusing to: what may change and what may not, nothing left to do, Ctrl-C, a disk that refuses, a damaged checkpoint, a
// step that diverges, early stopping. As a shell runs it, and without a process of its own where that is not what is tested.
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openDevice } from "@posttrain/kernels";
import { loadModel, readSafetensorsHeader } from "@posttrain/model";
import { newestCheckpoint, verifyCheckpoint } from "@posttrain/run";
import { describe, expect, it } from "vitest";
import { posttrainHere as posttrain } from "../packages/cli/test/support/in-process.js";
import { bf16Bits, firstDifference, fromBf16 } from "./support/bits.js";
import { type Outcome, startPosttrain } from "./support/command-line.js";
import { goldenPath } from "./support/golden.js";
import { skipUnless } from "./support/skip.js";
import { sftArgs, testFolder, writeTokenRows } from "./support/tiny-run.js";

const long = process.env["POSTTRAIN_TEST_LONG"] === "1";
const folder = testFolder();
chmodSync(folder, 0o755);
const at = (name: string): string => join(folder, name);
const rows = writeTokenRows(at("rows.jsonl"), 12);
const weights = (checkpoint: string): Buffer => readFileSync(join(checkpoint, "model.safetensors"));
const metrics = (run: string): Record<string, number>[] =>
  readFileSync(join(run, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

/** Ends with 1 and one paragraph that says all of this. */
function refused({ code, err }: Outcome, ...says: readonly (string | RegExp)[]): void {
  expect(code, err).toBe(1);
  for (const part of says) expect(err).toMatch(part);
  expect(err.trim()).not.toContain("\n");
}

/** A run of 4 steps, copied for each test. */
const made = sftArgs(at("made"), rows, { max_steps: 4, save_steps: 2 });
const whole = posttrain(made);
async function copyOfRun(name: string): Promise<string> {
  const { code, err } = await whole;
  expect(code, err).toBe(0);
  cpSync(at("made"), at(name), { recursive: true });
  return at(name);
}
const again = (run: string, options: Readonly<Record<string, string | number>> = {}): string[] => [
  ...sftArgs(run, rows, { max_steps: 4, save_steps: 2, ...options }),
  "--resume_from_checkpoint",
];

describe("resuming", () => {
  it("says that nothing is left to do, with an exit code of its own, and changes nothing", async () => {
    const run = await copyOfRun("complete");
    const before = readdirSync(run);
    const { code, out } = await posttrain(again(run));
    expect(code).toBe(4);
    expect(out).toMatch(/nothing +is left to do: .*checkpoint-4/);
    expect(readdirSync(run)).toEqual(before);
  });

  it("refuses a changed identity with the list of differences, and goes on when each is accepted", async () => {
    const run = await copyOfRun("changed");
    rmSync(join(run, "checkpoint-4"), { recursive: true });
    const other = writeTokenRows(at("other.jsonl"), 13);
    const changed = again(run, { learning_rate: 1e-4, weight_decay: 0.5, data: other });
    refused(
      await posttrain(changed),
      /learning_rate was 0.001, is now 0.0001/,
      /weight_decay was 0, is now 0.5/,
      /data was SHA-256 \w+\.\.\., is now SHA-256/,
      "--accept_change learning_rate --accept_change weight_decay --accept_change data",
    );
    refused(
      await posttrain([...changed, "--accept_change", "learning_rate"]),
      /: weight_decay was 0, is now 0\.5; data was/,
    );
    const accepted = ["learning_rate", "weight_decay", "data"].flatMap((key) => ["--accept_change", key]);
    const { code, err } = await posttrain([...changed, ...accepted]);
    expect(code, err).toBe(0);
    const { manifest } = await verifyCheckpoint(join(run, "checkpoint-4"));
    expect(manifest.accepted.map(({ step, key, before, now }) => [step, key, before, now])).toEqual([
      [2, "learning_rate", 0.001, 0.0001],
      [2, "weight_decay", 0, 0.5],
      [2, "data", expect.any(String), expect.any(String)],
    ]);
  });

  it("refuses other base weights, and more steps on a rate that decays", async () => {
    const run = await copyOfRun("longer");
    refused(await posttrain(again(run, { max_steps: 6 })), /total_steps was 4, is now 6/);
    const base = at("other-base");
    cpSync(goldenPath("qwen2-tiny-tied"), base, { recursive: true });
    const bytes = weights(base);
    bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
    writeFileSync(join(base, "model.safetensors"), bytes);
    refused(await posttrain(again(run, { model_name_or_path: base })), /model was SHA-256/);
  });

  it("refuses a checkpoint of another model", async () => {
    const run = await copyOfRun("other-model");
    const base = { model_name_or_path: goldenPath("qwen2-tiny-untied") };
    refused(await posttrain(again(run, base)), /model was SHA-256 \w+\.\.\., is now/);
  });

  it("lets what changes no bit change: saving, logging, threads, recomputation, more steps at a constant rate", async () => {
    const constant = { lr_scheduler_type: "constant", save_steps: 1 };
    const straight = sftArgs(at("straight"), rows, { ...constant, max_steps: 5 });
    const first = sftArgs(at("first"), rows, { ...constant, max_steps: 3 });
    const outcomes = await Promise.all([posttrain(straight), posttrain(first)]);
    expect(outcomes.map(({ code }) => code)).toEqual([0, 0]);
    const more = {
      ...constant,
      max_steps: 5,
      save_steps: 100,
      logging_steps: 2,
      save_total_limit: 2,
      gradient_checkpointing: "false",
    };
    const resumed = [...sftArgs(at("first"), rows, more), "--resume_from_checkpoint", "--threads", "1"];
    expect((await posttrain(resumed)).code).toBe(0);
    expect(weights(at("first/checkpoint-5"))).toEqual(weights(at("straight/checkpoint-5")));
    expect(
      readdirSync(at("first"))
        .filter((name) => name.startsWith("checkpoint"))
        .sort(),
    ).toEqual(["checkpoint-3", "checkpoint-5"]);
  });

  it("goes on in a new folder from another run's checkpoint", async () => {
    const run = await copyOfRun("elsewhere");
    const fresh = sftArgs(at("fresh"), rows, { max_steps: 4, save_steps: 2 });
    const { code, err } = await posttrain([...fresh, "--resume_from_checkpoint", join(run, "checkpoint-2")]);
    expect(code, err).toBe(0);
    expect(weights(at("fresh/checkpoint-4"))).toEqual(weights(join(run, "checkpoint-4")));
  });

  it("finds a changed byte in any file of the newest checkpoint, sets it aside and goes on from the one before", async () => {
    const files = Object.keys(
      (await verifyCheckpoint(join(await copyOfRun("files"), "checkpoint-4"))).manifest.files,
    );
    expect(files).toEqual(expect.arrayContaining(["model.safetensors", "trainer/optimizer.safetensors"]));
    // Each is found; the run goes on from the one before with three of them here, with all in npm run test:long.
    const goneOnWith = ["model.safetensors", "trainer/optimizer.safetensors", "manifest.json"];
    for (const [index, file] of [...files, "manifest.json"].entries()) {
      const run = await copyOfRun(`corrupt-${index}`);
      const path = join(run, "checkpoint-4", file);
      const bytes = readFileSync(path);
      const middle = Math.floor(bytes.length / 2);
      bytes[middle] = (bytes[middle] as number) ^ 0x20;
      writeFileSync(path, bytes);
      await expect(verifyCheckpoint(join(run, "checkpoint-4"))).rejects.toThrow(`${path} `.slice(0, -1));
      if (!long && !goneOnWith.includes(file)) continue;
      const { code, out } = await posttrain(again(run));
      expect(code).toBe(0);
      expect(out.replaceAll(/\s+/g, " ")).toContain(`${path} `.slice(0, -1));
      expect(out).toMatch(/resumed +from .*checkpoint-2/);
      expect(existsSync(join(run, "damaged-checkpoint-4"))).toBe(true);
      expect(weights(join(run, "checkpoint-4"))).toEqual(weights(at("made/checkpoint-4")));
    }
  });

  it("does not let two processes write one run", async () => {
    const run = at("contended");
    const args = sftArgs(run, rows, { max_steps: 3000, save_steps: 1 });
    const first = startPosttrain(args);
    while (!existsSync(join(run, "checkpoint-1")) && first.child.exitCode === null) await sleep(5);
    refused(await posttrain([...args, "--resume_from_checkpoint"]), /is being written by process \d+/);
    first.child.kill("SIGKILL");
    await first.done;
  });

  const alone = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
  const canUnshare = spawnSync(alone[0]!, [...alone.slice(1), "true"]).status === 0;

  it(
    "goes on after a kill where process ids repeat, as in containers, and lets one container write at a time",
    skipUnless(canUnshare, "no pid namespaces here", "npm test, as root"),
    async () => {
      const run = at("contained");
      const args = [...sftArgs(run, rows, { max_steps: 3000, save_steps: 1 }), "--resume_from_checkpoint"];
      const first = startPosttrain(args, { under: alone });
      while (!existsSync(join(run, "checkpoint-1")) && first.child.exitCode === null) await sleep(5);
      refused(await startPosttrain(args, { under: alone }).done, /is being written by process 1 on /);
      first.child.kill("SIGKILL");
      await first.done;
      const second = startPosttrain(args, { under: alone });
      while (!/^resumed/m.test(second.said()) && second.child.exitCode === null) await sleep(5);
      expect(second.said()).toMatch(/^resumed +from/m);
      second.child.kill("SIGKILL");
      await second.done;
    },
  );
});

describe("a run in bf16", () => {
  const options = { max_steps: 4, save_steps: 2, weight_decay: 0.1 };
  const bf16 = (run: string): string[] => [...sftArgs(run, rows, options), "--bf16"];
  const done = posttrain(bf16(at("bf16")));
  const optimizer = (checkpoint: string): Buffer =>
    readFileSync(join(checkpoint, "trainer/optimizer.safetensors"));
  /** Copies of the first two steps of it. */
  async function begun(name: string): Promise<string> {
    const { code, err } = await done;
    expect(code, err).toBe(0);
    cpSync(at("bf16"), at(name), { recursive: true });
    rmSync(at(`${name}/checkpoint-4`), { recursive: true });
    return at(name);
  }

  it("saves fp32 masters, whose rounding its weights are, and goes on from the masters", async () => {
    const run = await begun("bf16-resumed");
    const { code, out, err } = await posttrain([...bf16(run), "--resume_from_checkpoint"]);
    expect(code, err).toBe(0);
    expect(out).toMatch(/bf16; cpu/);
    const [last, undisturbed] = [join(run, "checkpoint-4"), at("bf16/checkpoint-4")];
    expect(firstDifference(weights(last), weights(undisturbed))).toBe(-1);
    expect(firstDifference(optimizer(last), optimizer(undisturbed))).toBe(-1);
    const header = await readSafetensorsHeader(join(last, "trainer/optimizer.safetensors"));
    const { dtype, begin, end } = header.get("masters") ?? {};
    expect(dtype).toBe("F32");
    const bytes = optimizer(last);
    const masters = new Float32Array(bytes.buffer.slice(bytes.byteOffset + begin!, bytes.byteOffset + end!));
    const device = openDevice({ threads: 1 });
    const model = await loadModel(device, last, { dtype: "bf16" });
    expect(firstDifference(await model.arena.read(), Uint16Array.from(masters, bf16Bits))).toBe(-1);
    expect(masters.some((x) => fromBf16(bf16Bits(x)) !== x)).toBe(true);
    model.scope.end();
    await device.close();
  });

  it("is another run than one in fp32, either of which goes on as the other when that is accepted", async () => {
    const inBf16 = await copyOfRun("to-bf16");
    rmSync(join(inBf16, "checkpoint-4"), { recursive: true });
    const on = [...again(inBf16), "--bf16"];
    refused(await posttrain(on), /bf16 was not set, is now true/);
    expect((await posttrain([...on, "--accept_change", "bf16"])).code).toBe(0);
    const inF32 = await begun("to-f32");
    const off = again(inF32, { weight_decay: 0.1 });
    refused(await posttrain(off), /bf16 was true, is now not set/);
    expect((await posttrain([...off, "--accept_change", "bf16"])).code).toBe(0);
    const stored = async (run: string): Promise<ReadonlySet<string>> => {
      const entries = await readSafetensorsHeader(join(run, "checkpoint-4/model.safetensors"));
      return new Set([...entries.values()].map(({ dtype }) => dtype));
    };
    expect(await stored(inBf16)).toEqual(new Set(["BF16"]));
    expect(await stored(inF32)).toEqual(new Set(["F32"]));
    // It went on from fp32 masters: their values, hardly moved by two steps, are none that bf16 has.
    const { begin, end } = (await readSafetensorsHeader(join(inF32, "checkpoint-4/model.safetensors"))).get(
      "model.embed_tokens.weight",
    )!;
    const bytes = weights(join(inF32, "checkpoint-4"));
    const embedding = new Float32Array(bytes.buffer.slice(bytes.byteOffset + begin, bytes.byteOffset + end));
    expect(embedding.filter((x) => fromBf16(bf16Bits(x)) !== x).length).toBeGreaterThan(
      0.9 * embedding.length,
    );
  });
});

describe("metrics every few steps", () => {
  it("are means since the line before, the loss over steps, the others over trained tokens, also where a run was resumed between two lines", async () => {
    const steps = { max_steps: 8, save_steps: 2, val_size: 2 };
    const each = sftArgs(at("each-step"), rows, steps);
    const seldom = { ...steps, logging_steps: 3 };
    const outcomes = await Promise.all([posttrain(each), posttrain(sftArgs(at("seldom"), rows, seldom))]);
    expect(outcomes.map(({ code }) => code)).toEqual([0, 0]);
    const lines = (run: string) => metrics(at(run)).filter((line) => "loss" in line);
    const own = lines("each-step");
    const masks = readFileSync(rows, "utf8").trim().split("\n");
    const trained = readFileSync(at("each-step/steps.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((step) => (JSON.parse(step).lines as number[]).map((line) => JSON.parse(masks[line - 1]!)))
      .map((used) => used.flatMap((row) => row.completion_mask as number[]).reduce((a, b) => a + b));
    expect(new Set(trained).size).toBeGreaterThan(2);
    const found = lines("seldom");
    expect(found.map(({ step }) => step)).toEqual([3, 6, 8]);
    for (const [i, [first, last]] of [
      [0, 3],
      [3, 6],
      [6, 8],
    ].entries()) {
      const window = own.slice(first, last);
      const sum = window.reduce((total, line) => total + (line["loss"] as number), 0);
      expect(found[i]?.["loss"]).toBe(sum / window.length);
      const counts = trained.slice(first, last);
      const tokens = counts.reduce((a, b) => a + b);
      for (const key of ["entropy", "mean_token_accuracy"]) {
        const weighted = window.reduce(
          (total, line, n) => total + (line[key] as number) * (counts[n] as number),
          0,
        );
        expect(found[i]?.[key], key).toBe(weighted / tokens);
      }
      for (const key of ["grad_norm", "learning_rate", "num_tokens", "epoch"])
        expect(found[i]?.[key], key).toBe(window.at(-1)?.[key]);
    }
    for (const checkpoint of [6, 8]) rmSync(at(`seldom/checkpoint-${checkpoint}`), { recursive: true });
    const state = readFileSync(at("seldom/checkpoint-4/trainer_state.json"));
    expect(JSON.parse(String(state))["unlogged"]).toMatchObject({ steps: 1 });
    const resumed = await posttrain([...sftArgs(at("seldom"), rows, seldom), "--resume_from_checkpoint"]);
    expect(resumed.code, resumed.err).toBe(0);
    const timeless = (all: readonly Record<string, number>[]) =>
      all.map(({ step_time: _, tokens_per_second: __, ...line }) => line);
    expect(timeless(lines("seldom"))).toEqual(timeless(found));
  });
});

describe("stopping", () => {
  const long = (run: string): string[] => sftArgs(run, rows, { max_steps: 100_000, save_steps: 100_000 });

  it("Ctrl-C finishes the step, saves, says how to go on and exits with 130; what it says works", async () => {
    const run = at("interrupted");
    const started = startPosttrain(long(run));
    while (!existsSync(join(run, "metrics.jsonl")) && started.child.exitCode === null) await sleep(5);
    started.child.kill("SIGINT");
    const { code, out, err } = await started.done;
    expect(code).toBe(130);
    expect(err).toMatch(/Stopping after this step/);
    const [, step] = /stopped +after step ([\d,]+), as asked/.exec(out) ?? [];
    const { dir } = await verifyCheckpoint(join(run, `checkpoint-${step?.replaceAll(",", "")}`));
    expect(out).toContain(dir);
    expect(out).toMatch(/next +npx posttrain sft --config .*config\.yaml --resume_from_checkpoint/);
  });

  it("a second Ctrl-C ends at once, and the run can be resumed", async () => {
    const run = at("twice");
    const many = sftArgs(run, rows, { max_steps: 100_000, save_steps: 1 });
    const started = startPosttrain(many);
    while (!existsSync(join(run, "checkpoint-2")) && started.child.exitCode === null) await sleep(5);
    started.child.kill("SIGINT");
    started.child.kill("SIGINT");
    expect((await started.done).code).toBe(130);
    const resumed = startPosttrain([...many, "--resume_from_checkpoint"]);
    while (!resumed.said().includes("resumed") && resumed.child.exitCode === null) await sleep(5);
    resumed.child.kill("SIGTERM");
    expect((await resumed.done).code).toBe(143);
  });
});

describe("a disk that refuses", () => {
  /** No file may grow beyond so many blocks of 1,024 bytes. */
  const limited = (blocks: number): readonly string[] => [
    "bash",
    "-c",
    `ulimit -f ${blocks}; exec "$@"`,
    "-",
  ];

  it("at a checkpoint: a clear error, the last checkpoint whole, nothing half-written", async () => {
    const run = await copyOfRun("full");
    rmSync(join(run, "checkpoint-4"), { recursive: true });
    // The weights fit under the limit, the moments do not.
    const size = Math.ceil(weights(join(run, "checkpoint-2")).length / 1024);
    refused(
      await startPosttrain(again(run), { under: limited(Math.ceil(size * 1.5)) }).done,
      /cannot be written \(EFBIG/,
      /check the free space/,
    );
    expect(readdirSync(run).filter((name) => name.includes("checkpoint"))).toEqual(["checkpoint-2"]);
    await verifyCheckpoint(join(run, "checkpoint-2"));
    expect((await posttrain(again(run))).code).toBe(0);
    expect(weights(join(run, "checkpoint-4"))).toEqual(weights(at("made/checkpoint-4")));
  });

  it("at the metrics: likewise", async () => {
    const run = at("full-metrics");
    const args = sftArgs(run, rows, { max_steps: 60, save_steps: 1000 });
    refused(await startPosttrain(args, { under: limited(8) }).done, /metrics\.jsonl: cannot be written/);
    expect((await posttrain([...args, "--resume_from_checkpoint"])).code).toBe(0);
    expect(metrics(run).map(({ step }) => step)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
  });

  // A folder's permissions do not bind root: then the run is somebody else's, who must be able to read this checkout.
  const isRoot = process.getuid?.() === 0;
  const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
  const asUser = isRoot ? nobody : [];
  const able =
    spawnSync(asUser[0] ?? "true", [
      ...asUser.slice(1),
      process.execPath,
      "-e",
      `require("fs").readFileSync(${JSON.stringify(import.meta.filename)})`,
    ]).status === 0;

  it(
    "when the folder becomes read-only: a clear error at the next checkpoint, the last one whole",
    skipUnless(
      able,
      "root may write anywhere, and another user cannot read this checkout",
      "npm test, as a user that is not root",
    ),
    async () => {
      const run = at("read-only/run");
      mkdirSync(run, { recursive: true });
      if (isRoot) chownSync(run, 65534, 65534);
      const args = sftArgs(run, rows, { max_steps: 20_000, save_steps: 10 });
      const started = startPosttrain(args, { under: asUser });
      while (!existsSync(join(run, "checkpoint-10")) && started.child.exitCode === null) await sleep(2);
      chmodSync(run, 0o555);
      const outcome = await started.done;
      chmodSync(run, 0o755);
      refused(outcome, /checkpoint-\d+: cannot be written \(EACCES/, /permissions/);
      expect((await newestCheckpoint(run)).checkpoint?.manifest.step).toBeGreaterThanOrEqual(10);
      expect((await newestCheckpoint(run)).damaged).toEqual([]);
      chmodSync(run, 0o555);
      refused(
        await startPosttrain([...args, "--resume_from_checkpoint"], { under: asUser }).done,
        /cannot be written \(EACCES/,
      );
      chmodSync(run, 0o755);
    },
  );

  it("at the first file", async () => {
    refused(
      await startPosttrain(sftArgs(at("none"), rows, { max_steps: 2 }), { under: limited(0) }).done,
      /cannot be written/,
    );
  });
});

describe("a step that diverges", () => {
  it("stops before the weights are harmed, saves the step's rows and names them", async () => {
    const run = at("diverged");
    // Adam moves every weight by the learning rate: after one step the products overflow.
    const args = sftArgs(run, rows, { max_steps: 9, learning_rate: 1e30, max_grad_norm: 0 });
    const outcome = await posttrain(args);
    refused(
      outcome,
      /loss is \S+ and the gradient norm \S+ at step 2/,
      /Rows of this step: line \d+, line \d+, line \d+/,
    );
    const saved = readFileSync(join(run, "diverged-step-2.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(saved.map(({ line }) => `line ${line}`).join(", ")).toBe(
      /Rows of this step: (.*?)\. Lower/.exec(outcome.err)?.[1],
    );
    expect(saved[0]).toMatchObject({ input_ids: expect.any(Array), labels: expect.any(Array) });
    // The command that it gives does what it says.
    const [, command] = /npx posttrain (score .*)$/.exec(outcome.err.trim()) ?? [];
    const scored = await posttrain((command ?? "").split(" "));
    expect(scored.code, scored.err).toBe(0);
    await verifyCheckpoint(join(run, "checkpoint-1"));
  });
});

describe("early stopping", () => {
  it("ends after evaluations without a better loss, saves, and is complete when resumed", async () => {
    const run = at("early");
    const options = {
      max_steps: 400,
      eval_steps: 2,
      early_stopping_patience: 3,
      val_size: 3,
      learning_rate: 2e-2,
    };
    const { code, out, err } = await posttrain(sftArgs(run, rows, options));
    expect(code, err).toBe(0);
    expect(out).toMatch(/after step \d+: 3 evaluations without a better loss/);
    const evaluations = metrics(run).flatMap((line) =>
      "eval_loss" in line ? [line["eval_loss"] as number] : [],
    );
    const best = evaluations.indexOf(Math.min(...evaluations));
    expect(evaluations.length - 1 - best).toBe(3);
    expect((await posttrain([...sftArgs(run, rows, options), "--resume_from_checkpoint"])).code).toBe(4);
  });
});
