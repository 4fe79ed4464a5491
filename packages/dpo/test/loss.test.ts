import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type DpoLossOptions, dpoLoss, type LossType, lossTypes, type PairLogProbs } from "../src/loss.js";

const pair = (chosen: number[], rejected: number[], reference: readonly [number, number]): PairLogProbs => ({
  chosen: Float32Array.from(chosen),
  rejected: Float32Array.from(rejected),
  reference: { chosen: reference[0], rejected: reference[1] },
});

const alone = (type: LossType, beta = 0.1, labelSmoothing = 0): DpoLossOptions => ({
  terms: [{ type, weight: 1 }],
  beta,
  labelSmoothing,
});

const three = [
  pair([-1.5, -0.25, -3], [-2, -1], [-5, -2.5]),
  pair([-0.5], [-4, -0.125, -2, -1], [-0.25, -9]),
  pair([-2, -2], [-1.75, -0.5], [-3, -3]),
];

describe("the gradient", () => {
  const options: readonly DpoLossOptions[] = [
    ...lossTypes.flatMap((type) => [alone(type, 0.1, 0), alone(type, 0.7, 0.2)]),
    {
      terms: [
        { type: "sigmoid", weight: 1 },
        { type: "sft", weight: 0.2 },
        { type: "ipo", weight: 0.5 },
      ],
      beta: 0.3,
      labelSmoothing: 0.1,
    },
  ];
  it.each(options)("agrees with central differences: %j", (given) => {
    const { gradients } = dpoLoss(three, given);
    // A power of two near the middle of float32's digits: the difference of the inputs is exact.
    const step = 2 ** -10;
    for (const [p, own] of three.entries()) {
      for (const side of ["chosen", "rejected"] as const) {
        for (let t = 0; t < own[side].length; t++) {
          const moved = (by: number): number => {
            const tokens = Float32Array.from(own[side]);
            tokens[t]! += by;
            return dpoLoss(three.with(p, { ...own, [side]: tokens }), given).loss;
          };
          const difference = (moved(step) - moved(-step)) / (2 * step);
          // The third derivative times step^2 / 6.
          expect(Math.abs(gradients[p]![side] - difference), `${side} ${p} ${t}`).toBeLessThan(1e-6);
        }
      }
    }
  });
});

describe("the value", () => {
  interface Case {
    readonly id: string;
    readonly inputs: Readonly<Record<string, readonly number[]>> & {
      readonly beta: number;
      readonly label_smoothing: number;
    };
    readonly expected: { readonly losses: readonly number[] };
  }
  const cases = readFileSync(new URL("fixtures/loss-cases.jsonl", import.meta.url), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Case);
  it.each(cases)("$id", ({ inputs, expected }) => {
    const of = (name: string): readonly number[] => inputs[name] as readonly number[];
    for (const [i, loss] of expected.losses.entries()) {
      const [chosen, rejected] = [of("policy_chosen_logps")[i]!, of("policy_rejected_logps")[i]!];
      // One token each, whose float32 the reference takes back.
      const sums = pair(
        [chosen],
        [rejected],
        [
          of("reference_chosen_logps")[i]! + Math.fround(chosen) - chosen,
          of("reference_rejected_logps")[i]! + Math.fround(rejected) - rejected,
        ],
      );
      const ours = dpoLoss([sums], alone("sigmoid", inputs.beta, inputs.label_smoothing)).loss;
      // Written to ten digits.
      expect(Math.abs(ours - loss)).toBeLessThan(1e-9 + 1e-9 * loss);
    }
  });

  it("is ln 2 where policy and reference agree, and its slope half of beta", () => {
    const same = [pair([-1, -2], [-3], [-3, -3])];
    for (const type of ["sigmoid", "sigmoid_norm"] as const) {
      expect(dpoLoss(same, alone(type)).loss).toBe(Math.LN2);
    }
    expect(dpoLoss(same, alone("sigmoid")).gradients).toEqual([{ chosen: -0.05, rejected: 0.05 }]);
    expect(dpoLoss(same, alone("hinge")).loss).toBe(1);
    expect(dpoLoss(same, alone("ipo")).loss).toBe(25);
    expect(dpoLoss(same, alone("robust", 0.1, 0.3)).loss).toBeCloseTo(Math.LN2, 15);
  });

  it("keeps its head where margins are extreme", () => {
    const far = (by: number) => [pair([by], [-1], [-1, -1])];
    expect(dpoLoss(far(-1e6), alone("sigmoid")).loss).toBeCloseTo(1e5, 0);
    expect(dpoLoss(far(-1e6), alone("sigmoid")).gradients[0]!.chosen).toBeCloseTo(-0.1, 12);
    expect(dpoLoss(far(1e6), alone("sigmoid"))).toEqual({
      loss: 0,
      gradients: [{ chosen: 0, rejected: 0 }],
    });
    expect(dpoLoss(far(1e6), alone("hinge")).loss).toBe(0);
  });

  it("label smoothing acts on sigmoid, sigmoid_norm and robust", () => {
    const differs = lossTypes.filter(
      (type) => dpoLoss(three, alone(type, 0.1, 0.1)).loss !== dpoLoss(three, alone(type)).loss,
    );
    expect(differs).toEqual(["sigmoid", "sigmoid_norm", "robust"]);
  });

  it("sft is the mean over all chosen tokens, others over pairs; answers' lengths matter to ipo and sigmoid_norm", () => {
    const tokens = three.flatMap(({ chosen }) => [...chosen]);
    expect(dpoLoss(three, alone("sft")).loss).toBeCloseTo(
      -tokens.reduce((sum, value) => sum + value, 0) / tokens.length,
      12,
    );
    const [first] = three;
    const margin = (-4.75 + 5) / 3 - (-3 + 2.5) / 2;
    expect(dpoLoss([first!], alone("ipo")).loss).toBeCloseTo((margin - 5) ** 2, 12);
    expect(dpoLoss([first!], alone("ipo_sum")).loss).toBeCloseTo((-4.75 + 5 - (-3 + 2.5) - 5) ** 2, 12);
  });
});
