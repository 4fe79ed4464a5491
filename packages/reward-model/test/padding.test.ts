// transformers reads a score at the rightmost token that is not the pad id. Whatever a folder pads with, that is the token that we read.
import { choosePadding } from "@posttrain/reward-model";
import { describe, expect, it } from "vitest";

/** Ids of Qwen2.5's tokenizer. */
const tokens: Readonly<Record<string, number>> = {
  Ċ: 198,
  "<|endoftext|>": 151643,
  "<|im_start|>": 151644,
  "<|im_end|>": 151645,
  "<|vision_start|>": 151652,
  "<|vision_pad|>": 151654,
  "<tool_call>": 151657,
};
const tokenizer = (eosToken: string) => ({
  eosToken,
  idOf: (token: string) => tokens[token],
  tokenOf: (id: number) => Object.keys(tokens).find((token) => tokens[token] === id),
  addedTokens: Object.entries(tokens).flatMap(([content, id]) =>
    id < 151643 ? [] : [{ id, content, special: content !== "<tool_call>" }],
  ),
});
const file = (json: object): Uint8Array => Buffer.from(JSON.stringify(json));
const read = (bytes: Uint8Array | undefined) => JSON.parse(String(bytes));
const sequence = (...ids: number[]): Int32Array => Int32Array.from(ids);

/** transformers 4 and 5, Qwen2ForSequenceClassification: the place of the score in a row of a padded batch. */
function transformersReads(ids: readonly number[], pad: number): number {
  return ids.findLastIndex((id) => id !== pad);
}

/** Padded on the right or the left to 12 tokens, as tokenizers do. */
function expectPooling(sequences: readonly Int32Array[], pad: number): void {
  for (const ids of sequences) {
    const padding = Array.from({ length: 12 - ids.length }, () => pad);
    expect(transformersReads([...ids, ...padding], pad)).toBe(ids.length - 1);
    expect(transformersReads([...padding, ...ids], pad)).toBe(11);
  }
}

describe("the pad token", () => {
  const base = { eosTokenIds: [151643], padTokenId: null, vocabSize: 151936 };
  const named = { "tokenizer_config.json": file({ pad_token: "<|endoftext|>", model_max_length: 1e30 }) };

  it("of a base Qwen2.5, which is the end of every text, gives way to one that ends nothing", () => {
    const texts = [sequence(1, 2, 151643), sequence(5, 151643)];
    const padding = choosePadding(base, tokenizer("<|endoftext|>"), named, texts);
    expect(padding).toMatchObject({ id: 151654, token: "<|vision_pad|>", instead: "<|endoftext|>" });
    expectPooling(texts, padding.id);
    // What pads a batch asks the tokenizer: it says the same.
    expect(Object.keys(padding.files)).toEqual(["tokenizer_config.json"]);
    expect(read(padding.files["tokenizer_config.json"])).toEqual({
      pad_token: "<|vision_pad|>",
      model_max_length: 1e30,
    });
    // The one that was there fails.
    expect(transformersReads([...texts[0]!, 151643, 151643], 151643)).toBe(1);
  });

  it("of a chat model stays: its turns end in <|im_end|> and a line feed", () => {
    const chat = { ...base, eosTokenIds: [151645], padTokenId: 151643 };
    const turns = [sequence(1, 2, 151645, 198)];
    const padding = choosePadding(chat, tokenizer("<|im_end|>"), named, turns);
    expect(padding).toEqual({ id: 151643, token: "<|endoftext|>", instead: undefined, files: {} });
    expectPooling(turns, padding.id);
  });

  it("is none that ends a row of these, nor what stands before a line feed at its end", () => {
    const chat = { ...base, eosTokenIds: [], padTokenId: 151645 };
    const companions = {
      "tokenizer_config.json": file({ pad_token: { content: "<|im_end|>", special: true } }),
      "special_tokens_map.json": file({ pad_token: "<|im_end|>", eos_token: "<|im_end|>" }),
    };
    const rows = [sequence(1, 151645, 198), sequence(1, 151654)];
    const padding = choosePadding(chat, tokenizer("<|endoftext|>"), companions, rows);
    expect(padding).toMatchObject({ id: 151644, instead: "<|im_end|>" });
    expectPooling(rows, padding.id);
    expect(read(padding.files["special_tokens_map.json"])).toEqual({
      pad_token: "<|im_start|>",
      eos_token: "<|im_end|>",
    });
  });

  it("is named where nothing named one, and needs no tokenizer", () => {
    const unnamed = { "tokenizer_config.json": file({ eos_token: "<|im_end|>" }) };
    const padding = choosePadding({ ...base, eosTokenIds: [151645] }, tokenizer("<|im_end|>"), unnamed, [
      sequence(1),
    ]);
    expect(read(padding.files["tokenizer_config.json"]).pad_token).toBe(padding.token);
    const bare = { eosTokenIds: [2], padTokenId: null, vocabSize: 8 };
    expect(choosePadding(bare, undefined, {}, [sequence(3, 7)])).toEqual({
      id: 6,
      token: undefined,
      instead: undefined,
      files: {},
    });
    // A pad of config.json that a row ends in gives way too.
    const rows = [sequence(1, 0), sequence(4, 2)];
    const other = choosePadding({ ...bare, padTokenId: 0 }, undefined, {}, rows);
    expect(other).toMatchObject({ id: 7, instead: "id 0" });
    expectPooling(rows, other.id);
  });
});
