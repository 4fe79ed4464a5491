import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Tokenizer as RustTokenizer } from "tokenizers";
import { expect, test } from "vitest";
import { createRunCheck, refuseCostlyTokenizer } from "../src/bounded-tokenizer.js";
import { loadTokenizer } from "../src/index.js";
import { patternCost } from "../src/pattern-cost.js";
import { folderWith, QWEN25_DIR, userError } from "./support/qwen25.js";

/** Patterns of published tokenizers, by the models that have them. */
const PUBLISHED: Readonly<Record<string, string>> = {
  "GPT-2": String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
  Qwen2: String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  "Llama 3": String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  o200k: String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  "DeepSeek V3": String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_\x60{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  "DeepSeek's words": String.raw`\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿ]+`,
  "DeepSeek's ends": String.raw`\s+$`,
  "DeepSeek's characters": "[一-龥ࠀ-一가-퟿]+",
  BLOOM: String.raw` ?[^(\s|[.,!?…。，、।۔،])]+`,
  "Kimi K2": String.raw`[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}|\s+(?!\S)|\s+`,
  CLIP: String.raw`<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`,
  SuperBPE: String.raw`\d{1,3}(?=(?:\d{3})*\b)`,
  "groups of digits": String.raw`(?=(\d{3})+(?!\d))`,
  Falcon: "[0-9][0-9][0-9]",
  "XLM-R": " {2,}",
};

test.each(Object.entries(PUBLISHED))("the pattern of %s is one that ends", (_, pattern) => {
  expect(() => patternCost(pattern)).not.toThrow();
});

test.each([
  "(a+)+$",
  "(a*)*b",
  "(a|a)*$",
  "(a|aa)+$",
  "(?:a|b|ab)*c",
  "([a-z]+)*!",
  "(?:(?:a+)b?)+$",
  "((a{1,9}){1,9}){1,9}$",
  "(a?){40}a{40}",
  "a?a?a?a?a?a?a?a?a?aaaaaaaaa",
  "(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)b",
  "a*a*b",
  "\\s*\\s*\\s*x",
  ".*.*=.*",
  "(?=(a+)+$)a",
  "a*(?=a*b)",
  "(?>(a+)+)$",
  "(?<=(a+)+b)c",
  "(a+)\\1+$",
  "(?<n>a|b\\g<n>c)*",
  "(?x) ( a + ) +",
  "(?~abc)*",
  "(a",
  "[a",
  "a)",
])("the pattern %s is refused", (pattern) => {
  expect(() => patternCost(pattern)).toThrow(/^(it |a group|braces)/);
});

async function qwen(): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(QWEN25_DIR, "tokenizer.json"), "utf8")) as Record<string, unknown>;
}

const replace = (from: string, to: string): unknown => ({
  type: "Replace",
  pattern: { String: from },
  content: to,
});
const sequence = (...normalizers: unknown[]): unknown => ({ type: "Sequence", normalizers });
const charsmap = (...texts: string[]): string => {
  const trie = Buffer.alloc(4 + 1024);
  trie.writeUInt32LE(1024);
  return Buffer.concat([trie, Buffer.from(texts.map((text) => `${text}\0`).join(""))]).toString("base64");
};

const HOSTILE: Readonly<Record<string, readonly [change: Record<string, unknown>, says: string]>> = {
  "a pattern of words": [
    { pre_tokenizer: { type: "Split", pattern: { Regex: "(a+)+$" }, behavior: "Isolated", invert: false } },
    "the pattern (a+)+$ of its pre_tokenizer (Split)",
  ],
  "a pattern deep in sequences": [
    {
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [
          {
            type: "Sequence",
            pretokenizers: [
              { type: "Split", pattern: { Regex: "(x*)*y" }, behavior: "Isolated", invert: false },
            ],
          },
        ],
      },
    },
    "(x*)*y",
  ],
  "a pattern of a normalizer": [
    { normalizer: { type: "Replace", pattern: { Regex: "(a|a)*$" }, content: "" } },
    "normalizer (Replace)",
  ],
  "a pattern of the decoder": [
    { decoder: { type: "Replace", pattern: { Regex: "(a|a)*$" }, content: "" } },
    "decoder (Replace)",
  ],
  "six replacements": [
    { normalizer: sequence(...Array.from({ length: 6 }, () => replace("a", "a".repeat(10)))) },
    "more than 16 times",
  ],
  "replacements in sequences": [
    { normalizer: sequence(sequence(replace("a", "aaaaa")), sequence(sequence(replace("a", "aaaaa")))) },
    "more than 16 times",
  ],
  "a replacement of nothing": [
    { normalizer: { type: "Replace", pattern: { Regex: "x*" }, content: "y".repeat(99) } },
    "more than 16 times",
  ],
  "a long prefix": [{ normalizer: { type: "Prepend", prepend: "y".repeat(1e6) } }, "Prepend"],
  "a replacement of the decoder": [
    { decoder: { type: "Sequence", decoders: [replace("a", "b".repeat(1000))] } },
    "decoder can make more than 16 times",
  ],
  "a map of characters": [
    { normalizer: { type: "Precompiled", precompiled_charsmap: charsmap("a", "b".repeat(10_000)) } },
    "Precompiled",
  ],
  "a broken map of characters": [
    { normalizer: { type: "Precompiled", precompiled_charsmap: "/////w==" } },
    "precompiled_charsmap is broken",
  ],
  "many normalizers": [
    { normalizer: sequence(...Array.from({ length: 1000 }, () => ({ type: "NFKD" }))) },
    "more than 64 parts",
  ],
  "a template of the text": [
    {
      post_processor: {
        type: "TemplateProcessing",
        single: Array.from({ length: 1000 }, () => ({ Sequence: { id: "A", type_id: 0 } })),
        pair: [],
        special_tokens: {},
      },
    },
    "writes a text 1000 times",
  ],
  "many added tokens": [
    {
      added_tokens: Array.from({ length: 70_000 }, (_, i) => ({
        id: 151_643 + i,
        content: `<${i}>`,
        special: true,
        lstrip: false,
        rstrip: false,
        single_word: false,
        normalized: false,
      })),
    },
    "70000 added_tokens",
  ],
  "a long added token": [
    {
      added_tokens: [
        {
          id: 151_643,
          content: "x".repeat(5000),
          special: true,
          lstrip: false,
          rstrip: false,
          single_word: false,
          normalized: false,
        },
      ],
    },
    "has 5000 characters",
  ],
};

