// A whole folder: written, opened again, in one file or in shards, and everything that may be wrong with one.
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readCompanions } from "../src/companions.js";
import { parameterShapes, parseModelConfig, toJson } from "../src/config.js";
import { generationConfigFrom, resolveStopIds } from "../src/generation-config.js";
import {
  type NewModelFolder,
  openModelFolder,
  type WeightDtype,
  writeModelFolder,
} from "../src/model-folder.js";
import { type TensorSource, writeSafetensors } from "../src/safetensors.js";

let root: string;
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "posttrain-folder-"));
});
afterAll(() => rm(root, { recursive: true }));
const freshPath = () => join(root, `m${count++}`);

const config = parseModelConfig(
  {
    architectures: ["Qwen2ForCausalLM"],
    model_type: "qwen2",
    hidden_size: 8,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    intermediate_size: 6,
    vocab_size: 10,
    tie_word_embeddings: true,
    eos_token_id: 3,
  },
  "config.json",
);
const untied = { ...config, tieWordEmbeddings: false };
const generationConfig = { ...generationConfigFrom(config), eosTokenIds: [3, 4], temperature: 0.7 };

type Weight = TensorSource & { readonly dtype: WeightDtype; readonly bytes: Uint8Array };

/** Every parameter filled with bytes that tell it from the others. */
function weights(of = config): Weight[] {
  return [...parameterShapes(of)].map(([name, shape], i) => {
    const bytes = new Uint8Array(2 * shape.reduce((a, b) => a * b, 1)).fill(i + 1);
    return { name, dtype: "BF16", shape, bytes };
  });
}

/** A folder as other tools might leave it: config.json and these tensors. */
async function folder(tensors: readonly TensorSource[] | null, of = config): Promise<string> {
  const dir = freshPath();
  await mkdir(dir);
  await writeFile(join(dir, "config.json"), toJson(of));
  if (tensors !== null) await writeSafetensors(join(dir, "model.safetensors"), tensors);
  return dir;
}

async function shardedFolder(shards: Readonly<Record<string, readonly TensorSource[]>>): Promise<string> {
  const dir = await folder(null);
  const weight_map: Record<string, string> = {};
  for (const [file, tensors] of Object.entries(shards)) {
    await writeSafetensors(join(dir, file), tensors);
    for (const { name } of tensors) weight_map[name] = file;
  }
  const index = JSON.stringify({ metadata: { total_size: 0 }, weight_map });
  await writeFile(join(dir, "model.safetensors.index.json"), index);
  return dir;
}

async function refusal(dir: string): Promise<UserError> {
  const error = await openModelFolder(dir).then(
    () => new Error("the folder was opened"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof UserError)) throw error;
  expect(error.message).toContain(dir);
  return error;
}

const write = (dir: string, more: Partial<NewModelFolder> = {}) =>
  writeModelFolder(dir, { config, generationConfig, tensors: weights(), ...more });

