// Online merging as a rule: over a model's parameters, in both dtypes; what it reads of the base; what goes on with a run; what it refuses.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convert, openDevice, type Tensor } from "@posttrain/kernels";
import {
  enableGradients,
  initialiseModel,
  loadModel,
  type Model,
  parameter,
  parseModelConfig,
  saveModel,
} from "@posttrain/model";
import {
  adamwRule,
  checkTraining,
  createOptimizer,
  fillFixed,
  identityOf,
  loadOptimizer,
  type OnlineMergingOptions,
  type Optimizer,
  onlineMergingRule,
  optimizerStep,
  refuseOtherVocabulary,
  reportedMetrics,
  rowOptions,
  ruleOf,
  saveOptimizer,
  trainingOptions,
  type UpdateRule,
} from "@posttrain/train";
import { afterAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { dtypes } from "../../../tests/support/dtypes.js";

const device = openDevice({ threads: 2 });
const folder = mkdtempSync(join(tmpdir(), "posttrain-merging-"));
const at = (name: string): string => join(folder, name);
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await device.close();
});

const configOf = (hidden: number) =>
  parseModelConfig(
    {
      ...{ model_type: "qwen2", num_hidden_layers: 1, hidden_size: hidden, num_attention_heads: 4 },
      ...{ num_key_value_heads: 2, intermediate_size: 96, vocab_size: 300, max_position_embeddings: 128 },
      ...{ tie_word_embeddings: true, eos_token_id: 1 },
    },
    "config.json",
  );
/** A model folder with weights of a seed, `moved` by so much. */
async function made(name: string, seed: number, hidden = 64): Promise<string> {
  const model = initialiseModel(device, configOf(hidden), seed);
  await saveModel(model, at(name), { extraFiles: {}, stopIds: [1] });
  model.scope.end();
  return at(name);
}
const start = await made("start", 7);
const base = await made("base", 8);
const narrow = await made("narrow", 8, 32);

const adam = { beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0.1 };
const merging = (own: Partial<OnlineMergingOptions> = {}): UpdateRule =>
  onlineMergingRule({
    ...adam,
    ...{ method: "dare", scaling: "repo", reserve: 0.5, rescale: false, seed: 42, alpha: 1e-3, every: 1 },
    ...{ start, base, ...own },
  });

async function open(rule: UpdateRule, dtype: (typeof dtypes)[number], dir = start) {
  const model = await loadModel(device, dir, { dtype, masters: true });
  const optimizer = createOptimizer(model, rule);
  await fillFixed(model, optimizer);
  return { model, optimizer };
}

/** Steps whose gradients are a function of the step alone. */
async function steps(model: Model, optimizer: Optimizer, count: number): Promise<Record<string, number>> {
  const { arena } = enableGradients(model);
  for (let i = 0; i < count; i++) {
    const step = optimizer.step + 1;
    const values = Float32Array.from({ length: arena.size }, (_, j) => Math.sin(j * 0.37 + step) * 0.01);
    await device.run(async (scope) => convert(arena, scope.from(values)));
    optimizerStep(model, optimizer, { learningRate: 1e-3, maxGradNorm: 0, norm: 1 });
  }
  return reportedMetrics(optimizer);
}

const hex = async (tensor: Tensor): Promise<string> => {
  const data = (await tensor.read()) as Float32Array;
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("hex");
};
const bitsOf = async (model: Model, { masters, state }: Optimizer): Promise<readonly string[]> => {
  const each = [...model.parameters.values(), ...[...state.values()]].map(hex);
  // Padding between parameters is nobody's.
  return Promise.all(model.dtype === "bf16" ? [...each, hex(masters)] : each);
};

