// The loss by its formula: Bradley-Terry against numbers of the reference, lists against the sum written out, gradients against differences.
import { pairsOf, preferenceLoss } from "@posttrain/reward-model";
import { describe, expect, it } from "vitest";
import { goldenJson } from "../../../tests/support/golden.js";

const plain = { margin: 0, centring: 0 };

describe("of two responses", () => {
  const golden = goldenJson("reward-tiny", "expected.json");
  it.each(["plain", "margin", "centre", "margin_centre"])("%s is transformers'", (kind) => {
    const { margin, center_rewards_coefficient: centring, loss } = golden.losses[kind];
    const losses = golden.scores_chosen.map(
      (chosen: number, i: number) =>
        preferenceLoss([chosen, golden.scores_rejected[i]], [true, false], {
          margin: margin ? golden.margin[i] : 0,
          centring,
        }).loss,
    );
    const mean = losses.reduce((a: number, b: number) => a + b, 0) / losses.length;
    expect(Math.abs(mean - loss)).toBeLessThan(1e-15);
  });

  it("which is the better one is in the labels, not in the order", () => {
    const { loss, gradient } = preferenceLoss([0.5, 2], [true, false], plain);
    const turned = preferenceLoss([2, 0.5], [false, true], plain);
    expect(turned.loss).toBe(loss);
    expect([...turned.gradient].reverse()).toEqual([...gradient]);
  });

  it("equal scores cost ln 2; scores far apart neither overflow nor lose their gradient", () => {
    expect(preferenceLoss([1, 1], [true, false], plain).loss).toBe(Math.LN2);
    expect(preferenceLoss([-1e4, 1e4], [true, false], plain)).toEqual({
      loss: 2e4,
      gradient: Float64Array.of(-1, 1),
    });
    expect(preferenceLoss([1e4, -1e4], [true, false], plain).loss).toBe(0);
  });
});

describe("of a list", () => {
  const scores = [0.3, -1.2, 2.5, 0.1, 0.9, -0.4];
  const labels = [true, false, true, null, false, false];

  it("is Qwen2.5-Math's: -1/(k(n-k)) times the sum of log sigmoid over better and worse", () => {
    const [better, worse] = [
      [0.3, 2.5],
      [-1.2, 0.9, -0.4],
    ];
    const logSigmoid = (x: number): number => -Math.log(1 + Math.exp(-x));
    let sum = 0;
    for (const a of better) for (const b of worse) sum += logSigmoid(a - b);
    expect(preferenceLoss(scores, labels, plain).loss).toBeCloseTo(-sum / 6, 14);
    expect(pairsOf(labels)).toHaveLength(6);
  });

  it("of one kind only has nothing to learn", () => {
    for (const all of [true, false, null]) {
      const { loss, gradient } = preferenceLoss(
        scores,
        scores.map(() => all),
        plain,
      );
      expect(loss).toBe(0);
      expect([...gradient].every((g) => g === 0)).toBe(true);
    }
  });

  it.each([plain, { margin: 0.7, centring: 0 }, { margin: -1.5, centring: 0.05 }])(
    "has the gradient of its value: %j",
    (options) => {
      const { gradient } = preferenceLoss(scores, labels, options);
      const h = 1e-5;
      for (const i of scores.keys()) {
        const at = (delta: number): number =>
          preferenceLoss(
            scores.map((r, j) => (i === j ? r + delta : r)),
            labels,
            options,
          ).loss;
        expect(gradient[i]).toBeCloseTo((at(h) - at(-h)) / (2 * h), 8);
      }
      expect(gradient[3]).toBe(0);
    },
  );
});
