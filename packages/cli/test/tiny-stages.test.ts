// The same bits in the later stages: a few steps of DPO with online merging, of a reward model and of GRPO, as the quickstart configures them, on
// every cpu path of this machine and on 1 and 2 threads, end in the same files. tiny-run.test.ts has fine-tuning. A SHA-256 here is a fact of the
// arithmetic rules (ARCHITECTURE.md): a new value needs a line in CHANGELOG.md with the reason.
//
// A model that has learnt four steps answers nothing right, so pairs are made by hand, and GRPO's reward is the share of digits.
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runDpo } from "@posttrain/dpo";
import { type RewardSource, runGrpo } from "@posttrain/grpo";
import { addonFile, type Device, openDevice } from "@posttrain/kernels";
import { runReward } from "@posttrain/reward-model";
import { runSft } from "@posttrain/sft";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pathsFor } from "../../../tests/support/dtypes.js";
import {
  dpoRecipe,
  filesOf,
  grpoRecipe,
  type LaterPaths,
  rewardRecipe,
  trainingConfig,
  writeLines,
  writeQuestions,
  writeTrainingRows,
} from "../src/quickstart/recipe.js";
import { writeTinyModel } from "../src/quickstart/tiny-model.js";
import { tinyPairs, tinyRows, tinySft, tinyStage, tinyWeights } from "./support/tiny-stages.js";

let dir = "";
let base = "";
let start = "";
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "posttrain-tiny-stages-"));
  base = join(dir, "model");
  const data = join(dir, "training.jsonl");
  await writeTrainingRows(data, 1, tinyRows);
  const device = openDevice({ threads: 2 });
  try {
    await writeTinyModel(device, base, 1);
    const config = trainingConfig({ model: base, data, outputDir: join(dir, "sft"), seed: 1 });
    start = (await runSft({ ...config, ...tinySft }, device)).checkpoint;
  } finally {
    await device.close();
  }
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const digits: RewardSource = {
  name: "digits",
  weight: 1,
  reward: async (group) =>
    group.map(({ text }) => ({ value: text.replaceAll(/\D/g, "").length / Math.max(1, text.length) })),
};

test("on another device", async () => {
  const backend = join(addonFile().path, "../test/host-copy.so");
  await expectTheBits(openDevice({ backend, threads: 2 }), "host-copy");
});

describe.each(pathsFor("f32"))("on cpu path %s", (path) => {
  // Plain code emulates the fused multiply-add: once is enough there.
  test.each(path === "plain" ? [2] : [1, 2])("%d threads", async (threads) => {
    await expectTheBits(openDevice({ path, threads }), `${path}-${threads}`);
  });
});

/** Three stages on a device that is closed then. */
async function expectTheBits(device: Device, name: string): Promise<void> {
  const paths: LaterPaths = { run: join(dir, name), base, start, seed: 1 };
  try {
    await mkdir(paths.run);
    await writeLines(filesOf(paths).pairs, tinyPairs);
    await writeQuestions(filesOf(paths).questions, 1, 2);
    const dpo = await runDpo({ ...dpoRecipe(paths), ...tinyStage }, device);
    const reward = await runReward({ ...rewardRecipe(paths), ...tinyStage }, device);
    const grpo = await runGrpo(
      {
        ...grpoRecipe({ ...paths, policy: dpo.checkpoint }),
        ...{
          max_steps: 2,
          num_generations: 2,
          per_device_train_batch_size: 4,
          max_completion_length: 8,
          max_refills: 0,
        },
      },
      device,
      { sources: [digits], check: async () => [] },
    );
    expect({
      dpo: await sha256(dpo.checkpoint),
      reward: await sha256(reward.checkpoint),
      grpo: await sha256(grpo.checkpoint),
    }).toEqual(tinyWeights);
  } finally {
    await device.close();
  }
}

async function sha256(model: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(join(model, "model.safetensors")))
    .digest("hex");
}
