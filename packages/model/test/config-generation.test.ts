// generation_config.json: stop ids from every spelling, sampling values, and the way back to text.
import { expect, test } from "vitest";
import { parseModelConfig } from "../src/config.js";
import {
  generationConfigFrom,
  generationConfigToJson,
  parseGenerationConfig,
  resolveStopIds,
  stopAlsoAt,
} from "../src/generation-config.js";

const config = parseModelConfig(
  {
    model_type: "qwen2",
    hidden_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    intermediate_size: 8,
    vocab_size: 16,
    eos_token_id: 9,
    pad_token_id: 8,
  },
  "config.json",
);

// The file of Qwen/Qwen2.5-7B-Instruct.
const qwen = {
  bos_token_id: 151643,
  pad_token_id: 151643,
  do_sample: true,
  eos_token_id: [151645, 151643],
  repetition_penalty: 1.05,
  temperature: 0.7,
  top_p: 0.8,
  top_k: 20,
  transformers_version: "4.37.0",
};

test("all end ids and all sampling values are read", () => {
  const generation = parseGenerationConfig(qwen, "g");
  expect(generation).toMatchObject({
    doSample: true,
    repetitionPenalty: 1.05,
    temperature: 0.7,
    topP: 0.8,
    topK: 20,
  });
  expect(generation).toMatchObject({ padTokenId: 151643, bosTokenId: 151643, minP: null });
  expect(resolveStopIds(generation, config)).toEqual([151645, 151643]);
});

test("one end id, none, or no file at all", () => {
  expect(resolveStopIds(parseGenerationConfig({ eos_token_id: 3 }, "g"), config)).toEqual([3]);
  expect(resolveStopIds(parseGenerationConfig({}, "g"), config)).toEqual([9]);
  expect(resolveStopIds(generationConfigFrom(config), config)).toEqual([9]);
  expect(generationConfigFrom(config)).toMatchObject({ eosTokenIds: [9], padTokenId: 8, temperature: null });
});

test("an end that the folder does not name comes first, one that it names changes nothing", () => {
  const generation = parseGenerationConfig({ eos_token_id: 3, top_k: 5 }, "g");
  const stopped = stopAlsoAt([7, 5], generation, config);
  expect(stopped.generationConfig.eosTokenIds).toEqual([7, 5, 3]);
  expect(stopped.config.eosTokenIds).toEqual([7, 5, 9]);
  expect(JSON.parse(generationConfigToJson(stopped.generationConfig))).toEqual({
    eos_token_id: [7, 5, 3],
    top_k: 5,
  });
  expect(stopAlsoAt([5, 7], stopped.generationConfig, stopped.config)).toEqual(stopped);
  expect(stopAlsoAt([3], generation, config)).toEqual({ generationConfig: generation, config });
  // Without a file for it, config.json decides.
  const from = stopAlsoAt([7], parseGenerationConfig({}, "g"), config);
  expect([from.generationConfig.eosTokenIds, from.config.eosTokenIds]).toEqual([
    [7, 9],
    [7, 9],
  ]);
});

test("what is read is written again", () => {
  expect(JSON.parse(generationConfigToJson(parseGenerationConfig(qwen, "g")))).toEqual(qwen);
  const text = generationConfigToJson(
    parseGenerationConfig({ temperature: 1, eos_token_id: [2], top_k: 1 }, "g"),
  );
  expect(text).toBe('{\n  "eos_token_id": 2,\n  "temperature": 1.0,\n  "top_k": 1\n}\n');
});

test.each([
  // vLLM's no limit; none of a token in older files.
  [{ top_k: -1 }, { topK: 0 }],
  [
    { temperature: 0, do_sample: true },
    { temperature: 0, doSample: true },
  ],
  [
    { do_sample: false, temperature: 0.6, top_p: 0.95, top_k: 50 },
    { doSample: false, temperature: 0.6 },
  ],
  [
    { pad_token_id: -1, bos_token_id: -1 },
    { padTokenId: null, bosTokenId: null },
  ],
  [{ eos_token_id: [5, null, 5] }, { eosTokenIds: [5] }],
  [
    { eos_token_id: null, top_k: null, min_p: null, temperature: null },
    { eosTokenIds: [], topK: null, temperature: null },
  ],
  [{ some_future_key: { a: [1] }, cache_implementation: "hybrid" }, { eosTokenIds: [] }],
])("what other programs write is read: %j", (json, expected) => {
  expect(parseGenerationConfig(json, "g")).toMatchObject(expected);
});

test.each([
  [{ top_p: 1.5 }, "top_p must be a number from 0 to 1, but is 1.5"],
  [{ top_k: -2 }, "top_k must be"],
  [{ temperature: "0.7" }, "temperature must be"],
  [{ repetition_penalty: 0 }, "repetition_penalty must be a number above 0"],
  [{ eos_token_id: ["</s>"] }, "eos_token_id must be a token id or a list of token ids, but is a list"],
  [[], "the file must be a JSON object"],
])("refused: %j", (json, text) => {
  expect(() => parseGenerationConfig(json, "m/generation_config.json")).toThrow(
    expect.objectContaining({ code: "bad_generation_config", message: expect.stringContaining(text) }),
  );
});
