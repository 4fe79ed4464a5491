// Whole GRPO runs against TRL's, from given responses and rewards (tests/fixtures/golden/SOURCE.md).
import {
  type AggregationName,
  advantagesOf,
  type PolicyStepOptions,
  policyStep,
  responseLogProbs,
  responseWeights,
} from "@posttrain/grpo";
import { openDevice } from "@posttrain/kernels";
import { loadModel } from "@posttrain/model";
import { adamwRule, createOptimizer } from "@posttrain/train";
import { afterAll, describe, expect, it } from "vitest";
import { goldenJson, goldenPath, l2 } from "./support/golden.js";

const device = openDevice();
afterAll(() => device.close());

interface Completion {
  readonly ids: readonly number[];
  readonly truncated: boolean;
  readonly reward: number;
  readonly reward2: number;
}

interface Golden {
  readonly name: string;
  // biome-ignore lint/suspicious/noExplicitAny: TRL's own config
  readonly config: any;
  readonly steps: readonly Readonly<Record<string, number>>[];
  readonly advantages_by_step: readonly (readonly number[])[];
  readonly weight_movement_l2: number;
  readonly final: Readonly<Record<string, { readonly sum: number; readonly l2: number }>>;
  readonly yardstick: {
    readonly loss_max_abs: number;
    readonly grad_norm_max_rel: number;
    readonly final_weights_max_abs: number;
    readonly final_weights_l2_over_l2_of_movement: number;
  };
}

const { data, runs } = goldenJson("trl", "grpo.json") as {
  readonly data: readonly {
    readonly prompts: readonly {
      readonly prompt_ids: readonly number[];
      readonly completions: readonly Completion[];
    }[];
  }[];
  readonly runs: readonly Golden[];
};

/** TRL's config in the words of the policy's loss. */
function optionsOf({ config }: Golden, activationCheckpointing: boolean): PolicyStepOptions {
  return {
    learningRate: config.learning_rate,
    maxGradNorm: config.max_grad_norm,
    activationCheckpointing,
    temperature: config.temperature,
    ratio: config.importance_sampling_level,
    surrogate: config.loss_type === "cispo" ? "cispo" : "clip",
    epsilonLow: config.epsilon,
    epsilonHigh: config.epsilon_high ?? config.epsilon,
    beta: config.beta,
    kl: "k3",
    klTimesRatio: config.use_bias_correction_kl,
  };
}

/** An episode's responses, with TRL's advantages held against ours and what each token counts. */
async function episode(golden: Golden, step: number, updates: number, iterations: number) {
  const { config } = golden;
  const { prompts } = data[Math.ceil(step / (updates * iterations)) - 1] as (typeof data)[number];
  const responses = prompts.flatMap(({ prompt_ids, completions }, prompt) =>
    completions.map((completion) => ({
      ...completion,
      prompt,
      promptIds: Int32Array.from(prompt_ids),
      completionIds: Int32Array.from(completion.ids),
    })),
  );
  const advantages = advantagesOf(
    responses.map((one) => (config.reward_fields as ("reward" | "reward2")[]).map((field) => one[field])),
    responses.map(({ prompt }) => prompt),
    {
      weights: config.reward_weights ?? config.reward_fields.map(() => 1),
      scale: config.scale_rewards,
      order: config.multi_objective_aggregation,
      epsilon: 1e-4,
    },
  );
  const aggregation: AggregationName = config.loss_type === "cispo" ? "dapo" : config.loss_type;
  const weights = responseWeights(aggregation, {
    lengths: responses.map(({ ids }) => ids.length),
    counted: responses.map(({ truncated }) => !(config.mask_truncated_completions && truncated)),
    maxCompletionLength: config.max_completion_length,
    updates,
  });
  return responses.map((one, i) => ({
    ...one,
    line: i + 1,
    advantage: advantages[i] as number,
    weight: weights[i] as number,
  }));
}

/** How far rounding carries a run is that run's luck; how far it may is of its kind: runs of one learning rate and number of updates. */
function lossRoom({ config }: Golden): number {
  const kin = runs.filter(
    (run) =>
      run.config.learning_rate === config.learning_rate &&
      run.config.num_iterations === config.num_iterations,
  );
  return Math.max(...kin.map(({ yardstick }) => yardstick.loss_max_abs));
}

