// What a run takes, said before it begins: the dry step against a real one, what memory grows with, and what is refused.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDevice } from "@posttrain/kernels";
import { initialiseModel, parseModelConfig, saveModel } from "@posttrain/model";
import {
  microBatch,
  plannedSft,
  prepareSftData,
  runSft,
  type SftConfig,
  sftConfig,
  sftStep,
  sftSteps,
} from "@posttrain/sft";
import {
  adamwRule,
  createOptimizer,
  planSteps,
  planTraining,
  refusalOf,
  stepRows,
  type TrainingShape,
  trainingMemory,
} from "@posttrain/train";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { dtypes } from "../../../tests/support/dtypes.js";

const shape = (sizes: object) =>
  parseModelConfig(
    {
      ...{ model_type: "qwen2", num_hidden_layers: 6, hidden_size: 64, num_attention_heads: 4 },
      ...{ num_key_value_heads: 2, intermediate_size: 192, vocab_size: 500, max_position_embeddings: 512 },
      ...{ tie_word_embeddings: true, eos_token_id: 1 },
      ...sizes,
    },
    "config.json",
  );
const small = shape({});
// Table 1 of the Qwen2.5 report: 0.5B.
const qwen = shape({
  ...{ num_hidden_layers: 24, hidden_size: 896, num_attention_heads: 14, intermediate_size: 4864 },
  ...{ vocab_size: 151_936, max_position_embeddings: 32_768 },
});

const row = (length: number, line = 1) => {
  const inputIds = Int32Array.from({ length }, (_, i) => (line * 37 + i * 11) % 500);
  return { id: `${line}`, line, parents: [], inputIds, labels: inputIds };
};
const rule = adamwRule({ beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 });
type Rows = ReturnType<typeof rowsOf>;
const memoryOf = (shape: Omit<TrainingShape, "rule">, ...step: readonly Rows[]) =>
  trainingMemory({ rule, ...shape }, sftSteps, step);
const rowsOf = (...lengths: readonly number[]) => lengths.map(row);

