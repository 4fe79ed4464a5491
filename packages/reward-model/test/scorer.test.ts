// A scorer over a model: in order, whatever is scored beside, and null for what cannot be scored.
import { openDevice } from "@posttrain/kernels";
import { loadModel } from "@posttrain/model";
import { modelScorer, scoreSequences } from "@posttrain/reward-model";
import { afterAll, expect, it } from "vitest";
import { goldenPath } from "../../../tests/support/golden.js";

const device = openDevice();
afterAll(() => device.close());

it("scores many sequences in order, each as alone, and says null where there is no score", async () => {
  const model = await loadModel(device, goldenPath("reward-tiny"), { kind: "reward" });
  const score = modelScorer(model);
  const ids = (length: number, from: number): Int32Array =>
    Int32Array.from({ length }, (_, i) => (from + 7 * i) % 320);
  // More than goes through at once, with an empty one and one beyond the context of 256 between.
  const sequences = [
    ids(200, 1),
    ids(0, 0),
    ids(257, 3),
    ...Array.from({ length: 80 }, (_, i) => ids(120 + i, i)),
  ];
  const scores = await score(sequences);
  expect(scores.map((value) => value === null)).toEqual(sequences.map((_, i) => i === 1 || i === 2));
  for (const i of [0, 3, 40, 82]) {
    const alone = await scoreSequences(model, [sequences[i] as Int32Array]);
    expect(scores[i]).toBe(alone.scores[0]);
  }
  expect(await score([])).toEqual([]);
  model.scope.end();
});
