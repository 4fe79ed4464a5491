// Whole DPO runs against TRL's (tests/fixtures/golden/SOURCE.md), and what holds at the first step.
import { type DpoLossOptions, dpoStep, type LossType, lossTypes, pairBatch, pairSums } from "@posttrain/dpo";
import { openDevice } from "@posttrain/kernels";
import { loadModel } from "@posttrain/model";
import { adamwRule, createOptimizer } from "@posttrain/train";
import { afterAll, describe, expect, it } from "vitest";
import { goldenJson, goldenPath, l2 } from "./support/golden.js";

const device = openDevice();
afterAll(() => device.close());

interface Golden {
  readonly name: string;
  // biome-ignore lint/suspicious/noExplicitAny: TRL's own config
  readonly config: any;
  readonly steps: readonly Readonly<Record<string, number>>[];
  readonly weight_movement_l2: number | null;
  readonly final: Readonly<Record<string, { readonly sum: number; readonly l2: number }>>;
}

interface Yardstick {
  readonly name: string;
  readonly loss_max_abs: number;
  readonly grad_norm_max_rel: number;
  readonly final_weights_max_abs: number;
  readonly final_weights_l2_over_l2_of_movement: number;
}

const golden = goldenJson("trl", "dpo.json") as {
  readonly pairs: readonly Readonly<
    Record<"prompt_ids" | "chosen_ids" | "rejected_ids", readonly number[]>
  >[];
  readonly runs: readonly Golden[];
};
const pairs = golden.pairs.map(({ prompt_ids, chosen_ids, rejected_ids }, line) => ({
  id: String(line),
  line,
  promptIds: Int32Array.from(prompt_ids),
  chosenIds: Int32Array.from(chosen_ids),
  rejectedIds: Int32Array.from(rejected_ids),
}));
const yardsticks = (goldenJson("trl", "yardstick.json").runs as readonly Yardstick[]).filter(({ name }) =>
  name.startsWith("dpo_"),
);

const usual = yardsticks.find(({ name }) => name === "dpo_sigmoid") as Yardstick;
/** Two runs are not TRL's, and have no yardstick of their own. */
const yardstickOf = ({ name }: Golden): Yardstick => yardsticks.find((one) => one.name === name) ?? usual;

/**
 * How far rounding carries a margin, a sum of log-probabilities, over these runs: from the loss of sigmoid, whose slope is half of beta. A run
 * with another term moves the weights further, and is held to its own.
 */
const marginRoom = (run: Golden): number =>
  Math.max(yardstickOf(run).loss_max_abs, usual.loss_max_abs) / (0.1 / 2);

/** Of the loss: the square of a margin's distance has twice that for its slope. */
function lossRoom(run: Golden, loss: number): number {
  return run.config.loss_type === "ipo_sum"
    ? marginRoom(run) * 2 * Math.sqrt(loss)
    : yardstickOf(run).loss_max_abs;
}

function lossOf({ config }: Golden): DpoLossOptions {
  const named: readonly string[] = [config.loss_type].flat();
  const types = named.map((type) => (type === "cdpo" ? "sigmoid" : type) as LossType);
  expect(lossTypes).toEqual(expect.arrayContaining(types));
  return {
    terms: types.map((type, i) => ({ type, weight: config.loss_weights?.[i] ?? 1 })),
    beta: config.beta,
    labelSmoothing: config.label_smoothing ?? 0,
  };
}

