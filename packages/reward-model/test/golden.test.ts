// Scores, losses and gradients of a reward model against transformers, and whole runs against TRL's RewardTrainer.
import { openDevice } from "@posttrain/kernels";
import { loadModel, type Model } from "@posttrain/model";
import { evaluateReward, type RewardRow, rewardStep, scoreSequences } from "@posttrain/reward-model";
import { adamwRule, createOptimizer } from "@posttrain/train";
import { afterAll, describe, expect, it } from "vitest";
import { deviation, goldenJson, goldenPath, goldenTensors, l2 } from "../../../tests/support/golden.js";

const device = openDevice();
afterAll(() => device.close());
const expected = goldenJson("reward-tiny", "expected.json");
const { float32, bfloat16 } = expected.deviation_of_transformers;
const open = (dtype: "f32" | "bf16" = "f32"): Promise<Model> =>
  loadModel(device, goldenPath("reward-tiny"), { kind: "reward", dtype, masters: true });

const pair = (
  chosen: readonly number[],
  rejected: readonly number[],
  margin: number,
  line = 1,
): RewardRow => ({
  id: String(line),
  line,
  sequences: [Int32Array.from(chosen), Int32Array.from(rejected)],
  labels: [true, false],
  margin,
  criteria: {},
});
const rows = (margins: boolean): RewardRow[] =>
  expected.chosen.map((chosen: number[], i: number) =>
    pair(chosen, expected.rejected[i], margins ? expected.margin[i] : 0, i),
  );
const sequences: Int32Array[] = [...expected.chosen, ...expected.rejected].map((ids) => Int32Array.from(ids));
const scores: number[] = [...expected.scores_chosen, ...expected.scores_rejected];

describe("transformers' Qwen2ForSequenceClassification", () => {
  it.each([
    ["f32", float32],
    ["bf16", bfloat16],
  ] as const)("scores in %s", async (dtype, yardstick) => {
    const model = await open(dtype);
    const found = await scoreSequences(model, sequences);
    const room = dtype === "f32" ? 3 : 1;
    expect(deviation(found.scores, scores).rmsRel).toBeLessThanOrEqual(room * yardstick.scores.rms_rel);
    expect(deviation(found.scores, scores).maxAbs).toBeLessThanOrEqual(room * yardstick.scores.max_abs);
    expect(found.heads).toEqual([]);
    model.scope.end();
  });

  it("a packed sequence has the bits that it has alone", async () => {
    for (const dtype of ["f32", "bf16"] as const) {
      const model = await open(dtype);
      const packed = await scoreSequences(model, sequences);
      for (const [i, sequence] of sequences.entries()) {
        const alone = await scoreSequences(model, [sequence]);
        expect(alone.scores[0]).toBe(packed.scores[i]);
      }
      model.scope.end();
    }
  });

  it("where a sequence ends in the pad id we read its true end, and transformers one earlier", async () => {
    const model = await open();
    const { ids, score_there, score_at_true_last_position } = expected.trap_last_token_equals_pad;
    const trap = Int32Array.from(ids);
    const found = await scoreSequences(model, [trap, trap.slice(0, -1)]);
    const room = 3 * float32.scores.max_abs;
    expect(Math.abs((found.scores[0] as number) - score_at_true_last_position)).toBeLessThanOrEqual(room);
    expect(Math.abs((found.scores[1] as number) - score_there)).toBeLessThanOrEqual(room);
    model.scope.end();
  });

  it.each(["plain", "margin", "centre", "margin_centre"])("loss and gradient: %s", async (kind) => {
    const golden = expected.losses[kind];
    const model = await open();
    const options = { centerRewardsCoefficient: golden.center_rewards_coefficient };
    const optimizer = createOptimizer(
      model,
      // Keeps the gradients: nothing moves.
      { state: [], update: () => {} },
    );
    const step = { learningRate: 0, maxGradNorm: 0, activationCheckpointing: false, ...options };
    const result = await rewardStep(model, optimizer, [rows(golden.margin)], step);
    expect(Math.abs(result.loss - golden.loss)).toBeLessThanOrEqual(3 * float32.loss_margin_centre);
    expect(Math.abs(result.gradNorm / golden.grad_global_l2 - 1)).toBeLessThanOrEqual(
      3 * float32.grads.rms_rel,
    );
    const held = await evaluateReward(model, rows(golden.margin), 3, options);
    expect(held).toEqual({ ...held, loss: result.loss, accuracy: result.accuracy, margin: result.margin });
    const tensors = await goldenTensors("reward-tiny", "expected.safetensors");
    for (const [name, parameter] of model.parameters) {
      const values = (await parameter.gradient?.read()) as Float32Array;
      const room = 4 * float32.grads.rms_rel * golden.grad_l2[name] + 1e-6;
      expect(Math.abs(l2(values) - golden.grad_l2[name]), name).toBeLessThanOrEqual(room);
      const stored =
        kind === "margin_centre"
          ? `grad.${name}`
          : name === "score.weight"
            ? `grad_score_weight.${kind}`
            : "";
      const reference = tensors.get(stored)?.data;
      if (reference === undefined) continue;
      expect(deviation(values, reference).maxAbs, name).toBeLessThanOrEqual(4 * float32.grads.max_abs);
    }
    model.scope.end();
  });
});

