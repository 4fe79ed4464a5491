import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { advantagesOf } from "../src/advantages.js";
import { aggregationNames, responseWeights } from "../src/aggregation.js";
import {
  klNames,
  type PolicyBatch,
  type PolicyLossOptions,
  policyLoss,
  ratioNames,
  surrogateNames,
} from "../src/loss.js";

interface Case {
  readonly id: string;
  readonly function: string;
  // biome-ignore lint/suspicious/noExplicitAny: each function has its own inputs
  readonly inputs: any;
  // biome-ignore lint/suspicious/noExplicitAny: and results
  readonly expected: any;
}

const cases: readonly Case[] = readFileSync(new URL("fixtures/rl-loss-cases.jsonl", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));
const of = (name: string) => cases.filter((one) => one.function === name);

const plain: PolicyLossOptions = {
  ratio: "token",
  surrogate: "clip",
  epsilonLow: 0.2,
  epsilonHigh: 0.2,
  beta: 0,
  kl: "k3",
  klTimesRatio: false,
};

/** verl's padded matrices to responses one after the other. */
function packed(inputs: Case["inputs"], aggregation: "token-mean" | "seq-mean-token-mean"): PolicyBatch {
  const mask = inputs.response_mask as number[][];
  const lengths = mask.map((row) => row.reduce((a, b) => a + b, 0));
  const take = (matrix: number[][]) => matrix.flatMap((row, i) => row.slice(0, lengths[i]));
  const step = { lengths, counted: lengths.map((n) => n > 0), maxCompletionLength: 1, updates: 1 };
  const weights = responseWeights(aggregation === "token-mean" ? "dapo" : "grpo", step);
  const starts = [0];
  for (const length of lengths) starts.push((starts.at(-1) as number) + length);
  return {
    logProbs: take(inputs.log_prob),
    oldLogProbs: take(inputs.old_log_prob),
    advantages: take(inputs.advantages),
    weights: lengths.flatMap((length, i) => new Array<number>(length).fill(weights[i] as number)),
    starts,
  };
}

describe("the policy's loss is verl's", () => {
  it.each(of("ppo_clip_loss"))("$id", ({ inputs, expected }) => {
    const batch = packed(inputs, inputs.aggregation);
    const options = {
      ...plain,
      epsilonLow: inputs.clip_low,
      epsilonHigh: inputs.clip_high,
      dualClip: inputs.dual_clip_c,
    };
    const { loss, responses } = policyLoss(batch, options);
    const total = (key: keyof (typeof responses)[number]) =>
      responses.reduce((sum, one) => sum + one[key], 0);
    expect(loss).toBeCloseTo(expected.loss, 6);
    expect((total("clippedLow") + total("clippedHigh")) / total("tokens")).toBeCloseTo(
      expected.pg_clipfrac,
      6,
    );
    expect(total("moved") / total("tokens")).toBeCloseTo(expected.ppo_kl, 6);
  });

  it.each(of("gspo_loss"))("$id", ({ inputs, expected }) => {
    const batch = packed(inputs, "seq-mean-token-mean");
    const { loss, responses } = policyLoss(batch, {
      ...plain,
      ratio: "sequence",
      epsilonLow: inputs.clip_low,
      epsilonHigh: inputs.clip_high,
    });
    const total = (key: keyof (typeof responses)[number]) =>
      responses.reduce((sum, one) => sum + one[key], 0);
    expect(loss).toBeCloseTo(expected.loss, 6);
    expect((total("clippedLow") + total("clippedHigh")) / total("tokens")).toBeCloseTo(
      expected.pg_clipfrac,
      6,
    );
  });

  it.each(of("kl_penalty"))("$id", ({ inputs, expected }) => {
    for (const [i, row] of (inputs.logprob as number[][]).entries()) {
      for (const [j, logProb] of row.entries()) {
        const batch = {
          logProbs: [logProb],
          oldLogProbs: [logProb],
          referenceLogProbs: [inputs.ref_logprob[i][j]],
          advantages: [0],
          weights: [1],
          starts: [0, 1],
        };
        expect(policyLoss(batch, { ...plain, beta: 1 }).loss).toBeCloseTo(expected[i][j], 6);
      }
    }
  });
});