describe.each(dtypes)("in %s", (dtype) => {
  it.each(["dare", "ties"] as const)(
    "paper %s with alpha 0 and reserve 1 is AdamW to the last bit",
    async (method) => {
      const ours = await open(merging({ method, scaling: "paper", alpha: 0, reserve: 1 }), dtype);
      const its = await open(adamwRule(adam), dtype);
      expect(ours.optimizer.fixed.size).toBe(0);
      expect(await steps(ours.model, ours.optimizer, 3)).toEqual({});
      await steps(its.model, its.optimizer, 3);
      expect(await bitsOf(ours.model, ours.optimizer)).toEqual(await bitsOf(its.model, its.optimizer));
      for (const { model } of [ours, its]) model.scope.end();
    },
  );

  it.each([
    { method: "dare", scaling: "repo", every: 1 },
    { method: "dare", scaling: "paper", every: 3 },
    { method: "ties", scaling: "repo", every: 2 },
    { method: "ties", scaling: "paper", every: 1 },
  ] as const)("$method $scaling every $every goes on from a checkpoint with the same bits", async (own) => {
    const rule = merging(own);
    const whole = await open(rule, dtype);
    await steps(whole.model, whole.optimizer, 4);
    const dir = join(folder, `${dtype}-${own.method}-${own.scaling}`);
    await saveModel(whole.model, dir, { extraFiles: {}, stopIds: [1] });
    mkdirSync(join(dir, "trainer"));
    await saveOptimizer(whole.model, whole.optimizer, join(dir, "trainer"));
    const again = await open(rule, dtype, dir);
    await loadOptimizer(again.model, again.optimizer, join(dir, "trainer"), 4);
    const metrics = await steps(whole.model, whole.optimizer, 3);
    expect(await steps(again.model, again.optimizer, 3)).toEqual(metrics);
    expect(await bitsOf(again.model, again.optimizer)).toEqual(await bitsOf(whole.model, whole.optimizer));
    for (const { model } of [whole, again]) model.scope.end();
  });
});

describe("the delta from the base", () => {
  it("is start minus base, laid out as what is trained, and the gradients that it used are zero", async () => {
    const { model, optimizer } = await open(merging({ scaling: "paper" }), "f32");
    const other = await loadModel(device, base);
    let distance = 0;
    for (const [name, { offset, size }] of model.trained.places) {
      const [a, b] = [await parameter(model, name).read(), await parameter(other, name).read()];
      const tau = await device.run(async (scope) =>
        scope.view(optimizer.fixed.get("task_vector") as Tensor, offset, [size]).read(),
      );
      const expected = Float32Array.from(a, (x, i) => x - (b[i] as number));
      expect(
        Buffer.compare(Buffer.from(tau.buffer, tau.byteOffset, tau.byteLength), Buffer.from(expected.buffer)),
      ).toBe(0);
      distance += expected.reduce((sum, x) => sum + Math.abs(x), 0);
    }
    expect(optimizer.filled.unit / distance).toBeCloseTo(1, 6);
    expect((await enableGradients(model).arena.read()).every((x) => x === 0)).toBe(true);
    for (const each of [model, other]) each.scope.end();
  });

  it("is added by alpha times what survives of it: the metrics say what was meant and what the weights took", async () => {
    const meantOf = async (own: Partial<OnlineMergingOptions>): Promise<number> => {
      const { model, optimizer } = await open(merging(own), "f32");
      const { "merge/drift_intended": meant, "merge/drift_applied": taken } = await steps(
        model,
        optimizer,
        1,
      );
      // Half a unit in the last place of weights of 0.02, beside a drift of some 2e-5.
      expect(Math.abs((taken as number) / (meant as number) - 1)).toBeLessThan(1e-4);
      model.scope.end();
      return meant as number;
    };
    // The survivors scaled by 1 / reserve, or as they are.
    expect((await meantOf({ scaling: "repo", reserve: 0.25 })) / 1e-3).toBeCloseTo(1, 1);
    expect((await meantOf({ scaling: "paper", reserve: 0.25 })) / (0.25 * 1e-3)).toBeCloseTo(1, 1);
    expect((await meantOf({ scaling: "paper", reserve: 1 })) / 1e-3).toBeCloseTo(1, 5);
    expect(await meantOf({ alpha: 1e-9, scaling: "paper", reserve: 1 }).catch(() => "lost")).toBe("lost");
  });

  it("of nothing is said: only the masks act", async () => {
    const { model, optimizer } = await open(merging({ base: start }), "f32");
    expect(optimizer.filled.notes).toEqual([expect.stringMatching(/no delta.*only the masks/)]);
    expect(await steps(model, optimizer, 1)).toEqual({ "merge/drift_intended": 0, "merge/drift_applied": 0 });
    model.scope.end();
  });

  it("refuses a base of another shape, or whose weights are no numbers", async () => {
    await expect(open(merging({ base: narrow }), "f32")).rejects.toThrow(
      /narrow is no base of .*start: its model.embed_tokens.weight is \[300, 32\], expected \[300, 64\]/,
    );
    cpSync(base, at("broken"), { recursive: true });
    const bytes = readFileSync(join(base, "model.safetensors"));
    bytes.writeUInt32LE(0x7fc00000, bytes.length - 4);
    writeFileSync(at("broken/model.safetensors"), bytes);
    await expect(open(merging({ base: at("broken") }), "f32")).rejects.toThrow(/NaN or infinite/);
  });

  it("refuses a base that reads other token ids; tokens that only one of them has are none", () => {
    const tokenizer = (vocab: object, added: readonly object[] = []) => ({
      "tokenizer.json": Buffer.from(JSON.stringify({ model: { vocab }, added_tokens: added })),
    });
    const own = tokenizer({ a: 0, b: 1 }, [{ id: 2, content: "<|end|>" }]);
    refuseOtherVocabulary("X", own, "B", tokenizer({ a: 0, b: 1, c: 3 }));
    refuseOtherVocabulary("X", own, "B", {});
    expect(() => refuseOtherVocabulary("X", own, "B", tokenizer({ a: 1, b: 0 }))).toThrow(
      'B has another tokenizer than X: token 0 is "b" there and "a" here',
    );
    expect(() =>
      refuseOtherVocabulary("X", own, "B", tokenizer({ a: 0 }, [{ id: 2, content: "<s>" }])),
    ).toThrow(/token 2 is "<s>" there/);
  });
});

