// What fine-tuning draws from: every row once, in packs or alone, none on both sides of a split; and packs leak nothing.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openDevice } from "@posttrain/kernels";
import { forward, loadModel, predict } from "@posttrain/model";
import { microBatch, prepareSftData, sftConfig } from "@posttrain/sft";
import { planSteps, stepRows } from "@posttrain/train";
import { afterAll, beforeAll, expect, test } from "vitest";

const model = fileURLToPath(new URL("../../../tests/fixtures/golden/qwen2-tiny-tied", import.meta.url));
let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "posttrain-sft-"));
  const rows = Array.from({ length: 40 }, (_, r) => {
    const ids = Array.from({ length: 4 + ((r * 11) % 23) }, (_, i) => (i * 17 + r * 29) % 320);
    return `${JSON.stringify({ input_ids: ids })}\n`;
  });
  await writeFile(join(folder, "rows.jsonl"), rows.join(""));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const config = (options: object) =>
  sftConfig.parse({
    model_name_or_path: model,
    data: join(folder, "rows.jsonl"),
    output_dir: "unused",
    ...options,
  });
const lines = (rows: readonly { readonly line: number }[]): number[] =>
  rows.map(({ line }) => line).sort((a, b) => a - b);
const all = Array.from({ length: 40 }, (_, i) => i + 1);

test("packs hold every row once, and no more tokens than max_length", async () => {
  const data = await prepareSftData(config({ packing: true, max_length: 32 }));
  expect(lines(data.units.flat())).toEqual(all);
  expect(data.units.length).toBeLessThan(25);
  for (const unit of data.units) {
    expect(unit.reduce((sum, { inputIds }) => sum + inputIds.length, 0)).toBeLessThanOrEqual(32);
  }
  // An epoch draws each of them once, the last step what is left.
  const plan = planSteps(data.units.length, 2, 3);
  const epoch = Array.from({ length: plan.stepsPerEpoch }, (_, i) => stepRows(data.units, plan, 5, i + 1));
  expect(lines(epoch.flat(2))).toEqual(all);
});

test("rows held out by val_size train nowhere", async () => {
  const data = await prepareSftData(config({ val_size: 0.2 }));
  expect(data.evalRows).toHaveLength(8);
  expect(lines([...data.units.flat(), ...data.evalRows])).toEqual(all);
  const again = await prepareSftData(config({ val_size: 0.2, seed: 1 }));
  expect(lines(again.evalRows)).not.toEqual(lines(data.evalRows));
});

test("log-probabilities of packed rows are those of the rows alone, bit for bit", async () => {
  const data = await prepareSftData(config({ packing: true, max_length: 64 }));
  const device = openDevice({ threads: 2 });
  const loaded = await loadModel(device, model);
  try {
    const logProbs = async (rows: (typeof data.units)[number]): Promise<number[]> => {
      const { batch, predictions } = microBatch(rows);
      return device.run(async (scope) => [
        ...(await predict(scope, loaded, forward(scope, loaded, batch), predictions).logProb.read()),
      ]);
    };
    const pack = data.units.find((unit) => unit.length > 2);
    const alone: number[] = [];
    for (const row of pack ?? []) alone.push(...(await logProbs([row])));
    expect(alone.length).toBeGreaterThan(20);
    expect(await logProbs(pack ?? [])).toEqual(alone);
  } finally {
    loaded.scope.end();
    await device.close();
  }
});