describe("advantages are verl's", () => {
  it.each(of("grpo_outcome_advantage"))("$id", ({ inputs, expected }) => {
    const rewards = (inputs.token_level_rewards as number[][]).map((row) => [row.reduce((a, b) => a + b, 0)]);
    const groups = inputs.group_index as number[];
    const advantages = advantagesOf(rewards, groups, {
      weights: [1],
      scale: inputs.norm_by_std === true ? "group" : "none",
      order: "sum_then_normalize",
      epsilon: inputs.epsilon,
    });
    for (const [i, row] of (inputs.response_mask as number[][]).entries()) {
      // verl takes a mean of 0 for a group of one: its reward is then its advantage. Here it has nothing to be compared with.
      if (groups.filter((group) => group === groups[i]).length === 1) expect(advantages[i]).toBe(0);
      else
        for (const [t, on] of row.entries())
          if (on === 1) expect(advantages[i]).toBeCloseTo(expected[i][t], 5);
    }
  });

  it("have the published values of binary rewards, times the root of 7/8 for the sample's deviation", () => {
    const of8 = (right: number) =>
      advantagesOf(
        Array.from({ length: 8 }, (_, i) => [i < right ? 1 : 0]),
        new Array(8).fill("p"),
        { weights: [1], scale: "group", order: "sum_then_normalize", epsilon: 0 },
      );
    const sample = Math.sqrt(7 / 8);
    expect(of8(1)[0]).toBeCloseTo(2.646 * sample, 3);
    expect(of8(1)[7]).toBeCloseTo(-0.378 * sample, 3);
    expect(of8(4)[0]).toBeCloseTo(sample, 12);
  });

  const options = { weights: [1], scale: "group", order: "sum_then_normalize", epsilon: 0 } as const;

  it("are exactly 0 where all rewards are equal, though their mean is rounded", () => {
    const rewards = new Array(7).fill([0.1]);
    expect(advantagesOf(rewards, new Array(7).fill(0), options)).toEqual(new Array(7).fill(0));
  });

  it("leave out what nobody could grade", () => {
    const rewards = [[1], [null], [0], [null]];
    const [a, b, c, d] = advantagesOf(rewards, [0, 0, 0, 1], options);
    expect([b, d]).toEqual([null, null]);
    expect(a).toBeCloseTo(Math.SQRT1_2, 12);
    expect(c).toBeCloseTo(-Math.SQRT1_2, 12);
  });

  it("take the sources that a response has", () => {
    const rewards = [
      [1, null],
      [0, 2],
    ];
    const [a, b] = advantagesOf(rewards, [0, 0], { ...options, weights: [1, 0.5], scale: "none" });
    expect([a, b]).toEqual([0, 0]);
  });
});

describe("the gradient", () => {
  const lengths = [3, 1, 4];
  const starts = [0, 3, 4, 8];
  // Ratios within and beyond the clip range on both sides, none on its edges.
  const oldLogProbs = [-1.2, -0.3, -2.2, -0.9, -1.1, -3.1, -0.05, -0.7];
  const logProbs = [-1.0, -0.8, -2.15, -0.35, -1.6, -2.4, -0.1, -0.72];
  const referenceLogProbs = [-1.3, -0.6, -2.0, -0.95, -1.1, -2.9, -0.2, -0.75];
  const advantages = [1.2, 1.2, 1.2, -0.7, -2, -2, -2, -2];
  const weights = (name: (typeof aggregationNames)[number]) =>
    responseWeights(name, {
      lengths,
      counted: [true, true, true],
      maxCompletionLength: 16,
      updates: 1,
    }).flatMap((weight, i) => new Array<number>(lengths[i] as number).fill(weight));
  const variants = surrogateNames.flatMap((surrogate) =>
    ratioNames.flatMap((ratio) =>
      klNames
        .filter((kl) => kl !== "k3_k2")
        .flatMap((kl) => [false, true].map((klTimesRatio) => ({ surrogate, ratio, kl, klTimesRatio }))),
    ),
  );
  it.each(variants)(
    "of $surrogate by $ratio, $kl times ratio $klTimesRatio, is the finite difference",
    (variant) => {
      for (const aggregation of aggregationNames) {
        const batch = {
          logProbs,
          oldLogProbs,
          referenceLogProbs,
          advantages,
          weights: weights(aggregation),
          starts,
        };
        const options = {
          ...plain,
          ...variant,
          beta: 0.3,
          dualClip: 1.5,
          epsilonHigh: variant.surrogate === "cispo" ? 1.25 : 0.28,
        };
        const { gradient } = policyLoss(batch, options);
        for (const [t, logProb] of logProbs.entries()) {
          const h = 1e-6;
          // CISPO's ratio has no gradient: what is moved for the difference is log p alone, the ratio of the surrogate held.
          const at = (step: number) => {
            const moved = logProbs.with(t, logProb + step);
            if (variant.surrogate !== "cispo") return policyLoss({ ...batch, logProbs: moved }, options).loss;
            const held = policyLoss(
              {
                ...batch,
                logProbs: moved,
                oldLogProbs: oldLogProbs.with(t, (oldLogProbs[t] as number) + step),
              },
              { ...options, beta: 0 },
            ).loss;
            const kl = policyLoss(
              { ...batch, logProbs: moved, advantages: advantages.map(() => 0) },
              options,
            ).loss;
            return held + kl;
          };
          expect(gradient[t]).toBeCloseTo((at(h) - at(-h)) / (2 * h), 6);
        }
      }
    },
  );

  it("of k3_k2 is k2's, under k3's value", () => {
    const batch = {
      logProbs,
      oldLogProbs: logProbs,
      referenceLogProbs,
      advantages: advantages.map(() => 0),
      weights: weights("dapo"),
      starts,
    };
    const [k2, k3, both] = (["k2", "k3", "k3_k2"] as const).map((kl) =>
      policyLoss(batch, { ...plain, beta: 1, kl }),
    );
    expect(both?.gradient).toEqual(k2?.gradient);
    expect(both?.loss).toBe(k3?.loss);
  });

  it("leaves masked responses alone", () => {
    const masked = weights("grpo").map((weight, t) => (t >= 3 && t < 4 ? 0 : weight));
    const { gradient, responses } = policyLoss(
      { logProbs, oldLogProbs, referenceLogProbs, advantages, weights: masked, starts },
      { ...plain, ratio: "sequence", beta: 0.1 },
    );
    expect(gradient[3]).toBe(0);
    expect(Object.values(responses[1]!)).toEqual(new Array(10).fill(0));
  });
});
