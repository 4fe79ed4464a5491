// AdamW, schedules and whole SFT runs against torch, transformers and TRL (tests/fixtures/golden/SOURCE.md).
import { adamw, openDevice, sumSquares } from "@posttrain/kernels";
import { loadModel, type Model } from "@posttrain/model";
import { microBatch, sftStep } from "@posttrain/sft";
import { adamwRule, createOptimizer, learningRateAt, type Schedule } from "@posttrain/train";
import { afterAll, describe, expect, it } from "vitest";
import { deviation, goldenJson, goldenPath, goldenTensors, l2 } from "./support/golden.js";

const device = openDevice();
afterAll(() => device.close());

describe("schedules", () => {
  const { schedules } = goldenJson("optimizer", "schedules.json");
  it.each(Object.keys(schedules))("%s has transformers' rates", (name) => {
    const golden = schedules[name];
    const schedule: Schedule = {
      type: golden.transformers_name.replace("_with_min_lr", "") as Schedule["type"],
      peak: golden.peak,
      floor: golden.peak * (golden.min_lr_rate ?? 0),
      warmupSteps: golden.warmup_steps,
      totalSteps: golden.total_steps,
    };
    for (const [i, expected] of golden.lr_used_in_optimizer_step.entries()) {
      // The same float64 formula in another order of operations: a few units in the last place of the peak.
      expect(Math.abs(learningRateAt(schedule, i + 1) - expected)).toBeLessThanOrEqual(
        4 * 2 ** -53 * golden.peak,
      );
    }
  });
});

describe("adamw", () => {
  const golden = goldenJson("optimizer", "adamw.json");
  const names = ["a.weight", "b.bias", "c.weight", "norm.weight"];
  interface Run {
    readonly name: string;
    readonly lr: number;
    readonly betas: readonly [number, number];
    readonly eps: number;
    readonly weight_decay: number;
    readonly max_grad_norm: number | null;
    readonly grad_norm_before_clipping: readonly number[];
    readonly steps: number;
  }
  const runs = (golden.runs as readonly Run[]).filter(({ name }) => name.endsWith(".f64"));
  it.each(runs)("$name", async (run) => {
    const tensors = await goldenTensors("optimizer", "adamw.safetensors");
    const f32 = (name: string) => Float32Array.from(tensors.get(name)?.data as Float64Array);
    await device.run(async (scope) => {
      const state = names.map((name) => {
        const p = scope.from(f32(`init.${name}`));
        const zeros = () => scope.from(new Float32Array(p.size));
        return { name, p, m: zeros(), v: zeros() };
      });
      for (let step = 1; step <= run.steps; step++) {
        const gradients = names.map((name) => scope.from(f32(`grad.${step}.${name}`)));
        let squares = 0;
        for (const gradient of gradients) squares += (await sumSquares(scope, gradient).read())[0] as number;
        const norm = Math.sqrt(squares);
        expect(Math.abs(norm / (run.grad_norm_before_clipping[step - 1] as number) - 1)).toBeLessThan(1e-7);
        const clip = run.max_grad_norm === null ? 1 : Math.min(1, run.max_grad_norm / (norm + 1e-6));
        for (const [i, { name, p, m, v }] of state.entries()) {
          adamw(p, m, v, gradients[i] as never, {
            learningRate: run.lr,
            beta1: run.betas[0],
            beta2: run.betas[1],
            eps: run.eps,
            weightDecay: run.weight_decay,
            step,
            gradientScale: clip,
          });
          const expected = tensors.get(`${run.name}.${step}.${name}`)?.data as Float64Array;
          const { maxAbs } = deviation(await p.read(), expected);
          // torch's own float32 run differs by up to 2.5e-7 from its float64 run.
          expect(maxAbs, `${name} after step ${step}`).toBeLessThanOrEqual(
            4 * golden.max_abs_difference_f32_run_from_f64_run,
          );
        }
      }
    });
  });
});