describe("GRPO equals TRL", () => {
  it.each(runs)("$name", async (golden) => {
    const { config, yardstick } = golden;
    const uncut = runs.find(({ name }) => name === golden.name.replace("_accumulate2", ""));
    const model = await loadModel(device, goldenPath("qwen2-tiny-tied"));
    const start = await loadModel(device, goldenPath("qwen2-tiny-tied"));
    const optimizer = createOptimizer(
      model,
      adamwRule({
        beta1: config.adam_beta1,
        beta2: config.adam_beta2,
        eps: config.adam_epsilon,
        weightDecay: config.weight_decay,
      }),
    );
    const updates = config.steps_per_generation / config.gradient_accumulation_steps;
    const iterations = config.num_iterations;
    const perUpdate = config.per_device_train_batch_size * config.gradient_accumulation_steps;
    let old: readonly Float32Array[] = [];
    for (const [index, expected] of golden.steps.entries()) {
      const step = index + 1;
      const responses = await episode(golden, step, updates, iterations);
      const position = index % (updates * iterations);
      if (position === 0) old = await responseLogProbs(model, responses, config.temperature);
      const reference =
        config.beta > 0 ? await responseLogProbs(start, responses, config.temperature) : undefined;
      const from = (position % updates) * perUpdate;
      const rows = responses
        .map((one, i) => ({ ...one, oldLogProbs: old[i] as Float32Array, referenceLogProbs: reference?.[i] }))
        .slice(from, from + perUpdate);
      const given = (golden.advantages_by_step[index] as readonly number[]).slice(from);
      for (const [i, { advantage }] of rows.entries()) expect(advantage).toBeCloseTo(given[i] as number, 6);
      const micro = config.per_device_train_batch_size;
      const batches = Array.from({ length: perUpdate / micro }, (_, i) =>
        rows.slice(i * micro, (i + 1) * micro),
      );
      const result = await policyStep(model, optimizer, batches, optionsOf(golden, step % 2 === 0));

      // Step 1 has seen no update yet: there only rounding differs.
      const room = step === 1 ? 1 : 4;
      const loss = expected.loss as number;
      expect(Math.abs(result.loss - loss), `loss ${step}`).toBeLessThanOrEqual(room * lossRoom(golden));
      const norm = expected.grad_norm as number;
      expect(Math.abs(result.gradNorm - norm), `grad_norm ${step}`).toBeLessThanOrEqual(
        room * yardstick.grad_norm_max_rel * norm,
      );
      const tokens = result.responses.reduce((sum, one) => sum + one.tokens, 0);
      const mean = (of: (one: (typeof result.responses)[number]) => number) =>
        result.responses.reduce((sum, one) => sum + of(one), 0) / tokens;
      // Over tokens, so TRL's of the same rows in one micro-batch: of several it has the mean of means.
      const whole = (uncut ?? golden).steps[index] as Golden["steps"][number];
      expect(result.entropy / tokens).toBeCloseTo(whole.entropy as number, 3);
      // With use_bias_correction_kl TRL logs the estimate times the ratio.
      if (config.beta > 0 && !config.use_bias_correction_kl)
        expect(mean(({ kl }) => kl)).toBeCloseTo(expected.kl as number, 3);
      const clipped = expected["clip_ratio/region_mean"];
      if (clipped !== undefined && config.importance_sampling_level === "token") {
        expect(mean(({ clippedLow }) => clippedLow)).toBeCloseTo(
          expected["clip_ratio/low_mean"] as number,
          2,
        );
        expect(mean(({ clippedHigh }) => clippedHigh)).toBeCloseTo(
          expected["clip_ratio/high_mean"] as number,
          2,
        );
      }
    }
    for (const [name, { sum, l2: norm }] of Object.entries(golden.final)) {
      const tensor = model.parameters.get(name);
      if (tensor === undefined) continue;
      const values = (await tensor.read()) as Float32Array;
      expect(Math.abs(l2(values) - norm), name).toBeLessThanOrEqual(
        yardstick.final_weights_l2_over_l2_of_movement * 4 * golden.weight_movement_l2,
      );
      expect(Math.abs(values.reduce((a, b) => a + b, 0) - sum), name).toBeLessThanOrEqual(
        4 * yardstick.final_weights_max_abs * Math.sqrt(values.length),
      );
    }
    start.scope.end();
    model.scope.end();
  });
});