test.each(Object.entries(HOSTILE))("a tokenizer with %s is one paragraph", async (_, [change, says]) => {
  const folder = await folderWith({ "tokenizer.json": JSON.stringify({ ...(await qwen()), ...change }) });
  const message = await userError("bad_tokenizer", () => loadTokenizer(folder));
  expect(message).toContain(`${folder}/tokenizer.json`);
  expect(message).toContain(says);
  expect(message).toContain("where the model came from");
  expect(message).not.toContain("\n");
});

test.each([
  ["Llama 2", sequence({ type: "Prepend", prepend: "▁" }, replace(" ", "▁"))],
  [
    "ALBERT",
    sequence(
      replace("``", '"'),
      replace("''", '"'),
      { type: "NFKD" },
      { type: "StripAccents" },
      { type: "Lowercase" },
      { type: "Precompiled", precompiled_charsmap: charsmap("a", "ﷺ") },
    ),
  ],
  [
    "CLIP",
    sequence(
      { type: "NFC" },
      { type: "Replace", pattern: { Regex: "\\s+" }, content: " " },
      { type: "Lowercase" },
    ),
  ],
])("the normalizer of %s is within bounds", (_, normalizer) => {
  expect(() => refuseCostlyTokenizer({ normalizer, model: {} })).not.toThrow();
});

test.each([
  [String.raw`\s+$`, [String.raw`\s`]],
  ["a+", []],
  ["a++b", ["a"]],
  ["(?>a+)b", ["a"]],
  [".(?=.*)", ["."]],
  ["(?:[ab]+|c)d", ["[ab]"]],
  ["a{0,5000}b", ["a"]],
  ["x|a+b?", []],
])("%s walks in vain over %j", (pattern, inVain) => {
  expect(patternCost(pattern).inVain).toEqual(inVain);
});

const split = (regex: string): unknown => ({
  ...{ type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false },
});

test("on a long ordinary text no published pattern takes the square of anything", () => {
  const words = "The quick brown fox, 1234567 times: é ü 你好世界。 if (x) {\n\treturn;   }\r\n\r\n";
  const text = words.repeat(400);
  for (const [name, pattern] of Object.entries(PUBLISHED)) {
    expect(createRunCheck({ pre_tokenizer: split(pattern) })(text), name).toBeUndefined();
  }
});

test.each<[what: string, parts: object, text: string, refused: boolean]>([
  ["a long run", { pre_tokenizer: split(String.raw`\s+$`) }, `${" ".repeat(9000)}x`, true],
  ["a run of another kind", { pre_tokenizer: split(String.raw`\s+$`) }, "a".repeat(9000), false],
  [
    "runs that are short",
    { pre_tokenizer: split(String.raw`\s+$`) },
    `${" ".repeat(900)}x`.repeat(20),
    false,
  ],
  ["a set", { pre_tokenizer: split("[a-c]+d") }, "abc".repeat(3000), true],
  ["a set in any case", { pre_tokenizer: split("(?i:[a-c]+d)") }, "ABC".repeat(3000), true],
  ["what two sets have", { pre_tokenizer: split(String.raw`[\p{L}&&[^\p{Han}]]+d`) }, "x".repeat(9000), true],
  ["a group", { pre_tokenizer: split(String.raw`\d{1,3}(?=(?:\d{3})*\b)`) }, "7".repeat(9000), true],
  ["what is not known is anything", { pre_tokenizer: split(String.raw`\h+x`) }, "a b ".repeat(3000), true],
  [
    "a pattern of a normalizer",
    { normalizer: { type: "Replace", pattern: { Regex: "b+c" }, content: "" } },
    "ab".repeat(5000),
    true,
  ],
  [
    "a normalizer that may join runs",
    {
      normalizer: { type: "Replace", pattern: { String: "x" }, content: "" },
      pre_tokenizer: split(String.raw`\s+$`),
    },
    " x".repeat(9000),
    true,
  ],
])("%s", (_, parts, text, refused) => {
  expect(createRunCheck(parts)(text) !== undefined).toBe(refused);
});

test("a run that would take too long is the text's error, in a moment; other texts have the library's ids", async () => {
  const file = { ...(await qwen()), pre_tokenizer: split(String.raw`\s+$`) };
  const folder = await folderWith({ "tokenizer.json": JSON.stringify(file) });
  const tokenizer = await loadTokenizer(folder);
  const message = await userError("text_too_costly", () => tokenizer.encode(`a${" ".repeat(500_000)}x`));
  expect(message).toBe(
    String.raw`the tokenizer's pattern \s+$ takes the square of a text's run of \s, and one here has 500,000 characters, more than 8,192. Shorten it, or split the text.`,
  );
  const text = "one two ".repeat(5000);
  const library = RustTokenizer.fromString(JSON.stringify(file));
  expect(await tokenizer.encode(text)).toEqual(
    (await library.encode(text, null, { addSpecialTokens: false })).getIds(),
  );
});