describe("TRL's RewardTrainer", () => {
  const data = goldenJson("trl", "data.json").reward as {
    chosen_ids: number[];
    rejected_ids: number[];
    margin: number;
  }[];
  const yardsticks = goldenJson("trl", "yardstick.json").runs as {
    name: string;
    loss_max_abs: number;
    grad_norm_max_rel: number;
    final_weights_max_abs: number;
    final_weights_l2_over_l2_of_movement: number;
  }[];

  it.each(["reward_plain", "reward_margin_centre", "reward_accumulate2"])("%s", async (name) => {
    const golden = goldenJson("trl", `${name}.json`);
    // Over a step's responses, so TRL's of the same rows in one micro-batch: of several it has the mean of their extremes.
    const uncut = name === "reward_accumulate2" ? goldenJson("trl", "reward_plain.json") : golden;
    const yardstick = yardsticks.find((run) => run.name === name) as (typeof yardsticks)[number];
    const { config } = golden;
    const model = await open();
    const optimizer = createOptimizer(
      model,
      adamwRule({
        beta1: config.adam_beta1,
        beta2: config.adam_beta2,
        eps: config.adam_epsilon,
        weightDecay: config.weight_decay,
      }),
    );
    const micro = config.per_device_train_batch_size;
    const perStep = micro * config.gradient_accumulation_steps;
    let tokens = 0;
    for (let step = 1; step <= config.max_steps; step++) {
      const chosen = data
        .slice((step - 1) * perStep, step * perStep)
        .map(({ chosen_ids, rejected_ids, margin }, line) =>
          pair(chosen_ids, rejected_ids, config.margin_used ? margin : 0, line),
        );
      const batches = Array.from({ length: config.gradient_accumulation_steps }, (_, i) =>
        chosen.slice(i * micro, (i + 1) * micro),
      );
      const result = await rewardStep(model, optimizer, batches, {
        learningRate: config.learning_rate,
        maxGradNorm: config.max_grad_norm,
        activationCheckpointing: step % 2 === 0,
        centerRewardsCoefficient: config.center_rewards_coefficient ?? 0,
      });
      const reference = golden.steps[step - 1];
      const room = step === 1 ? 1 : 4;
      const within = (found: number, wanted: number, what: string): void =>
        expect(Math.abs(found - wanted), `${what} ${step}`).toBeLessThanOrEqual(
          room * yardstick.loss_max_abs,
        );
      within(result.loss, reference.loss, "loss");
      expect(Math.abs(result.gradNorm / reference.grad_norm - 1), `grad_norm ${step}`).toBeLessThanOrEqual(
        room * yardstick.grad_norm_max_rel,
      );
      tokens += result.tokens;
      expect(tokens).toBe(reference.num_tokens);
      expect(result.accuracy).toBe(uncut.steps[step - 1].accuracy);
      // Scores of single responses have more room than their mean.
      const { margin, min_reward, mean_reward, max_reward } = uncut.steps[step - 1];
      for (const [found, wanted] of [
        [result.margin, margin],
        [result.minReward, min_reward],
        [result.meanReward, mean_reward],
        [result.maxReward, max_reward],
      ]) {
        expect(Math.abs(found - wanted), `step ${step}`).toBeLessThanOrEqual(
          3 * float32.scores.max_abs * (step === 1 ? 1 : 4),
        );
      }
    }
    for (const [parameter, { sum, l2: norm }] of Object.entries(golden.final) as [
      string,
      { sum: number; l2: number },
    ][]) {
      const values = (await model.parameters.get(parameter)?.read()) as Float32Array;
      expect(Math.abs(l2(values) - norm), parameter).toBeLessThanOrEqual(
        yardstick.final_weights_l2_over_l2_of_movement * 4 * golden.weight_movement_l2,
      );
      expect(Math.abs(values.reduce((a, b) => a + b, 0) - sum), parameter).toBeLessThanOrEqual(
        4 * yardstick.final_weights_max_abs * Math.sqrt(values.length),
      );
    }
    model.scope.end();
  });
});
