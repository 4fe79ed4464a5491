// A score that is the weighted sum of heads: what each learns, that the sum is what the folder gives, and the gradient of the whole.
import { join } from "node:path";
import { openDevice } from "@posttrain/kernels";
import { loadModel, type Model, openModelFolder, parameter, saveModel, setParameter } from "@posttrain/model";
import {
  evaluateReward,
  type RewardRow,
  rewardStep,
  scoreSequences,
  sumHeads,
} from "@posttrain/reward-model";
import { adamwRule, createOptimizer } from "@posttrain/train";
import { afterAll, expect, it } from "vitest";
import { goldenPath } from "../../../tests/support/golden.js";
import { testFolder } from "../../../tests/support/tiny-run.js";

const device = openDevice({ threads: 2 });
afterAll(() => device.close());
const folder = testFolder();
const heads = [
  { name: "helpfulness", weight: 0.75 },
  { name: "conciseness", weight: -0.5 },
  { name: "relevance", weight: 1 },
];

async function open(dtype: "f32" | "bf16" = "f32", trainSum = false): Promise<Model> {
  const dir = goldenPath("qwen2-tiny-tied");
  const { config } = await openModelFolder(dir);
  const model = await loadModel(device, dir, {
    dtype,
    masters: true,
    as: { config: { ...config, score: { labels: ["LABEL_0"], heads } }, seed: 5 },
    trainable: (name) => trainSum || name !== "score.weight",
  });
  await sumHeads(model);
  return model;
}
const rows: RewardRow[] = Array.from({ length: 6 }, (_, r) => ({
  id: String(r),
  line: r + 1,
  sequences: [0, 1].map((s) =>
    Int32Array.from({ length: 6 + r + 3 * s }, (_, i) => (31 * i + 7 * r + 50 * s) % 320),
  ),
  labels: [true, false],
  margin: 0.1 * r,
  // Each criterion has an opinion of its own, and not on every row.
  criteria: {
    ...(r % 2 === 0 && { helpfulness: [true, false] }),
    ...(r < 4 && { conciseness: [false, true] }),
  },
}));
const loss = { centerRewardsCoefficient: 0.01 };
const step = { learningRate: 2e-3, maxGradNorm: 1, activationCheckpointing: false, ...loss };
const rule = adamwRule({ beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 });

it.each(["f32", "bf16"] as const)(
  "the folder's score is the weighted sum of its heads after every step (%s)",
  async (dtype) => {
    const model = await open(dtype);
    const optimizer = createOptimizer(model, rule);
    for (let i = 0; i < 3; i++) await rewardStep(model, optimizer, [rows], step);
    const dir = join(folder, dtype);
    await saveModel(model, dir);
    const loaded = await loadModel(device, dir, { kind: "reward", dtype });
    const sequences = rows.flatMap((row) => row.sequences);
    const [own, found] = [await scoreSequences(model, sequences), await scoreSequences(loaded, sequences)];
    expect(found).toEqual(own);
    for (const [s, score] of found.scores.entries()) {
      const sum = heads.reduce((total, { weight }, h) => total + weight * (found.heads[s]?.[h] as number), 0);
      expect(Math.abs(score - sum)).toBeLessThan(dtype === "f32" ? 2e-6 : 3e-3);
    }
    model.scope.end();
    loaded.scope.end();
  },
);

it("each head learns its own criterion, the sum the preference", async () => {
  const model = await open();
  const optimizer = createOptimizer(model, rule);
  for (let i = 0; i < 30; i++) await rewardStep(model, optimizer, [rows.slice(0, 3), rows.slice(3)], step);
  const { accuracy, headAccuracy, loss: left } = await evaluateReward(model, rows, 2, loss);
  expect(accuracy).toBe(1);
  expect(headAccuracy).toEqual({ helpfulness: 1, conciseness: 1, relevance: Number.NaN });
  expect(left).toBeLessThan(0.5);
  model.scope.end();
});

it("the gradient of the heads is that of the loss, and no other's labels reach a head", async () => {
  const model = await open();
  const optimizer = createOptimizer(model, { state: [], update: () => {} });
  await rewardStep(model, optimizer, [rows.slice(0, 2), rows.slice(2)], { ...step, learningRate: 0 });
  const gradient = (await parameter(model, "heads.weight").gradient?.read()) as Float32Array;
  const values = Float32Array.from((await parameter(model, "heads.weight").read()) as Float32Array);
  const at = async (i: number, delta: number): Promise<number> => {
    const moved = Float32Array.from(values);
    moved[i] = (values[i] as number) + delta;
    await device.run(async (scope) => setParameter(model, "heads.weight", scope.from(moved, [3, 64])));
    return (await evaluateReward(model, rows, 6, loss)).loss;
  };
  for (const i of [0, 17, 64, 100, 128, 191]) {
    const h = 2 ** -6;
    const slope = ((await at(i, h)) - (await at(i, -h))) / (2 * h);
    expect(Math.abs(slope - (gradient[i] as number))).toBeLessThan(2e-4 + 2e-3 * Math.abs(slope));
  }
  model.scope.end();
});

it("micro-batches change no number of a step", async () => {
  const results = [];
  for (const cut of [[rows], rows.map((row) => [row]), [rows.slice(0, 4), rows.slice(4)]]) {
    const model = await open();
    const { gradNorm: _, ...numbers } = await rewardStep(model, createOptimizer(model, rule), cut, step);
    results.push(numbers);
    model.scope.end();
  }
  expect(results[1]).toEqual(results[0]);
  expect(results[2]).toEqual(results[0]);
});
