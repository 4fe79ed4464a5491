// posttrain inspect: counts against the model's own numbers, differences against ones that were made on purpose, and every damaged byte found.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readSafetensorsHeader, writeSafetensors } from "@posttrain/model";
import { afterAll, beforeAll, expect, it } from "vitest";
import { goldenPath } from "../../../tests/support/golden.js";
import { fromFloat16 } from "../src/inspect/compare-tensors.js";
import { conversation, copyModel, makeModel, temporaryFolder, writeRows } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

const folder = temporaryFolder();
const at = (...parts: readonly string[]): string => join(folder, ...parts);
let model: string;
let checkpoint: string;

beforeAll(async () => {
  model = await makeModel(folder);
  const data = writeRows(folder, "rows.jsonl", [conversation("What is 1 + 1?", "2")]);
  const args = ["--model_name_or_path", model, "--data", data, "--output_dir", at("run")];
  await posttrainHere(["sft", ...args, "--max_steps", "1", "--lr_scheduler_type", "constant"]);
  const resumed = ["--max_steps", "2", "--learning_rate", "1e-4", "--lr_scheduler_type", "constant"];
  const change = ["--resume_from_checkpoint", "--accept_change", "learning_rate", "--quiet"];
  checkpoint = (await posttrainHere(["sft", ...args, ...resumed, ...change])).out.trim();
});
afterAll(() => rmSync(folder, { recursive: true }));

const inspect = (dir: string, ...args: readonly string[]) =>
  posttrainHere(["inspect", "--model_name_or_path", dir, ...args]);
const flat = (text: string): string => text.replaceAll(/\s+/g, " ");

it("says what a model is, file by file", async () => {
  const { code, out, err } = await inspect(model, "--json");
  const { model: facts, files, checkpoint: none } = JSON.parse(out);
  expect([code, none]).toEqual([0, null]);
  const weights = statSync(join(model, "model.safetensors")).size;
  expect(facts.weight_bytes).toBe(4 * facts.parameters);
  expect(weights - facts.weight_bytes).toBeLessThan(10_000);
  expect(facts).toMatchObject({
    dtypes: { F32: 38 },
    training_bytes: {
      weights: 4 * facts.parameters,
      gradients: 4 * facts.parameters,
      moments: 8 * facts.parameters,
    },
    training_bytes_bf16: { weights: 2 * facts.parameters, masters: 4 * facts.parameters },
    stop_ids: [
      { id: 287, token: "<|im_end|>" },
      { id: 285, token: "<|endoftext|>" },
    ],
  });
  expect(files.map(({ name }: { name: string }) => name)).toEqual(readdirSync(model).sort());
  for (const { name, bytes, sha256 } of files) {
    const content = readFileSync(join(model, name));
    expect([bytes, sha256]).toEqual([content.length, createHash("sha256").update(content).digest("hex")]);
  }
  expect(flat(err)).toMatch(
    /1\.24 M parameters \(1,243,392\).*context 512 tokens.*38 tensors, F32 38; 5\.0 MB.*together 20 MB; with bf16 .* 2\.5 MB beside them; activations of 1,024 tokens [\d.]+ MB, with gradient_checkpointing [\d.]+ MB/,
  );
});

it("notes what of a folder does not fit together, and nothing where it does", async () => {
  expect(JSON.parse((await inspect(model, "--json")).out).model.notes).toEqual([]);
  const odd = copyModel(model, "odd");
  const change = (name: string, changes: object): void =>
    writeFileSync(
      join(odd, name),
      JSON.stringify({ ...JSON.parse(readFileSync(join(odd, name), "utf8")), ...changes }),
    );
  change("generation_config.json", { eos_token_id: [285, 999], top_k: -1 });
  change("tokenizer_config.json", { pad_token: "<pad>" });
  writeFileSync(
    join(odd, "chat_template.jinja"),
    "{% for m in messages %}{{ m.content + '<|im_end|>' }}{% endfor %}",
  );
  const tokenizer = JSON.parse(readFileSync(join(odd, "tokenizer.json"), "utf8"));
  for (let id = 288; id < 330; id++)
    tokenizer.added_tokens.push({ ...tokenizer.added_tokens[0], id, content: `<${id}>` });
  writeFileSync(join(odd, "tokenizer.json"), JSON.stringify(tokenizer));
  const { code, out } = await inspect(odd);
  expect(code).toBe(0);
  expect(flat(out)).toContain(
    "note the tokenizer has 330 tokens, the embedding 320 rows: text with a token from id 320 on is refused " +
      "999 among the ids where generation stops is outside the vocabulary, and never drawn " +
      "tokenizer_config.json names <pad>, which is no token of tokenizer.json: it is split like a word",
  );
  expect(flat(out)).toMatch(
    /chat_template\.jinja counts; \S*tokenizer_config\.json has another chat_template/,
  );
  expect(flat(out)).toContain(
    "ends turns with <|im_end|> (287), where generation does not stop: --stop_ids 287 does.",
  );
});

it("a reward model: its score and pad id, no ends; and what takes it where words are wanted", async () => {
  const { code, out } = await inspect(goldenPath("reward-tiny"));
  expect(code).toBe(0);
  expect(flat(out)).toMatch(
    /Qwen2ForSequenceClassification, 0\.15 M parameters.*vocabulary of 320 scores one score of a sequence, at its last token; padding is id 0 context/,
  );
  expect(out).not.toContain("stops at");
  const sft = ["--data", "rows.jsonl", "--output_dir", at("none")];
  const refused = await posttrainHere(["sft", "--model_name_or_path", goldenPath("reward-tiny"), ...sft]);
  expect(refused.code).toBe(1);
  expect(flat(refused.err)).toContain("this is a reward model (Qwen2ForSequenceClassification)");
});

