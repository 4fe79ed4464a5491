// A subset of a model's parameters is trained: the others keep every bit, the subset moves as it does when all of them are trained, and
// only it has gradients, moments and masters. A reward model's head is one of them.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { backward, convert, openDevice, Tape, type Tensor } from "@posttrain/kernels";
import {
  forward,
  initialiseModel,
  type Model,
  type ModelOptions,
  packSequences,
  parameter,
  parseModelConfig,
  predict,
} from "@posttrain/model";
import {
  adamwRule,
  createOptimizer,
  gradientNorm,
  loadOptimizer,
  type Optimizer,
  optimizerStep,
  saveOptimizer,
} from "@posttrain/train";
import { afterAll, describe, expect, it } from "vitest";
import { dtypes } from "../../../tests/support/dtypes.js";

const device = openDevice({ threads: 2 });
const folder = mkdtempSync(join(tmpdir(), "posttrain-train-"));
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await device.close();
});

const config = parseModelConfig(
  {
    ...{ model_type: "qwen2", num_hidden_layers: 2, hidden_size: 64, num_attention_heads: 4 },
    ...{ num_key_value_heads: 2, intermediate_size: 96, vocab_size: 300, max_position_embeddings: 128 },
    ...{ tie_word_embeddings: true, eos_token_id: 1 },
  },
  "config.json",
);
const rule = adamwRule({ beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0.1 });
const ids = Int32Array.from({ length: 40 }, (_, i) => (i * 31) % 300);

/** One step without clipping, so that a parameter's move depends on its own gradient alone. */
async function step(model: Model, optimizer: Optimizer): Promise<number> {
  const tape = new Tape();
  await device.run(async (scope) => {
    const hidden = forward(scope, model, packSequences([ids]));
    const rows = Int32Array.from({ length: 39 }, (_, i) => i);
    const { logProb } = predict(scope, model, hidden, { rows, targets: ids.slice(1) });
    backward(scope, tape, [{ tensor: logProb, gradient: scope.from(new Float32Array(39).fill(-1 / 39)) }]);
  }, tape);
  const norm = await gradientNorm(model, optimizer);
  optimizerStep(model, optimizer, { learningRate: 1e-2, maxGradNorm: 0, norm });
  return norm;
}

const bits = async (tensor: Tensor): Promise<string> => {
  const data = (await tensor.read()) as Float32Array;
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("hex");
};
const allBits = async (model: Model): Promise<ReadonlyMap<string, string>> =>
  new Map(
    await Promise.all([...model.parameters].map(async ([name, value]) => [name, await bits(value)] as const)),
  );
const open = (options: ModelOptions, of = config): Model =>
  initialiseModel(device, of, 7, { masters: true, ...options });

const subsets: Readonly<Record<string, (name: string) => boolean>> = {
  norms: (name) => name.includes("norm"),
  "the last layer": (name) => name.startsWith("model.layers.1."),
  "the embedding": (name) => name === "model.embed_tokens.weight",
};

describe.each(dtypes)("in %s", (dtype) => {
  it.each(Object.entries(subsets))("%s alone", async (_, trainable) => {
    const whole = open({ dtype });
    const part = open({ dtype, trainable });
    const before = await allBits(part);
    const [wholeOptimizer, optimizer] = [createOptimizer(whole, rule), createOptimizer(part, rule)];
    // The first step's gradients are those of the whole model; later ones see other weights.
    await step(whole, wholeOptimizer);
    await step(part, optimizer);
    const [moved, all] = [await allBits(part), await allBits(whole)];
    for (const [name, value] of moved) {
      expect(value === (trainable(name) ? all : before).get(name), name).toBe(true);
      if (trainable(name)) expect(value !== before.get(name), name).toBe(true);
    }
    const trained = [...part.layout.places].filter(([name]) => trainable(name));
    const floats = trained.reduce((sum, [, { size }]) => sum + Math.ceil(size / 64) * 64, 0);
    expect(part.gradients?.arena.size).toBe(floats);
    for (const arena of optimizer.state.values()) expect(arena.size).toBe(floats);
    whole.scope.end();
    part.scope.end();
  });

  it("the optimizer of a subset goes on from its file, in either dtype", async () => {
    const trainable = subsets["the last layer"] as (name: string) => boolean;
    const model = open({ dtype, trainable });
    const optimizer = createOptimizer(model, rule);
    await step(model, optimizer);
    const dir = join(folder, dtype);
    mkdirSync(dir);
    await saveOptimizer(model, optimizer, dir);
    const again = open({ dtype, trainable });
    const restored = createOptimizer(again, rule);
    await loadOptimizer(again, restored, dir, 1);
    // In f32 the masters are the model folder's weights, which nobody has written here.
    if (dtype === "f32") for (const [name, own] of again.parameters) convert(own, parameter(model, name));
    await step(model, optimizer);
    await step(again, restored);
    const [expected, found] = [await allBits(model), await allBits(again)];
    for (const [name, value] of found) expect(value === expected.get(name), name).toBe(true);
    model.scope.end();
    again.scope.end();
  });

  it("the head of a reward model comes last, and leaves the others where they are", async () => {
    const plain = open({ dtype });
    const model = open({ dtype }, { ...config, score: { labels: ["score"], heads: [] } });
    expect([...model.parameters.keys()].at(-1)).toBe("score.weight");
    expect(parameter(model, "score.weight").shape).toEqual([1, 64]);
    const [own, others] = [await allBits(model), await allBits(plain)];
    for (const [name, value] of others) expect(own.get(name) === value, name).toBe(true);
    plain.scope.end();
    model.scope.end();
  });
});
