// What a run of DPO takes, said before it begins: the dry step against a real one, with what a live reference and online merging add.
import { openDevice } from "@posttrain/kernels";
import { loadModel, openModelFolder } from "@posttrain/model";
import { createOptimizer, fillFixed, planTraining, ruleOf } from "@posttrain/train";
import { expect, it } from "vitest";
import { goldenPath } from "../../../tests/support/golden.js";
import { testFolder, writeBase, writePairRows } from "../../../tests/support/tiny-run.js";
import { dpoConfig, lossOptionsOf } from "../src/config.js";
import { pairBatch } from "../src/pair-batch.js";
import { plannedDpo } from "../src/plan.js";
import { liveReference } from "../src/reference.js";
import { prepareDpoData } from "../src/rows.js";
import { dpoStep } from "../src/step.js";

const folder = testFolder();
const start = goldenPath("qwen2-tiny-tied");
const merging = { optim: "online_dare", base_model_name_or_path: writeBase(`${folder}/base`) };
const live = { precompute_ref_log_probs: false };

it.each([
  { name: "AdamW and a kept reference", options: {}, merges: false, asks: false },
  { name: "a live reference", options: live, merges: false, asks: true },
  { name: "a live reference and online merging", options: { ...live, ...merging }, merges: true, asks: true },
])("$name: named, and what a real step takes to the byte", async ({ options, merges, asks }) => {
  const config = dpoConfig.parse({
    ...{ model_name_or_path: start, data: writePairRows(`${folder}/pairs.jsonl`, 6), output_dir: folder },
    ...{ per_device_train_batch_size: 6, max_steps: 1, ...options },
  });
  const data = await prepareDpoData(config);
  const planned = plannedDpo(config, data);
  const { memory, work } = await planTraining(config, planned, { threads: 1 });

  const device = openDevice({ threads: 1 });
  const inUse = (): number => device.status().bytesInUse;
  try {
    const model = await loadModel(device, start, { masters: true });
    const optimizer = createOptimizer(model, ruleOf(config));
    await fillFixed(model, optimizer);
    const { weights, gradients, moments, merging, beside } = memory;
    expect(inUse()).toBe(weights + gradients + moments + merging);
    expect(merging > 0).toBe(merges);
    const before = inUse();
    const second = asks ? await liveReference(device, { dir: start, dtype: "f32" }) : undefined;
    expect(beside).toBe(inUse() - before);
    expect(planned.beside?.map(({ name }) => name)).toEqual(asks ? ["reference"] : undefined);
    device.resetPeak();
    const held = inUse();
    await dpoStep(model, optimizer, [pairBatch(data.trainRows)], {
      ...lossOptionsOf(config),
      ...{ learningRate: 1e-3, maxGradNorm: 1, activationCheckpointing: config.gradient_checkpointing },
      reference: second?.reference ?? (async (pairs) => pairs.map(() => ({ chosen: 0, rejected: 0 }))),
    });
    expect(memory.held + memory.working).toBe(device.status().peakBytes - held);
    second?.close();
    model.scope.end();
  } finally {
    await device.close();
  }
  // A forward pass of all pairs where a step's are three: once, or at each of its visits.
  const { config: shape } = await openModelFolder(start);
  expect(shape.vocabSize).toBe(320);
  expect(work.other).toBeCloseTo(work.run / 3, 0);
});