describe("the options", () => {
  const schema = z.strictObject({ ...trainingOptions, ...rowOptions }).superRefine(checkTraining);
  const needed = { model_name_or_path: "M", output_dir: "O", data: "D", max_steps: 3 };
  const issues = (own: object): readonly string[] =>
    schema.safeParse({ ...needed, ...own }).error?.issues.map(({ path, message }) => `${path}: ${message}`) ??
    [];

  it("go together, or say what is missing", () => {
    expect(issues({})).toEqual([]);
    expect(issues({ optim: "online_dare", base_model_name_or_path: "B" })).toEqual([]);
    expect(issues({ optim: "online_ties" })).toEqual(["base_model_name_or_path: optim online_ties needs it"]);
    expect(issues({ merge_alpha: 1e-6 })).toEqual(["merge_alpha: it needs optim online_dare or online_ties"]);
    expect(issues({ base_model_name_or_path: "B" })).toHaveLength(1);
    expect(issues({ optim: "online_dare", base_model_name_or_path: "B", merge_reserve: 0 })).toHaveLength(1);
  });

  it("leave the identity of AdamW's runs as it was", () => {
    const { shape } = schema;
    const identity = (own: object) => identityOf(shape, schema.parse({ ...needed, ...own }), 3, {});
    expect(Object.keys(identity({})).filter((key) => /merge|optim|base/.test(key))).toEqual([]);
    expect(identity({ optim: "online_dare", base_model_name_or_path: "B", merge_alpha: 1e-5 })).toMatchObject(
      {
        optim: "online_dare",
        merge_alpha: 1e-5,
      },
    );
  });

  it("make the rule", () => {
    const ruleFor = (own: object): UpdateRule => ruleOf(schema.parse({ ...needed, ...own }));
    expect(ruleFor({}).state).toEqual(["m", "v"]);
    const merged = { optim: "online_dare", base_model_name_or_path: "B" };
    expect(ruleFor(merged).state).toEqual(["m", "v", "drift"]);
    expect(ruleFor({ ...merged, merge_every: 4 }).state).toEqual(["m", "v", "drift", "interim"]);
    expect(ruleFor({ ...merged, merge_alpha: 0 }).fixed).toBeUndefined();
  });
});
