// The same bits everywhere: a few steps of the quickstart's own model, data and config, in fp32 and in bf16, on every cpu path of this machine
// and on 1 and 2 threads, end in the same file. The SHA-256 is a fact of the arithmetic rules (ARCHITECTURE.md): when it changes, every run of every user
// changes, so a new value needs a line in CHANGELOG.md with the reason.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addonFile, type Device, openDevice } from "@posttrain/kernels";
import type { ComputeDtype } from "@posttrain/model";
import { runSft, type SftConfig } from "@posttrain/sft";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { dtypes, pathsFor } from "../../../tests/support/dtypes.js";
import { trainingConfig, writeTrainingRows } from "../src/quickstart/recipe.js";
import { writeTinyModel } from "../src/quickstart/tiny-model.js";

const untrained = "779786e9bd1f209a60db461588ee509e695297b6cf4af6df897c1c83f4c1bf8a";
const trained: Readonly<Record<ComputeDtype, string>> = {
  f32: "58cbaf331280dc38d4b63a8b04c12bb5b4e3defc8bc545273b9279a0ebd2c25f",
  bf16: "0f878da15392288b3e07c28b4f1b8500eb86ce753937f7399741c145040aab40",
};

/** In bf16 on tensor cores: those of sm_80 to sm_89, and of sm_90 and later. */
const trainedOnTensorCores: Readonly<Record<string, string>> = {
  "80": "f021d6de8bb6f6009126ea256a5b1dd3e88751dd68edc51e2c0b629181d4fd76",
  "90": "9ecea803e6abde8a0a06d6b616196128140bfecb9045f5ad8b7bfed768513aa5",
};

/** Four steps of 3 rows, the third with the 2 that are left of its epoch; in bf16 two steps of 2. */
const short = {
  f32: { per_device_train_batch_size: 3, warmup_steps: 2, max_steps: 4, num_train_epochs: 2 },
  bf16: { bf16: true, per_device_train_batch_size: 2, warmup_steps: 0, max_steps: 2 },
} satisfies Record<ComputeDtype, Partial<SftConfig>>;
const rows = 8;
const isLong = process.env["POSTTRAIN_TEST_LONG"] === "1";
const cudaEmulated = join(addonFile().path, "../test/cuda-emulated.so");
const cuda = process.env["POSTTRAIN_DEVICE"] ?? cudaEmulated;
const cudaOnFake = join(addonFile().path, "../test/cuda-on-fake.so");

let dir = "";
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "posttrain-tiny-run-"));
  await writeTrainingRows(join(dir, "training.jsonl"), 1, rows);
});
afterEach(() => vi.unstubAllEnvs());
afterAll(() => rm(dir, { recursive: true, force: true }));

/** The same on a second backend, whose memory is not the host's (packages/kernels/native/test/host_copy.cpp). */
test.each(dtypes)("%s on another device", async (dtype) => {
  const backend = join(addonFile().path, "../test/host-copy.so");
  const device = openDevice({ backend, threads: 2 });
  expect(device.backend).toBe("host-copy");
  await expectTheBits(device, dtype, join(dir, `${dtype}-host-copy`));
});

/**
 * The kernels for GPUs, run on the CPU by the host compiler's code (packages/kernels/native/cuda/README.md). No GPU has a part in it, unless
 * POSTTRAIN_DEVICE names one.
 */
test.runIf(cuda !== cudaEmulated || existsSync(cudaEmulated))("f32 on cuda-emulated", async () => {
  const device = openDevice({ backend: cuda, threads: 1 });
  if (cuda === cudaEmulated) expect(device.backend).toBe("cuda-emulated");
  await expectTheBits(device, "f32", join(dir, "f32-cuda-emulated"));
});

/**
 * What a GPU will give in bf16, known before one has seen it. That of sm_80 to sm_89 only in test:long: what differs between the two is the arithmetic of
 * one instruction, which packages/kernels/test has on both (simt, order-tensor-cores, attention-tensor-cores, cuda-emulated).
 */
const chips = Object.entries(trainedOnTensorCores).filter(([name]) => name === "90" || isLong);
test.runIf(existsSync(cudaEmulated)).each(chips)(
  "bf16 on cuda-emulated, sm_%s",
  async (capability, expected) => {
    process.env["POSTTRAIN_SIMT_CAPABILITY"] = capability;
    const device = openDevice({ backend: cudaEmulated, threads: 1 });
    delete process.env["POSTTRAIN_SIMT_CAPABILITY"];
    await expectTheBits(device, "bf16", join(dir, `bf16-cuda-emulated-${capability}`), expected);
  },
);

/**
 * The host's side of the cuda backend as it is, on a driver that does everything late (packages/kernels/native/test/fake_cuda.cpp). Only in
 * test:long: it takes as long as the one above.
 */
test.runIf(isLong && existsSync(cudaOnFake))("f32 on cuda with a driver for tests", async () => {
  vi.stubEnv("POSTTRAIN_LIBCUDA", join(addonFile().path, "../test/fake-libcuda.so"));
  vi.stubEnv("POSTTRAIN_FAKE_CUDA_LOG", join(dir, "complaints"));
  const device = openDevice({ backend: cudaOnFake, threads: 1 });
  expect(device.path).toBe("sm_90");
  await expectTheBits(device, "f32", join(dir, "f32-cuda-on-fake"));
  expect(existsSync(join(dir, "complaints"))).toBe(false);
});

const cases = dtypes.flatMap((dtype) => pathsFor(dtype).map((path) => ({ dtype, path })));
describe.each(cases)("$dtype on cpu path $path", ({ dtype, path }) => {
  // Plain code emulates the fused multiply-add: once is enough there.
  test.each(dtype === "bf16" && path === "plain" ? [2] : [1, 2])("%d threads", async (threads) => {
    await expectTheBits(openDevice({ path, threads }), dtype, join(dir, `${dtype}-${path}-${threads}`));
  });
});

/** Makes the model and trains it, on a device that is closed then. */
async function expectTheBits(
  device: Device,
  dtype: ComputeDtype,
  run: string,
  expected: string = trained[dtype],
): Promise<void> {
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
    expect(await sha256(checkpoint)).toBe(expected);
  } finally {
    await device.close();
  }
}

async function sha256(model: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(join(model, "model.safetensors")))
    .digest("hex");
}
