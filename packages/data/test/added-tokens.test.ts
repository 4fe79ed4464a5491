// tokenizer_config.json's added_tokens_decoder beside tokenizer.json: as transformers takes them (ids seen with transformers 4.57.1), or a
// contradiction that is named.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { loadTokenizer } from "../src/tokenizer.js";
import { folderWith, QWEN25_DIR, userError } from "./support/qwen25.js";

const text = await readFile(join(QWEN25_DIR, "tokenizer.json"), "utf8");
const file = JSON.parse(text);
const size = 151_665;
const token = (content: string, flags = {}) => ({
  ...{ content, lstrip: false, rstrip: false, normalized: false, single_word: false, special: true },
  ...flags,
});
const own = Object.fromEntries(
  // biome-ignore lint/suspicious/noExplicitAny: a tokenizer's JSON
  file.added_tokens.map(({ id, ...rest }: any) => [id, rest]),
);

const load = async (decoder: object, tokens = file.added_tokens) =>
  loadTokenizer(
    await folderWith({
      "tokenizer.json": JSON.stringify({ ...file, added_tokens: tokens }),
      "tokenizer_config.json": JSON.stringify({ eos_token: "<|im_end|>", added_tokens_decoder: decoder }),
    }),
  );

it("what both files say changes nothing, the digest neither", async () => {
  const without = await loadTokenizer(
    await folderWith({
      "tokenizer.json": JSON.stringify(file),
      "tokenizer_config.json": JSON.stringify({ eos_token: "<|im_end|>" }),
    }),
  );
  const both = await load(own);
  expect([both.digest, both.size]).toEqual([without.digest, size]);
});

it("tokens that are only there are added, in the order of their ids, whatever the order of the file", async () => {
  const tokenizer = await load({
    ...own,
    [size + 1]: token("<extra>"),
    [size]: token("<tool>", { special: false }),
  });
  expect(tokenizer.size).toBe(size + 2);
  expect(await tokenizer.encode("x<tool>y<extra><|im_end|>")).toEqual([87, size, 88, size + 1, 151_645]);
  expect([size, size + 1].map((id) => [tokenizer.tokenOf(id), tokenizer.isSpecial(id)])).toEqual([
    ["<tool>", false],
    ["<extra>", true],
  ]);
  expect(tokenizer.digest).not.toBe((await load(own)).digest);
  // The decoder alone may name them.
  expect((await load({ [size]: token("<tool>") })).idOf("<tool>")).toBe(size);
});

it("a token that tokenizer.json lacks at the end of its list is put back", async () => {
  const last = file.added_tokens.at(-1);
  const tokenizer = await load(own, file.added_tokens.slice(0, -1));
  expect(await tokenizer.encode(last.content)).toEqual([last.id]);
});

it("flags that differ are those of the config; a word of the vocabulary can become an added token", async () => {
  const tokenizer = await load({ ...own, 151657: token("<tool_call>"), 9707: token("Hello") });
  expect(tokenizer.isSpecial(151_657)).toBe(true);
  expect(tokenizer.decode(await tokenizer.encode("a<tool_call>b"), { skipSpecialTokens: true })).toBe("ab");
  expect(await tokenizer.encode("HelloHello")).toEqual([9707, 9707]);
  expect(tokenizer.size).toBe(size);
});

it.each<[what: string, decoder: object, text: string]>([
  ["another id", { 5: token("<|im_end|>") }, "gives <|im_end|> the id 5, but in tokenizer.json it is 151645"],
  [
    "another content",
    { 151645: token("<|eot|>") },
    "gives <|eot|> the id 151645, which is <|im_end|> in tokenizer.json",
  ],
  [
    "a gap",
    { 151700: token("<far>") },
    "gives <far> the id 151700, but tokenizer.json has ids up to 151664, so that the next token is 151665",
  ],
  ["no token", { 151665: "<tool>" }, "added_tokens_decoder.151665 is no added token"],
  ["no id", { eos: token("<tool>") }, "added_tokens_decoder.eos is no added token"],
])("refused: %s", async (_what, decoder, said) => {
  expect(await userError("bad_tokenizer", () => load(decoder))).toContain(said);
});