it("says where a checkpoint stands and what it was made of", async () => {
  const { code, out } = await inspect(checkpoint);
  expect(code).toBe(0);
  expect(flat(out)).toMatch(/checkpoint after step 2, written .*; all \d+ files agree with the manifest/);
  expect(flat(out)).toMatch(/identity .*learning_rate 0\.0001.* seed 42.* data [0-9a-f]{16},/);
  expect(flat(out)).toMatch(
    /accepted learning_rate was 0\.00002, is 0\.0001 from step 1 made of model .*model, SHA-256 [0-9a-f]{16} data .*rows\.jsonl/,
  );
});

it("finds a changed byte in any file of a checkpoint", async () => {
  const manifest = JSON.parse(readFileSync(join(checkpoint, "manifest.json"), "utf8"));
  const names = Object.keys(manifest.files).filter((name) => !/config|tokenizer/.test(name));
  expect(names.length).toBeGreaterThan(2);
  for (const name of [...names, "manifest.json"]) {
    const path = join(checkpoint, name);
    const bytes = readFileSync(path);
    const damaged = Buffer.from(bytes);
    damaged[damaged.length - 3]! ^= 1;
    writeFileSync(path, damaged);
    const { code, out } = await inspect(checkpoint);
    writeFileSync(path, bytes);
    expect([name, code, flat(out)]).toEqual([
      name,
      1,
      expect.stringMatching(/damaged .*: this checkpoint is damaged/),
    ]);
    expect(flat(out)).toContain(name);
  }
  const quiet = await inspect(checkpoint, "--quiet");
  expect([quiet.code, quiet.out]).toEqual([0, expect.stringMatching(/^[0-9a-f]{64}\n$/)]);
});

it("tells what differs from another: config keys, text side, tensors with the largest difference", async () => {
  const other = copyModel(model, "other");
  const config = JSON.parse(readFileSync(join(other, "config.json"), "utf8"));
  writeFileSync(join(other, "config.json"), JSON.stringify({ ...config, rms_norm_eps: 1e-5 }));
  const path = join(other, "model.safetensors");
  const entries = await readSafetensorsHeader(path);
  const bytes = readFileSync(path);
  const change = (name: string, place: number, value: (before: number) => number): void => {
    const offset = entries.get(name)!.begin + 4 * place;
    bytes.writeFloatLE(value(bytes.readFloatLE(offset)), offset);
  };
  change("model.layers.1.mlp.up_proj.weight", 7, (x) => x + 0.5);
  change("model.layers.1.mlp.up_proj.weight", 900, (x) => x - 0.25);
  change("model.norm.weight", 3, (x) => x + 2);
  writeFileSync(path, bytes);

  const { code, out } = await inspect(model, "--compare_to", other);
  expect(code).toBe(0);
  expect(flat(out)).toMatch(/config rms_norm_eps 0\.000001, there 0\.00001/);
  expect(flat(out)).toMatch(
    /2 of 38 tensors differ, the largest absolute difference is 2\.000 in model\.norm\.weight; the first by name: model\.layers\.1\.mlp\.up_proj\.weight, 2 values, at most 0\.5000/,
  );
  expect(flat(out)).toMatch(/tokenizer the same, chat template the same/);
  const same = await inspect(model, "--compare_to", model);
  expect(flat(same.out)).toMatch(
    /the same config and weights, byte for byte.*all 38 tensors of the same shape are equal/,
  );
});

it("compares across types by value", async () => {
  const other = copyModel(model, "bf16");
  const path = join(other, "model.safetensors");
  const entries = await readSafetensorsHeader(path);
  const bytes = readFileSync(path);
  rmSync(path);
  // Cut to bf16, so every value with low bits differs, by less than 2^-7 of itself.
  await writeSafetensors(
    path,
    [...entries].map(([name, { shape, begin, end }]) => {
      const halves = Buffer.alloc((end - begin) / 2);
      for (let i = 0; i < halves.length / 2; i++)
        bytes.copy(halves, 2 * i, begin + 4 * i + 2, begin + 4 * i + 4);
      return { name, dtype: "BF16" as const, shape, bytes: halves };
    }),
  );
  const { out } = await inspect(model, "--compare_to", other, "--json");
  const { tensors, same_digest } = JSON.parse(out).comparison;
  expect([tensors.otherType, same_digest]).toEqual([38, false]);
  // Norms are ones and biases zeros: they survive.
  expect(tensors.same + tensors.different.length).toBe(38);
  expect(tensors.same).toBeGreaterThan(7);
  const embedding = tensors.different.find(
    ({ name }: { name: string }) => name === "model.embed_tokens.weight",
  );
  const { begin, end } = entries.get("model.embed_tokens.weight")!;
  let largest = 0;
  for (let i = begin; i < end; i += 4) {
    const low = Buffer.from(bytes.subarray(i, i + 4));
    low.writeUInt16LE(0, 0);
    largest = Math.max(largest, Math.abs(bytes.readFloatLE(i) - low.readFloatLE(0)));
  }
  expect(embedding.largest).toBe(largest);
});

it.each([
  [0x0000, 0],
  [0x3c00, 1],
  [0xc000, -2],
  [0x7bff, 65504],
  [0x0001, 2 ** -24],
  [0x0400, 2 ** -14],
  [0x3555, 0.333251953125],
  [0xfc00, Number.NEGATIVE_INFINITY],
  [0x7e00, Number.NaN],
])("float16 %i is %d", (bits, value) => {
  expect(fromFloat16(bits)).toBe(value);
});

it("needs a model folder", async () => {
  const { code, err } = await inspect(at("run"));
  expect([code, err]).toEqual([1, expect.stringMatching(/run has no config\.json/)]);
});