describe("written", () => {
  test("a folder is read back, tensor by tensor", async () => {
    const dir = freshPath();
    const written = await write(dir);
    expect(written).toEqual(["config.json", "generation_config.json", "model.safetensors"]);
    expect((await readdir(dir)).sort()).toEqual(written);

    const opened = await openModelFolder(dir);
    expect({ ...opened.config, raw: {} }).toEqual({ ...config, torchDtype: "bfloat16", raw: {} });
    expect(opened.generationConfig).toMatchObject({ eosTokenIds: [3, 4], temperature: 0.7, topP: null });
    expect([...opened.tensors.keys()]).toEqual([...parameterShapes(config).keys()]);
    expect(opened.ignored).toEqual([]);
    for (const { name, bytes, shape } of weights()) {
      const stored = opened.tensors.get(name);
      expect(stored).toMatchObject({ file: join(dir, "model.safetensors"), dtype: "BF16", shape });
      const content = await readFile(stored?.file ?? "");
      expect(new Uint8Array(content.subarray(stored?.begin, stored?.end))).toEqual(bytes);
    }
  });

  test("tokenizer files are copied byte for byte, given files win, nothing else comes along", async () => {
    const source = freshPath();
    await mkdir(source);
    const odd = Uint8Array.of(0xef, 0xbb, 0xbf, 0x7b, 0x7d, 0xff, 0x0d, 0x0a);
    for (const name of [
      "tokenizer.json",
      "chat_template.jinja",
      "merges.txt",
      "optimizer.pt",
      "config.json",
    ]) {
      await writeFile(join(source, name), odd);
      await chmod(join(source, name), 0o444);
    }
    const dir = freshPath();
    const extraFiles = { "merges.txt": "given", "NOTICE.txt": "mine" };
    const written = await write(dir, { extraFiles: { ...(await readCompanions(source)), ...extraFiles } });
    const own = ["config.json", "generation_config.json", "model.safetensors"];
    expect(written).toEqual(
      [...own, "NOTICE.txt", "chat_template.jinja", "merges.txt", "tokenizer.json"].toSorted(),
    );
    expect(new Uint8Array(await readFile(join(dir, "tokenizer.json")))).toEqual(odd);
    expect(await readFile(join(dir, "merges.txt"), "utf8")).toBe("given");
  });

  test("over an empty folder, never over a full one or a file", async () => {
    const dir = freshPath();
    await mkdir(dir);
    await write(dir);
    await expect(write(dir)).rejects.toMatchObject({ name: "UserError", code: "folder_exists" });
    await expect(write(join(dir, "config.json"))).rejects.toMatchObject({ code: "folder_exists" });
    expect((await readdir(root)).filter((name) => name.includes("partial"))).toEqual([]);
  });

  test("a failure on the way leaves nothing", async () => {
    const dir = freshPath();
    const tensors = weights().map((w, i) => (i === 5 ? { ...w, bytes: w.bytes.subarray(1) } : w));
    await expect(write(dir, { tensors })).rejects.toThrow("brought");
    await expect(write(dir, { tensors: weights().slice(1) })).rejects.toThrow("25 tensors, expected 26");
    await expect(write(dir, { tensors: weights(untied) })).rejects.toThrow("lm_head.weight");
    expect((await readdir(root)).filter((name) => name.startsWith(`${dir.split("/").at(-1)}`))).toEqual([]);
  });
});

describe("opened", () => {
  test("shards with an index; the index decides, spares are listed", async () => {
    const all = weights();
    const dir = await shardedFolder({ "a.safetensors": all.slice(0, 9), "b.safetensors": all.slice(8) });
    const { tensors, ignored } = await openModelFolder(dir);
    expect([...tensors.keys()]).toEqual(all.map(({ name }) => name));
    expect(tensors.get(all[7]?.name ?? "")?.file).toBe(join(dir, "a.safetensors"));
    expect(tensors.get(all[8]?.name ?? "")?.file).toBe(join(dir, "b.safetensors"));
    expect(ignored).toEqual([all[8]?.name]);
  });

  test("a single file wins over an index", async () => {
    const dir = await folder(weights());
    await writeFile(join(dir, "model.safetensors.index.json"), "not JSON");
    expect((await openModelFolder(dir)).tensors.size).toBe(26);
  });

  test("a copy of the embedding as the head of a tied model and old rotary tables are ignored by name", async () => {
    const bytes = new Uint8Array(8);
    const extras: TensorSource[] = [
      { ...weights()[0]!, name: "lm_head.weight" },
      { name: "model.layers.0.self_attn.rotary_emb.inv_freq", dtype: "F32", shape: [2], bytes },
    ];
    const { tensors, ignored } = await openModelFolder(await folder([...weights(), ...extras]));
    expect(tensors.size).toBe(26);
    expect([...ignored].sort()).toEqual(extras.map(({ name }) => name).sort());
  });

  test("an untied head is a parameter; without generation_config.json config.json names the end", async () => {
    const opened = await openModelFolder(await folder(weights(untied), untied));
    expect(opened.tensors.has("lm_head.weight")).toBe(true);
    expect(opened.ignored).toEqual([]);
    expect(resolveStopIds(opened.generationConfig, opened.config)).toEqual([3]);
  });
});

