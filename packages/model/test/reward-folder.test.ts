// Folders of reward models: transformers' read and written again, heads of which a score is the sum, a head put on a language model, and
// models of the wrong kind.
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDevice } from "@posttrain/kernels";
import {
  forwardWork,
  loadModel,
  type Model,
  modelDigest,
  openModelFolder,
  parameter,
  parameterCount,
  readSafetensorsHeader,
  saveModel,
} from "@posttrain/model";
import { afterAll, describe, expect, it } from "vitest";
import { firstDifference } from "../../../tests/support/bits.js";
import { goldenJson, goldenPath } from "../../../tests/support/golden.js";

const device = openDevice({ threads: 1 });
const folder = mkdtempSync(join(tmpdir(), "posttrain-reward-"));
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await device.close();
});
const golden = goldenPath("reward-tiny");
const language = goldenPath("qwen2-tiny-untied");

let made = 0;
function copied(changes: object, of = golden): string {
  const dir = join(folder, `copy${made++}`);
  cpSync(of, dir, { recursive: true });
  const file = join(dir, "config.json");
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), ...changes }));
  return dir;
}

async function expectSameParameters(a: Model, b: Model, names = [...a.parameters.keys()]): Promise<void> {
  for (const name of names) {
    const [found, expected] = await Promise.all([parameter(a, name).read(), parameter(b, name).read()]);
    expect(firstDifference(found as Float32Array, expected as Float32Array), name).toBe(-1);
  }
}

describe("a reward model", () => {
  it("of transformers is read, and written as transformers has it", async () => {
    const model = await loadModel(device, golden, { kind: "reward" });
    expect(model.config.score).toEqual({ labels: ["LABEL_0"], heads: [] });
    expect(model.config.padTokenId).toBe(0);
    expect([...model.parameters.keys()].slice(-2)).toEqual(["model.norm.weight", "score.weight"]);
    const dir = join(folder, "written");
    expect(await saveModel(model, dir)).toEqual(["config.json", "model.safetensors"]);
    // Every key of transformers' own file, in the same words; the same tensors.
    const config = JSON.parse(readFileSync(join(dir, "config.json"), "utf8"));
    expect(config).toEqual(goldenJson("reward-tiny", "config.json"));
    const shapes = async (path: string) =>
      [...(await readSafetensorsHeader(join(path, "model.safetensors")))].map(
        ([name, { dtype, shape }]) => `${name} ${dtype} ${shape}`,
      );
    expect((await shapes(dir)).sort()).toEqual((await shapes(golden)).sort());
    const again = await loadModel(device, dir, { kind: "reward" });
    await expectSameParameters(again, model);
    expect(await modelDigest(dir)).toMatch(/^[0-9a-f]{64}$/);
  });

  it("has no head of words, even when untied; a left-over one is ignored", async () => {
    const dir = copied({ tie_word_embeddings: false });
    const { tensors } = await openModelFolder(dir, "reward");
    expect(tensors.has("lm_head.weight")).toBe(false);
    // The work of its head is one product of a row.
    const { config } = await openModelFolder(dir, "reward");
    expect(forwardWork(config, [4], 1).head).toBe(2 * config.hiddenSize);
    const tied = { ...config, tieWordEmbeddings: true };
    expect(forwardWork(tied, [4], 1)).toEqual(forwardWork(config, [4], 1));
  });

  it("may have labels by number alone; transformers' default are two", async () => {
    const text = "score.weight has the shape [1, 64], expected";
    await expect(openModelFolder(copied({ id2label: null }), "reward")).rejects.toThrow(`${text} [2, 64]`);
    await expect(openModelFolder(copied({ id2label: null, num_labels: 3 }), "reward")).rejects.toThrow(
      `${text} [3, 64]`,
    );
    const { config } = await openModelFolder(copied({ id2label: null, num_labels: 1 }), "reward");
    expect(config.score?.labels).toEqual(["LABEL_0"]);
  });

  it.each([
    [{ num_labels: 3 }, "num_labels is 3, but id2label names 1"],
    [{ id2label: [] }, "id2label must be an object of numbers and names, but is a list"],
    [{ score_heads: [{ name: "a" }] }, "score_heads.0.weight is missing"],
    [
      {
        score_heads: [
          { name: "a", weight: 1 },
          { name: "a", weight: 2 },
        ],
      },
      'score_heads names "a" twice',
    ],
    [
      { score_heads: [{ name: "a", weight: 1 }], id2label: { 0: "x", 1: "y" } },
      "score_heads are parts of one score, but there are 2 labels",
    ],
  ])("with a config of %j is refused", async (changes, message) => {
    await expect(openModelFolder(copied(changes), "reward")).rejects.toThrow(message);
  });
});