let folder = "";
const at = (name: string): string => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "posttrain-plan-"));
  const device = openDevice({ threads: 1 });
  await saveModel(initialiseModel(device, small, 1), at("model"));
  await device.close();
  const lines = rowsOf(...Array.from({ length: 30 }, (_, i) => 20 + ((i * 53) % 200)));
  await writeFile(
    at("rows.jsonl"),
    lines.map(({ inputIds }) => `${JSON.stringify({ input_ids: [...inputIds] })}\n`).join(""),
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const config = (options: Partial<SftConfig> = {}) =>
  sftConfig.parse({
    ...{ model_name_or_path: at("model"), data: at("rows.jsonl"), output_dir: at("run"), max_steps: 6 },
    ...options,
  });

describe("a dry step", () => {
  const cases = dtypes.flatMap((dtype) => [true, false].map((checkpointing) => ({ dtype, checkpointing })));
  it.each(cases)(
    "asks for what a real one asks for; in $dtype, checkpointing $checkpointing",
    async ({ dtype, checkpointing: activationCheckpointing }) => {
      const step = [rowsOf(200, 90, 17), rowsOf(301)];
      const device = openDevice({ threads: 2 });
      const model = initialiseModel(device, small, 1, { dtype, masters: true });
      const optimizer = createOptimizer(model, rule);
      const { peakBytes: before } = device.status();
      const options = { learningRate: 1e-3, maxGradNorm: 1, activationCheckpointing };
      await sftStep(model, optimizer, step.map(microBatch), options);
      const { peakBytes, reservedBytes, scratchPeakBytes } = device.status();
      model.scope.end();
      await device.close();
      const dry = await memoryOf({ model: small, activationCheckpointing, dtype, threads: 2 }, ...step);
      expect(dry.weights + dry.gradients + dry.moments).toBe(before);
      expect(dry.weights + dry.gradients + dry.moments + dry.held + dry.working).toBe(peakBytes);
      expect([dry.arena, dry.scratch]).toEqual([reservedBytes, scratchPeakBytes]);
      expect(dry.held).toBeGreaterThan(301 * 6 * 64 * 4);
      expect(dry.weights / dry.gradients).toBeCloseTo(dtype === "f32" ? 1 : 1.5, 3);
    },
  );

  it("touches no memory: a model of 0.5 B parameters is planned in a small process", async () => {
    const before = process.memoryUsage.rss();
    const memory = await memoryOf({ model: qwen, activationCheckpointing: false }, rowsOf(1024, 1024));
    expect(memory.arena).toBeGreaterThan(16 * 490e6);
    expect(process.memoryUsage.rss() - before).toBeLessThan(200e6);
  });
});

describe("memory", () => {
  const activations = async (
    lengths: readonly number[],
    activationCheckpointing: boolean,
  ): Promise<number> => {
    const { held, working, scratch } = await memoryOf(
      { model: qwen, activationCheckpointing },
      rowsOf(...lengths),
    );
    return held + working + scratch;
  };

  it.each([true, false])(
    "grows with tokens, not with the length of rows; checkpointing %s",
    async (checkpointing) => {
      const eight = await activations(new Array(8).fill(1024), checkpointing);
      const one = await activations([8192], checkpointing);
      const half = await activations([4096], checkpointing);
      expect(one / eight).toBeGreaterThan(0.98);
      expect(one / eight).toBeLessThan(1.02);
      expect(one / half).toBeGreaterThan(1.7);
      expect(one / half).toBeLessThan(2.02);
    },
  );

  it("holds no logits: 4,096 tokens over 151,936 words would have 2.5 GB", async () => {
    const narrow = shape({ vocab_size: 151_936, num_hidden_layers: 1 });
    const { held, working, scratch } = await memoryOf(
      { model: narrow, activationCheckpointing: true },
      rowsOf(4096),
    );
    expect(held + working + scratch).toBeLessThan(80e6);
  });

  it("is less without what can be made again than a layer's tensors are", async () => {
    const tokens = 2048;
    const { held } = await memoryOf({ model: qwen, activationCheckpointing: false }, rowsOf(tokens));
    const { layers, hiddenSize, intermediateSize, heads, kvHeads, headDim } = qwen;
    // Input, sum, attention's y and q; k and v; gate and up; two rstd and a log-sum-exp a head.
    const floats =
      2 * hiddenSize + 2 * heads * headDim + 2 * kvHeads * headDim + 2 * intermediateSize + 2 + heads;
    expect(held / (4 * tokens * layers * floats)).toBeGreaterThan(1);
    expect(held / (4 * tokens * layers * floats)).toBeLessThan(1.02);
  });
});

describe("a plan", () => {
  it("is made of the step with the largest micro-batch of all that come", async () => {
    const options = config({ max_steps: 20, per_device_train_batch_size: 3, gradient_accumulation_steps: 2 });
    const data = await prepareSftData(options);
    const plan = await planTraining(options, plannedSft(options, data));
    const steps = planSteps(data.units.length, 3, 2);
    const sizes = Array.from({ length: 20 }, (_, i) =>
      stepRows(data.units, steps, options.seed, i + 1).map((rows) => microBatch(rows).batch.ids.length),
    );
    expect(plan.tokens.largestMicroBatch).toBe(Math.max(...sizes.flat()));
    expect(plan.tokens.run / sizes.flat().reduce((a, b) => a + b)).toBeCloseTo(1, 1);
    expect(plan.totalSteps).toBe(20);
  });

  it("counts the products' work", async () => {
    const options = config({ max_steps: 4, per_device_train_batch_size: 30, gradient_checkpointing: false });
    const data = await prepareSftData(options);
    const { work } = await planTraining(options, plannedSft(options, data));
    const lengths = data.trainRows.map(({ inputIds }) => inputIds.length);
    const matrices = 6 * (64 * (64 + 2 * 32) + 64 * 64 + 3 * 64 * 192);
    const sum = (of: (n: number) => number): number => lengths.reduce((total, n) => total + of(n), 0);
    const expected =
      6 * matrices * sum((n) => n) + 6 * 64 * 500 * sum((n) => n - 1) + 6 * 6 * 64 * sum((n) => n * (n + 1));
    expect(work.step / expected).toBeGreaterThan(0.99); // biases and norms are counted as if they were products
    expect(work.step / expected).toBeLessThan(1.02);
    expect(work.run).toBeCloseTo(4 * work.step, -2);
    expect(work.again).toBe(0);
  });

  it("refuses what cannot fit, before anything is written, and what it says to lower then fits", async () => {
    const options = config({ per_device_train_batch_size: 10, gradient_checkpointing: false });
    const data = await prepareSftData(options);
    const { memory } = await planTraining(options, plannedSft(options, data));
    const refusal = async (memoryLimit: number, given: SftConfig = options) =>
      refusalOf(
        await planTraining(given, plannedSft(given, data), { memoryLimit }),
        given,
        plannedSft(given, data),
        { memoryLimit },
      );
    expect(await refusal(memory.arena)).toBeUndefined();

    const limit = Math.round(0.4 * memory.arena);
    const text = (await refusal(limit)) ?? "";
    const [, rows, micros] =
      /It fits, .* --gradient_checkpointing .* --per_device_train_batch_size (\d+) --gradient_accumulation_steps (\d+) /.exec(
        text,
      ) ?? [];
    expect(Number(rows) * Number(micros), text).toBe(10);
    const lowered = config({
      gradient_checkpointing: true,
      per_device_train_batch_size: Number(rows),
      gradient_accumulation_steps: Number(micros),
    });
    expect(await refusal(limit, lowered)).toBeUndefined();
    const device = openDevice({ threads: 2, memoryLimit: limit });
    await expect(runSft(options, device)).rejects.toMatchObject({ code: "too_little_memory" });
    expect((await runSft({ ...lowered, max_steps: 2 }, device)).end).toBe("done");
    await device.close();

    expect(await refusal(1e6)).toMatch(/Weights, gradients and moments alone take .*: take a smaller model/);
  });

  it("respects what a container grants", async () => {
    const options = config();
    const data = await prepareSftData(options);
    vi.spyOn(process, "constrainedMemory").mockReturnValue(60e6);
    const plan = await planTraining(options, plannedSft(options, data));
    expect([plan.available, plan.tensorLimit]).toEqual([60e6, 54e6]);
    expect(await refusalOf(plan, options, plannedSft(options, data))).toMatch(
      /more than the 60 MB, which is all that this machine or its container has/,
    );
  });
});
