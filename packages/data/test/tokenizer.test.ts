import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Tokenizer as RustTokenizer } from "tokenizers";
import { beforeAll, expect, test } from "vitest";
import { loadTokenizer, type Tokenizer } from "../src/index.js";
import { fixture, folderWith, QWEN25_DIR, random, userError } from "./support/qwen25.js";

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await loadTokenizer(QWEN25_DIR);
});

test("Qwen2's published cases: ids, and the text back", async () => {
  const cases = await fixture<{ id: string; text: string; ids: number[]; decoded?: string }>(
    "qwen2-tokenizer/cases.jsonl",
  );
  expect(cases).toHaveLength(37);
  for (const { id, text, ids, decoded } of cases) {
    expect(await tokenizer.encode(text), id).toEqual(ids);
    if (decoded !== undefined) expect(tokenizer.decode(ids), id).toBe(decoded);
  }
  expect(await tokenizer.encodeBatch(cases.map((one) => one.text))).toEqual(cases.map((one) => one.ids));
});

test("knows its ids, the added ones too", async () => {
  expect(tokenizer.size).toBe(151_665);
  expect(tokenizer.idOf("<|im_end|>")).toBe(151_645);
  expect(tokenizer.idOf("no such token")).toBeUndefined();
  expect(tokenizer.tokenOf(1879)).toBe("Ġworld");
  for (const id of [151_665, -1, 1.5, Number.NaN, 2 ** 40]) expect(tokenizer.tokenOf(id)).toBeUndefined();
  // <tool_call> is added but not special: it stays in the text of a skipping decode.
  expect(await tokenizer.encode("<|im_start|><tool_call>a<|im_end|>")).toEqual([
    151_644, 151_657, 64, 151_645,
  ]);
  expect(tokenizer.decode([151_644, 151_657, 64, 151_645], { skipSpecialTokens: true })).toBe("<tool_call>a");
  expect(tokenizer.decode([151_644, 64])).toBe("<|im_start|>a");
  expect([151_645, 151_657, 64].map((id) => tokenizer.isSpecial(id))).toEqual([true, false, false]);
});

test("decodes as the library's own decode does, and streams the same text in whole characters", async () => {
  const rust = RustTokenizer.fromFile(join(QWEN25_DIR, "tokenizer.json"));
  const next = random(7);
  const texts = [
    "🚀 (normal) 😶‍🌫️ ✅ ½ 🦙.cpp",
    "我想在apple工作1314151天～\n\n  x",
    "नमस्ते <|im_end|>\u{10ffff}\ufffd.",
  ];
  const rows = await tokenizer.encodeBatch(texts);
  for (let k = 0; k < 60; k++)
    rows.push(Array.from({ length: 40 }, () => Math.floor(next() * tokenizer.size)));
  for (const ids of rows) {
    for (const skipSpecialTokens of [false, true]) {
      const whole = await rust.decode(ids, skipSpecialTokens);
      expect(tokenizer.decode(ids, { skipSpecialTokens })).toBe(whole);
      const stream = tokenizer.createDecodeStream({ skipSpecialTokens });
      const pieces = ids.map((id) => stream.push(id));
      expect(pieces.join("") + stream.flush()).toBe(whole);
      // What is given out before the end never closes with a torn character.
      expect(pieces.filter((piece) => piece.endsWith("\ufffd"))).toEqual([]);
    }
  }
});

test("an emoji of three tokens comes out at once", async () => {
  const ids = await tokenizer.encode(" 🦙!");
  const stream = tokenizer.createDecodeStream();
  expect(ids.map((id) => stream.push(id))).toEqual(["", "", "", " 🦙", "!"].slice(-ids.length));
  const torn = tokenizer.createDecodeStream();
  expect(
    ids
      .slice(0, 2)
      .map((id) => torn.push(id))
      .join(""),
  ).not.toContain("\ufffd");
  expect(torn.flush()).toContain("\ufffd");
});

test("ignores the truncation, padding and special tokens that a file asks for", async () => {
  const file = JSON.parse(await readFile(join(QWEN25_DIR, "tokenizer.json"), "utf8"));
  file.truncation = { direction: "Right", max_length: 2, strategy: "LongestFirst", stride: 0 };
  file.padding = {
    strategy: { Fixed: 8 },
    direction: "Right",
    pad_to_multiple_of: null,
    pad_id: 0,
    pad_type_id: 0,
    pad_token: "!",
  };
  const marker = { SpecialToken: { id: "<|endoftext|>", type_id: 0 } };
  file.post_processor = {
    type: "TemplateProcessing",
    single: [marker, { Sequence: { id: "A", type_id: 0 } }],
    pair: [marker, { Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 0 } }],
    special_tokens: { "<|endoftext|>": { id: "<|endoftext|>", ids: [151_643], tokens: ["<|endoftext|>"] } },
  };
  const loaded = await loadTokenizer(await folderWith({ "tokenizer.json": JSON.stringify(file) }));
  expect(await loaded.encode("Hello, world!")).toEqual([9707, 11, 1879, 0]);
});

test("says what to do about a tokenizer that is missing or broken", async () => {
  expect(await userError("missing_tokenizer", async () => loadTokenizer(await folderWith({})))).toContain(
    "copy it from",
  );
  for (const text of ["", "{}", "not json", '{"model":{"type":"BPE","vocab":{},"merges":[["a","b"]]}}']) {
    const folder = await folderWith({ "tokenizer.json": text });
    expect(await userError("bad_tokenizer", () => loadTokenizer(folder))).toContain(
      join(folder, "tokenizer.json"),
    );
  }
});

test("what stands between added tokens, tokenised by itself, has the library's ids", async () => {
  const library = RustTokenizer.fromString(await readFile(join(QWEN25_DIR, "tokenizer.json"), "utf8"));
  const next = random(11);
  const parts = [
    "<|im_start|>",
    "<|im_end|>",
    "<tool_call>",
    "<|im_",
    "user",
    "\n",
    "\n\n",
    " ",
    "e",
    "\u0301",
    "你好",
    "12",
    "'s",
    "<|endoftext|>",
  ];
  const texts = Array.from({ length: 400 }, () =>
    Array.from({ length: Math.floor(next() * 12) }, () => parts[Math.floor(next() * parts.length)]).join(""),
  );
  const expected = await library.encodeBatch(texts, { addSpecialTokens: false });
  expect(await tokenizer.encodeBatch(texts)).toEqual(expected.map((encoding) => encoding.getIds()));
});