describe("a head on a language model", () => {
  const heads = [
    { name: "helpfulness", weight: 0.75 },
    { name: "conciseness", weight: 0.25 },
  ];
  const load = async (seed: number) => {
    const { config } = await openModelFolder(language);
    const score = { labels: ["score"], heads };
    return loadModel(device, language, { as: { config: { ...config, score, padTokenId: 7 }, seed } });
  };

  it("is drawn from the seed; the layers are the model's own", async () => {
    const [model, same, other] = [await load(1), await load(1), await load(2)];
    const plain = await loadModel(device, language);
    const layers = [...plain.parameters.keys()].filter((name) => name !== "lm_head.weight");
    await expectSameParameters(model, plain, layers);
    await expectSameParameters(model, same);
    const values = (await parameter(model, "heads.weight").read()) as Float32Array;
    expect(parameter(model, "heads.weight").shape).toEqual([2, 64]);
    expect(values).not.toEqual(await parameter(other, "heads.weight").read());
    const deviation = Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);
    expect(deviation / model.config.initializerRange).toBeCloseTo(1, 0);
    expect(model.parameters.has("lm_head.weight")).toBe(false);
  });

  it.each(["f32", "bf16"] as const)(
    "of several parts keeps them in a file of their own (%s)",
    async (dtype) => {
      const dir = join(folder, `heads-${dtype}`);
      const model = await load(1);
      await saveModel(model, dir);
      expect(readdirSync(dir).sort()).toEqual(["config.json", "heads", "model.safetensors"]);
      const names = [...(await readSafetensorsHeader(join(dir, "model.safetensors"))).keys()];
      expect(names).toContain("score.weight");
      expect(names).not.toContain("heads.weight");
      const again = await loadModel(device, dir, { kind: "reward", dtype });
      expect(again.config.score).toEqual({ labels: ["score"], heads });
      expect(again.config.padTokenId).toBe(7);
      expect(parameterCount(again.config)).toBe(
        parameterCount({ ...model.config, score: null }) - (320 - 3) * 64,
      );
      if (dtype === "f32") await expectSameParameters(again, model);
      // The heads are part of what the model is.
      const digest = await modelDigest(dir);
      const bytes = readFileSync(join(dir, "heads", "heads.safetensors"));
      bytes[bytes.length - 1]! ^= 1;
      writeFileSync(join(dir, "heads", "heads.safetensors"), bytes);
      expect(await modelDigest(dir)).not.toBe(digest);
      rmSync(join(dir, "heads"), { recursive: true });
      await expect(openModelFolder(dir, "reward")).rejects.toThrow(
        "score.weight alone gives the same scores",
      );
    },
  );
});

describe("of the wrong kind", () => {
  it("a reward model is refused where a language model is wanted, with what takes it", async () => {
    for (const open of [() => openModelFolder(golden), () => loadModel(device, golden)]) {
      await expect(open()).rejects.toMatchObject({ name: "UserError", code: "wrong_kind_of_model" });
      await expect(open()).rejects.toThrow(
        /config\.json: this is a reward model.*posttrain reward score takes it/,
      );
    }
  });

  it("a language model is refused where a reward model is wanted, with what makes one", async () => {
    await expect(loadModel(device, language, { kind: "reward" })).rejects.toThrow(
      /config\.json: this is a language model.*posttrain reward makes one of it/,
    );
    await expect(openModelFolder(language, "either")).resolves.toMatchObject({ dir: language });
    await expect(openModelFolder(golden, "either")).resolves.toMatchObject({ dir: golden });
  });
});
