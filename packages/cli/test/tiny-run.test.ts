// The same bits everywhere: a few steps of the quickstart's own model, data and config, in fp32 and in bf16, on every cpu path of this machine
// and on 1 and 2 threads, end in the same file. The SHA-256 is a fact of the arithmetic rules (ARCHITECTURE.md): when it changes, every run of every user
// changes, so a new value needs a line in CHANGELOG.md with the reason.
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addonFile, type Device, openDevice } from "@posttrain/kernels";
import type { ComputeDtype } from "@posttrain/model";
import { runSft, type SftConfig } from "@posttrain/sft";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dtypes, pathsFor } from "../../../tests/support/dtypes.js";
import { trainingConfig, writeTrainingRows } from "../src/quickstart/recipe.js";
import { writeTinyModel } from "../src/quickstart/tiny-model.js";

const untrained = "779786e9bd1f209a60db461588ee509e695297b6cf4af6df897c1c83f4c1bf8a";
const trained: Readonly<Record<ComputeDtype, string>> = {
  f32: "58cbaf331280dc38d4b63a8b04c12bb5b4e3defc8bc545273b9279a0ebd2c25f",
  bf16: "0f878da15392288b3e07c28b4f1b8500eb86ce753937f7399741c145040aab40",
};

/** Four steps of 3 rows, the third with the 2 that are left of its epoch; in bf16 two steps of 2. */
const short = {
  f32: { per_device_train_batch_size: 3, warmup_steps: 2, max_steps: 4, num_train_epochs: 2 },
  bf16: { bf16: true, per_device_train_batch_size: 2, warmup_steps: 0, max_steps: 2 },
} satisfies Record<ComputeDtype, Partial<SftConfig>>;
const rows = 8;

let dir = "";
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "posttrain-tiny-run-"));
  await writeTrainingRows(join(dir, "training.jsonl"), 1, rows);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** The same on a second backend, whose memory is not the host's (packages/kernels/native/test/host_copy.cpp). */
test.each(dtypes)("%s on another device", async (dtype) => {
  const backend = join(addonFile().path, "../test/host-copy.so");
  const device = openDevice({ backend, threads: 2 });
  expect(device.backend).toBe("host-copy");
  await expectTheBits(device, dtype, join(dir, `${dtype}-host-copy`));
});

const cases = dtypes.flatMap((dtype) => pathsFor(dtype).map((path) => ({ dtype, path })));
describe.each(cases)("$dtype on cpu path $path", ({ dtype, path }) => {
  // Plain code emulates the fused multiply-add: once is enough there.
  test.each(dtype === "bf16" && path === "plain" ? [2] : [1, 2])("%d threads", async (threads) => {
    await expectTheBits(openDevice({ path, threads }), dtype, join(dir, `${dtype}-${path}-${threads}`));
  });
});

/** Makes the model and trains it, on a device that is closed then. */
async function expectTheBits(device: Device, dtype: ComputeDtype, run: string): Promise<void> {
  try {
    await writeTinyModel(device, join(run, "model"), 1);
    const config = trainingConfig({
      model: join(run, "model"),
      data: join(dir, "training.jsonl"),
      outputDir: join(run, "sft"),
      seed: 1,
    });
    const { checkpoint, last } = await runSft({ ...config, ...short[dtype] }, device);
    expect(last?.loss).toBeLessThan(5);
    expect(await sha256(join(run, "model"))).toBe(untrained);
    expect(await sha256(checkpoint)).toBe(trained[dtype]);
  } finally {
    await device.close();
  }
}

async function sha256(model: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(join(model, "model.safetensors")))
    .digest("hex");
}