describe("refused", () => {
  test("no folder, a file, an empty folder", async () => {
    expect(await refusal(join(root, "none"))).toMatchObject({
      code: "not_a_model_folder",
      message: expect.stringContaining("does not exist"),
    });
    const file = freshPath();
    await writeFile(file, "");
    expect((await refusal(file)).message).toContain("is not a folder");
    await mkdir(freshPath());
    expect((await refusal(join(root, `m${count - 1}`))).message).toContain("has no config.json");
  });

  test("a config.json that is no JSON, or no file", async () => {
    const dir = await folder(weights());
    await writeFile(join(dir, "config.json"), '{"hidden_size": 8,');
    expect(await refusal(dir)).toMatchObject({ code: "bad_json" });
    await rm(join(dir, "config.json"));
    await mkdir(join(dir, "config.json"));
    expect(await refusal(dir)).toMatchObject({ code: "cannot_read" });
  });

  test("no weights, or only those of other formats", async () => {
    const dir = await folder(null);
    expect(await refusal(dir)).toMatchObject({ code: "missing_weights" });
    await writeFile(join(dir, "pytorch_model.bin"), "");
    expect(await refusal(dir)).toMatchObject({
      code: "unsupported_weights",
      message: expect.stringMatching(/only as pytorch_model\.bin.*save_pretrained/),
    });
  });

  test("weights that are cut short", async () => {
    const dir = await folder(weights());
    const path = join(dir, "model.safetensors");
    const bytes = await readFile(path);
    await writeFile(path, bytes.subarray(0, bytes.length - 100));
    expect(await refusal(dir)).toMatchObject({
      code: "bad_safetensors",
      message: expect.stringContaining(path),
    });
  });

  test("tensors missing, unexpected, of another shape or type: up to five are told, all are counted", async () => {
    const [embed, ...rest] = weights();
    if (embed === undefined) throw new Error("no weights");
    expect((await refusal(await folder(rest))).message).toMatch(
      / 26 tensors\. 1 differs: model\.embed_tokens\.weight is missing\. Take/,
    );
    const turned = { ...embed, shape: [8, 10] };
    expect((await refusal(await folder([turned, ...rest]))).message).toContain(
      "model.embed_tokens.weight has the shape [8, 10], expected [10, 8]",
    );
    const wide: TensorSource = { ...embed, dtype: "F64", bytes: new Uint8Array(640) };
    expect((await refusal(await folder([wide, ...rest]))).message).toContain(
      "is stored as F64, expected F32, BF16 or F16",
    );
    const stranger: TensorSource = { name: "visual.\n", dtype: "U8", shape: [1], bytes: new Uint8Array(1) };
    expect((await refusal(await folder([embed, ...rest, stranger]))).message).toContain(
      "visual.\\n is unexpected",
    );
    const { code, message } = await refusal(await folder(rest.slice(7)));
    expect(code).toBe("weights_do_not_fit");
    expect(message).toMatch(
      / 8 differ: .*; and 3 more\. Take config\.json and the weights from the same model\.$/,
    );
  });

  test("an untied model without its head", async () => {
    const dir = await folder(weights(), untied);
    expect((await refusal(dir)).message).toMatch(
      /lm_head\.weight is missing, and config\.json has tie_word_embeddings false: .* set "tie_word_embeddings": true there; else download/,
    );
    const { tie_word_embeddings: _, ...silent } = JSON.parse(toJson(untied));
    await writeFile(join(dir, "config.json"), JSON.stringify(silent));
    expect((await refusal(dir)).message).toContain(
      "config.json does not name tie_word_embeddings, which means false",
    );
    // One of many that are missing is no question of the head.
    expect((await refusal(await folder(weights().slice(3), untied))).message).toContain("4 differ");
  });

  test("a tied model with a head of its own", async () => {
    const [embedding] = weights();
    const { shape, bytes } = embedding!;
    const other = bytes.slice();
    other[other.length - 1] = 99;
    const heads: [TensorSource, string][] = [
      [
        { ...embedding!, name: "lm_head.weight", bytes: other },
        "is another: it has other values. If the head",
      ],
      [
        { name: "lm_head.weight", dtype: "F32", shape, bytes: new Uint8Array(320) },
        "it is stored as F32, not BF16",
      ],
      [
        { name: "lm_head.weight", dtype: "BF16", shape: [2, 2], bytes: new Uint8Array(8) },
        "has the shape [2, 2], not [10, 8]",
      ],
    ];
    for (const [head, text] of heads) {
      expect(await refusal(await folder([...weights(), head]))).toMatchObject({
        code: "weights_do_not_fit",
        message: expect.stringContaining(text),
      });
    }
  });

  test("a tensor in two shards that differ", async () => {
    const all = weights();
    const other = { ...all[8]!, bytes: all[8]!.bytes.slice().fill(77) };
    const dir = await shardedFolder({
      "b.safetensors": [other, ...all.slice(9)],
      "a.safetensors": all.slice(0, 9),
    });
    expect(await refusal(dir)).toMatchObject({
      code: "bad_index",
      message: expect.stringMatching(
        /two shards hold a tensor .*, and they differ: the one in b\.safetensors has other values; .* means the one in a\.safetensors/,
      ),
    });
  });

  test("tensors of shards that the index does not list: the model's own, and strangers", async () => {
    const all = weights();
    const dir = await shardedFolder({ "a.safetensors": all.slice(0, 9), "b.safetensors": all.slice(9) });
    const file = join(dir, "model.safetensors.index.json");
    const index = JSON.parse(await readFile(file, "utf8"));
    const { [all[2]!.name]: _, ...weight_map } = index.weight_map;
    await writeFile(file, JSON.stringify({ weight_map }));
    expect((await refusal(dir)).message).toContain(
      `${all[2]!.name} is in a shard, but not in model.safetensors.index.json`,
    );
    const stranger: TensorSource = {
      name: "model.layers.0.self_attn.q_norm.weight",
      dtype: "BF16",
      shape: [1],
      bytes: new Uint8Array(2),
    };
    const other = await shardedFolder({ "a.safetensors": all });
    await rm(join(other, "a.safetensors"));
    await writeSafetensors(join(other, "a.safetensors"), [...all, stranger]);
    expect((await refusal(other)).message).toContain("model.layers.0.self_attn.q_norm.weight is unexpected");
  });

  test("what stands in a file's place when it was not fetched", async () => {
    const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 988097824\n";
    const said = /is a git-lfs pointer, not the file itself \(which has 988,097,824 bytes\): .* git lfs pull/;
    const all = weights();
    for (const name of ["model.safetensors", "config.json", "generation_config.json"]) {
      const dir = await folder(all);
      await writeFile(join(dir, name), pointer);
      expect(await refusal(dir)).toMatchObject({ code: "not_fetched", message: expect.stringMatching(said) });
    }
    const sharded = await shardedFolder({ "a.safetensors": all.slice(0, 9), "b.safetensors": all.slice(9) });
    await writeFile(join(sharded, "b.safetensors"), pointer);
    expect((await refusal(sharded)).message).toMatch(/b\.safetensors is a git-lfs pointer/);
    const page = await folder(all);
    await writeFile(join(page, "model.safetensors"), "<!DOCTYPE html>\n<html><body>Sign in</body></html>");
    expect((await refusal(page)).message).toContain("model.safetensors is a web page, not the file itself");
  });

  test("an index with a missing shard, a missing tensor, a path, or of another form", async () => {
    const all = weights();
    const dir = await shardedFolder({ "a.safetensors": all.slice(0, 9), "b.safetensors": all.slice(9) });
    await rm(join(dir, "b.safetensors"));
    expect(await refusal(dir)).toMatchObject({
      code: "missing_shard",
      message: expect.stringContaining('names the shard "b.safetensors"'),
    });
    await writeSafetensors(join(dir, "b.safetensors"), all.slice(10));
    expect(await refusal(dir)).toMatchObject({
      code: "bad_index",
      message: expect.stringContaining(`b.safetensors holds the tensor "${all[9]?.name}", but it does not`),
    });
    const index = join(dir, "model.safetensors.index.json");
    await writeFile(index, JSON.stringify({ weight_map: { x: "../m0/model.safetensors" } }));
    expect(await refusal(dir)).toMatchObject({ code: "missing_shard" });
    await writeFile(index, JSON.stringify({ weight_map: { x: 3 } }));
    expect((await refusal(dir)).message).toContain("weight_map.x must be the name of a file, but is 3");
    await writeFile(index, "{}");
    expect((await refusal(dir)).message).toContain("weight_map is missing");
  });
});