describe("SFT equals TRL", () => {
  const data = goldenJson("trl", "data.json").sft as { prompt_ids: number[]; completion_ids: number[] }[];
  const yardsticks = goldenJson("trl", "yardstick.json").runs as {
    name: string;
    loss_max_abs: number;
    grad_norm_max_rel: number;
    final_weights_max_abs: number;
    final_weights_l2_over_l2_of_movement: number;
  }[];
  const runs = ["sft_completion_only", "sft_all_tokens", "sft_batch4_wd_warmup", "sft_accumulate2_wd_warmup"];

  /** Trains `model` as the reference was; each step with what the reference has. */
  // biome-ignore lint/suspicious/noExplicitAny: a reference file
  async function* steps(model: Model, golden: any) {
    const { config } = golden;
    const rule = adamwRule({
      beta1: config.adam_beta1,
      beta2: config.adam_beta2,
      eps: config.adam_epsilon,
      weightDecay: config.weight_decay,
    });
    const optimizer = createOptimizer(model, rule);
    const rows = data.map(({ prompt_ids, completion_ids }, line) => ({
      id: String(line),
      line,
      inputIds: Int32Array.from([...prompt_ids, ...completion_ids]),
      labels: Int32Array.from([
        ...prompt_ids.map((id) => (config.loss_on === "completion tokens" ? -100 : id)),
        ...completion_ids,
      ]),
    }));
    const micro = config.per_device_train_batch_size;
    let tokens = 0;
    for (let step = 1; step <= config.max_steps; step++) {
      const perStep = micro * config.gradient_accumulation_steps;
      const chosen = rows.slice((step - 1) * perStep, step * perStep);
      const batches = Array.from({ length: config.gradient_accumulation_steps }, (_, i) =>
        microBatch(chosen.slice(i * micro, (i + 1) * micro)),
      );
      const learningRate = learningRateAt(
        {
          type: config.lr_scheduler_type,
          peak: config.learning_rate,
          floor: 0,
          warmupSteps: config.warmup_steps,
          totalSteps: config.max_steps,
        },
        step,
      );
      const result = await sftStep(model, optimizer, batches, {
        learningRate,
        maxGradNorm: config.max_grad_norm,
        activationCheckpointing: step % 2 === 0,
      });
      const expected = golden.steps[step - 1];
      tokens += result.tokens;
      expect(learningRate).toBeCloseTo(expected.learning_rate, 12);
      expect(tokens).toBe(expected.num_tokens);
      const trained = batches.reduce((n, { predictions }) => n + predictions.targets.length, 0);
      yield { step, result, expected, trained };
    }
  }

  it.each(runs)("%s", async (name) => {
    const golden = goldenJson("trl", `${name}.json`);
    const uncut = goldenJson("trl", `${name.replace("accumulate2", "batch4")}.json`);
    const yardstick = yardsticks.find((run) => run.name === name) as (typeof yardsticks)[number];
    const model = await loadModel(device, goldenPath("qwen2-tiny-tied"));
    for await (const { step, result, expected } of steps(model, golden)) {
      // Step 1 has seen no update yet: there only rounding differs.
      const room = step === 1 ? 1 : 4;
      expect(Math.abs(result.loss - expected.loss), `loss ${step}`).toBeLessThanOrEqual(
        room * yardstick.loss_max_abs,
      );
      expect(Math.abs(result.gradNorm / expected.grad_norm - 1), `grad_norm ${step}`).toBeLessThanOrEqual(
        room * yardstick.grad_norm_max_rel,
      );
      // Over tokens, so TRL's of the same rows in one micro-batch: of several it has the mean of means.
      const { mean_token_accuracy, entropy } = uncut.steps[step - 1];
      expect(result.accuracy).toBeCloseTo(mean_token_accuracy, 6);
      expect(Math.abs(result.entropy - entropy)).toBeLessThanOrEqual(1e-4);
    }
    for (const [parameter, { sum, l2: norm }] of Object.entries(golden.final) as [
      string,
      { sum: number; l2: number },
    ][]) {
      const tensor = model.parameters.get(parameter);
      if (tensor === undefined) continue;
      const values = (await tensor.read()) as Float32Array;
      expect(Math.abs(l2(values) - norm), parameter).toBeLessThanOrEqual(
        yardstick.final_weights_l2_over_l2_of_movement * 4 * golden.weight_movement_l2,
      );
      expect(Math.abs(values.reduce((a, b) => a + b, 0) - sum), parameter).toBeLessThanOrEqual(
        4 * yardstick.final_weights_max_abs * Math.sqrt(values.length),
      );
    }
    if (name === "sft_completion_only") {
      const finals = await goldenTensors("trl", "final-sft_completion_only.safetensors");
      let difference = 0;
      for (const [parameter, tensor] of model.parameters) {
        const { data: expected } = finals.get(parameter) as { data: Float64Array };
        const values = await tensor.read();
        for (let i = 0; i < expected.length; i++)
          difference += ((values[i] as number) - (expected[i] as number)) ** 2;
        expect(deviation(values, expected).maxAbs, parameter).toBeLessThanOrEqual(
          4 * yardstick.final_weights_max_abs,
        );
      }
      expect(Math.sqrt(difference) / golden.weight_movement_l2).toBeLessThanOrEqual(
        4 * yardstick.final_weights_l2_over_l2_of_movement,
      );
    }
    model.scope.end();
  });

  // TRL's trajectories have no yardstick for bf16; transformers' bf16 run of the start model has one, of a forward and backward pass.
  it.each(runs)("%s in bf16, as near as transformers' bf16 pass over the start model", async (name) => {
    const { logprobs, grads } = goldenJson("qwen2-tiny-tied", "expected.json").deviation_of_transformers
      .bfloat16;
    const reference = await goldenTensors("qwen2-tiny-tied", "expected.safetensors");
    const all = [...reference].flatMap(([key, { data }]) => (key.startsWith("logprobs.") ? [...data] : []));
    const perToken = (logprobs.rms_rel * l2(all)) / Math.sqrt(all.length);
    const model = await loadModel(device, goldenPath("qwen2-tiny-tied"), { dtype: "bf16", masters: true });
    for await (const { step, result, expected, trained } of steps(model, goldenJson("trl", `${name}.json`))) {
      // A mean over tokens: three standard errors.
      const room = (3 * perToken) / Math.sqrt(trained);
      expect(Math.abs(result.loss - expected.loss), `loss ${step}`).toBeLessThanOrEqual(room);
      expect(Math.abs(result.gradNorm / expected.grad_norm - 1), `grad_norm ${step}`).toBeLessThanOrEqual(
        grads.rms_rel,
      );
    }
    model.scope.end();
  });
});