describe("DPO equals TRL", () => {
  it.each(golden.runs)("$name", async (run) => {
    const { config } = run;
    const yardstick = yardstickOf(run);
    const model = await loadModel(device, goldenPath("qwen2-tiny-tied"));
    const start = await loadModel(device, goldenPath("qwen2-tiny-tied"));
    const rule = adamwRule({ beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: config.weight_decay });
    const optimizer = createOptimizer(model, rule);
    const [micro, batches] = [config.per_device_train_batch_size, config.gradient_accumulation_steps];
    let tokens = 0;
    for (const [s, expected] of run.steps.entries()) {
      const rows = pairs.slice(s * micro * batches, (s + 1) * micro * batches);
      const result = await dpoStep(
        model,
        optimizer,
        Array.from({ length: batches }, (_, i) => pairBatch(rows.slice(i * micro, (i + 1) * micro))),
        {
          ...lossOf(run),
          reference: (own) => pairSums(start, own),
          learningRate: config.learning_rate,
          maxGradNorm: config.max_grad_norm,
          activationCheckpointing: s % 2 === 0,
        },
      );
      // Step 1 has seen no update yet: there only rounding differs.
      const room = s === 0 ? 1 : 4;
      expect(Math.abs(result.loss - expected["loss"]!), `loss ${s + 1}`).toBeLessThanOrEqual(
        room * lossRoom(run, expected["loss"]!),
      );
      expect(
        Math.abs(result.gradNorm / expected["grad_norm"]! - 1),
        `grad_norm ${s + 1}`,
      ).toBeLessThanOrEqual(room * yardstick.grad_norm_max_rel);
      tokens += result.tokens;
      if (expected["num_tokens"] === undefined) continue;
      expect(tokens).toBe(expected["num_tokens"]);
      const { rewards, logps, logits } = result;
      const near = (value: number, metric: string, most: number): void =>
        expect(Math.abs(value - expected[metric]!), `${metric} ${s + 1}`).toBeLessThanOrEqual(most);
      expect(rewards.accuracies).toBe(expected["rewards/accuracies"]);
      const sums = 4 * marginRoom(run);
      near(rewards.chosen, "rewards/chosen", config.beta * sums);
      near(rewards.rejected, "rewards/rejected", config.beta * sums);
      near(rewards.margins, "rewards/margins", config.beta * sums);
      near(logps.chosen, "logps/chosen", sums);
      near(logps.rejected, "logps/rejected", sums);
      // Over tokens: of several micro-batches TRL has the mean of means.
      if (batches > 1) continue;
      near(logits.chosen, "logits/chosen", 1e-4);
      near(logits.rejected, "logits/rejected", 1e-4);
      near(result.entropy, "entropy", 1e-4);
      near(result.accuracy, "mean_token_accuracy", 1e-6);
    }
    const moved = golden.runs.find(({ name }) => name === "dpo_sigmoid")?.weight_movement_l2 as number;
    for (const [parameter, { sum, l2: norm }] of Object.entries(run.final)) {
      const tensor = model.parameters.get(parameter);
      if (tensor === undefined) continue;
      const values = (await tensor.read()) as Float32Array;
      const movement = run.weight_movement_l2 ?? moved;
      expect(Math.abs(l2(values) - norm), parameter).toBeLessThanOrEqual(
        yardstick.final_weights_l2_over_l2_of_movement * 4 * movement,
      );
      expect(Math.abs(values.reduce((a, b) => a + b, 0) - sum), parameter).toBeLessThanOrEqual(
        4 * yardstick.final_weights_max_abs * Math.sqrt(values.length),
      );
    }
    model.scope.end();
    start.scope.end();
  });
});

describe("the first step", () => {
  it.each(["f32", "bf16"] as const)("in %s has margins of 0 to the last bit and ln 2", async (dtype) => {
    const model = await loadModel(device, goldenPath("qwen2-tiny-tied"), { dtype, masters: true });
    const reference = await loadModel(device, goldenPath("qwen2-tiny-tied"), { dtype });
    // What the reference says comes from batches of its own, one by one and backwards.
    const sums = new Map();
    for (const pair of pairs.toReversed()) sums.set(pair, (await pairSums(reference, [pair]))[0]);
    const batches = [pairs.slice(0, 7), pairs.slice(7, 16), pairs.slice(16)].map(pairBatch);
    const { loss, rewards } = await dpoStep(
      model,
      createOptimizer(model, adamwRule({ beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 })),
      batches,
      {
        terms: [{ type: "sigmoid", weight: 1 }],
        beta: 0.1,
        labelSmoothing: 0,
        reference: async (own) => own.map((pair) => sums.get(pair)),
        learningRate: 0,
        maxGradNorm: 1,
        activationCheckpointing: true,
      },
    );
    expect(rewards).toEqual({ chosen: 0, rejected: 0, accuracies: 0, margins: 0 });
    expect(Math.abs(loss - Math.LN2)).toBeLessThanOrEqual(2 ** -52);
    model.scope.end();
    reference.scope.end();
  });
});
