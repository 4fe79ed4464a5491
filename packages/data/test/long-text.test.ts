import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Tokenizer as RustTokenizer } from "tokenizers";
import { expect, test } from "vitest";
import { loadTokenizer } from "../src/index.js";
import { longTexts, type TokenizerParts } from "../src/long-text.js";
import { folderWith, QWEN25_DIR, random } from "./support/qwen25.js";

type File = TokenizerParts & Readonly<Record<string, unknown>>;

async function qwen(): Promise<File> {
  return JSON.parse(await readFile(join(QWEN25_DIR, "tokenizer.json"), "utf8")) as File;
}

const split = (Regex: string): unknown => ({
  type: "Sequence",
  pretokenizers: [
    { type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false },
    { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
  ],
});
const words = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|";
const rest = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** Qwen2.5's pairs behind the pre-tokens of several models. */
const PRE_TOKENS: Readonly<Record<string, unknown>> = {
  "Qwen2.5": split(`${words}\\p{N}${rest}`),
  "Llama 3": split(`${words}\\p{N}{1,3}${rest}`),
  SmolLM2: {
    type: "Sequence",
    pretokenizers: [
      { type: "Digits", individual_digits: true },
      { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    ],
  },
  "GPT-2": { type: "ByteLevel", add_prefix_space: false, trim_offsets: true },
};

const BITS = [
  "a",
  "Ä",
  "e\u0301",
  "word",
  "don't",
  "we'LL",
  "7",
  "2024",
  "¼",
  "中文",
  "。",
  "，",
  "한국",
  "\u1112\u1161\u11ab",
  "かな",
  "שלום",
  "नमस्ते",
  "ไทย",
  "क्\u200d",
  "ﬁ",
  "ſ",
  " ",
  "  ",
  "\t",
  "\n",
  "\n\n",
  "\r\n",
  " \n ",
  "\u00a0",
  "\u3000",
  ".",
  ",",
  "...",
  "!?",
  ":",
  ";",
  "'",
  '"',
  "_",
  "-",
  "/",
  "<",
  "<|",
  "im_end",
  "<|im_end|>",
  "<|im_start|>",
  "<tool_call>",
  "👋🏽",
  "\u0338",
  "\u0307",
  "\ud7a3\u11a7",
  "\u{20000}",
  "Ɐ",
  "ա",
];

test.each(Object.entries(PRE_TOKENS))(
  "texts cut anywhere where they may be have the ids of the whole: %s",
  async (_, pre_tokenizer) => {
    const file = { ...(await qwen()), pre_tokenizer } as File;
    const { pieceEnd } = longTexts(file);
    const rust = RustTokenizer.fromString(JSON.stringify(file));
    const next = random(11);
    let cuts = 0;
    for (let i = 0; i < 12; i++) {
      // Long enough to be cut, behind a different stretch each time.
      const text = Array.from({ length: 30_000 }, () => BITS[Math.floor(next() * BITS.length)]).join("");
      const pieces: string[] = [];
      for (let start = 0; start < text.length; ) {
        const end = pieceEnd(text, start);
        pieces.push(text.slice(start, end));
        start = end;
      }
      cuts += pieces.length - 1;
      const plain = { addSpecialTokens: false };
      const whole = (await rust.encode(text, null, plain)).getIds();
      const parts = await rust.encodeBatch(pieces, plain);
      expect(parts.flatMap((part) => part.getIds())).toEqual(whole);
    }
    expect(cuts).toBeGreaterThan(12);
  },
);

test("every single place for a cut is one, between all pairs and triples of unlike bits", async () => {
  const file = await qwen();
  const { pieceEnd } = longTexts(file);
  const tokenizer = RustTokenizer.fromString(JSON.stringify(file));
  const plain = { addSpecialTokens: false };
  const filler = "x".repeat(32_768);
  const texts: string[] = [];
  for (const a of BITS)
    for (const b of BITS) for (const c of [" ", "a", "\n", "."]) texts.push(`${a}${b}${c}word`);
  const whole = await tokenizer.encodeBatch(texts, plain);
  for (const [i, text] of texts.entries()) {
    const end = pieceEnd(`${filler}${text}${filler}`, text.length > 0 ? 0 : 1) - filler.length;
    if (end < 1 || end >= text.length) continue;
    const [left, right] = await tokenizer.encodeBatch([text.slice(0, end), text.slice(end)], plain);
    expect([...left!.getIds(), ...right!.getIds()], text).toEqual(whole[i]!.getIds());
  }
});

test("a start is the whole's, and says whether it is all", async () => {
  const tokenizer = await loadTokenizer(QWEN25_DIR);
  const text = "Some words, and more of them.\n".repeat(30_000);
  const [whole] = await tokenizer.encodeBatch([text]);
  const [start, all, short] = await tokenizer.encodeStarts([text, text.slice(0, 300), ""], 1000);
  expect(start!.whole).toBe(false);
  expect(start!.ids.length).toBeGreaterThan(1000);
  expect(start!.ids.length).toBeLessThan(100_000);
  expect(start!.ids).toEqual(whole!.slice(0, start!.ids.length));
  expect(start!.atLeast).toBeLessThanOrEqual(whole!.length);
  expect(start!.atLeast).toBeGreaterThan(start!.ids.length);
  expect(all!.whole).toBe(true);
  expect(short).toEqual({ ids: [], whole: true, atLeast: 0 });
});

test("what cannot be cut is refused before it takes the memory, or known to be too long", async () => {
  const tokenizer = await loadTokenizer(QWEN25_DIR);
  for (const text of [
    " ".repeat(12_000_000),
    "a".repeat(3_000_000),
    `Some words first. ${"0".repeat(2_000_000)}`,
  ]) {
    await expect(tokenizer.encode(text)).rejects.toMatchObject({ code: "text_too_long" });
  }
  const [start] = await tokenizer.encodeStarts([`Some words. ${"a".repeat(3_000_000)}`], 100);
  expect(start).toMatchObject({ whole: false, refusal: { code: "text_too_long" } });
  expect(start!.atLeast).toBeGreaterThan(100);
});

test("tokenizers that may join words are never cut", async () => {
  const file = await qwen();
  const text = "Some words. ".repeat(10_000);
  const unknown: readonly Partial<Record<keyof File, unknown>>[] = [
    { pre_tokenizer: null },
    { pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always" } },
    { pre_tokenizer: split("\\w+ \\w+") },
    { pre_tokenizer: { type: "ByteLevel", add_prefix_space: true } },
    { pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: false } },
    { normalizer: { type: "Replace", pattern: { String: " " }, content: "" } },
    { model: { type: "Unigram", vocab: [] } },
    { added_tokens: [{ content: "Some words." }] },
    { added_tokens: [{ content: "<x>", lstrip: true }] },
  ];
  expect(longTexts(file).pieceEnd(text, 0)).toBeLessThan(text.length);
  for (const change of unknown) {
    expect(longTexts({ ...file, ...change } as File).pieceEnd(text, 0), JSON.stringify(change)).toBe(
      text.length,
    );
  }
  expect(
    (
      await loadTokenizer(
        await folderWith({ "tokenizer.json": JSON.stringify({ ...file, pre_tokenizer: null }) }),
      )
    ).size,
  ).toBe(151_665);
});
