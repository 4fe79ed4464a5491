// config.json: published sizes, both spellings, what is refused, and YaRN against recorded and published numbers.
import { readFileSync } from "node:fs";
import { UserError } from "@posttrain/data";
import { describe, expect, test } from "vitest";
import { parameterCount, parameterShapes, parseModelConfig, ropeFrequencies, toJson } from "../src/config.js";

const fixture = (name: string) =>
  JSON.parse(readFileSync(new URL(`fixtures/qwen2-configs/${name}.json`, import.meta.url), "utf8"));
const expected = fixture("expected");
const variants = ["tied", "untied", "yarn", "headdim"] as const;

// The keys of Qwen/Qwen2.5-7B-Instruct.
const qwen7b = {
  architectures: ["Qwen2ForCausalLM"],
  attention_dropout: 0.0,
  bos_token_id: 151643,
  eos_token_id: 151645,
  hidden_act: "silu",
  hidden_size: 3584,
  initializer_range: 0.02,
  intermediate_size: 18944,
  max_position_embeddings: 32768,
  max_window_layers: 28,
  model_type: "qwen2",
  num_attention_heads: 28,
  num_hidden_layers: 28,
  num_key_value_heads: 4,
  rms_norm_eps: 1e-6,
  rope_theta: 1000000.0,
  sliding_window: 131072,
  tie_word_embeddings: false,
  torch_dtype: "bfloat16",
  transformers_version: "4.43.1",
  use_cache: true,
  use_sliding_window: false,
  vocab_size: 152064,
};

const parse = (changes: Readonly<Record<string, unknown>> = {}) =>
  parseModelConfig({ ...qwen7b, ...changes }, "m/config.json");

function refusal(changes: Readonly<Record<string, unknown>>): UserError {
  try {
    parse(changes);
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error(`accepted ${JSON.stringify(changes)}`);
}

describe("shapes", () => {
  // layers, heads, key-value heads, hidden, FFN, tied, vocabulary rows (technical report, table 1), and the number of
  // parameters that each published folder states.
  test.each([
    ["0.5B", 24, 14, 2, 896, 4864, true, 151936, 494_032_768],
    ["1.5B", 28, 12, 2, 1536, 8960, true, 151936, 1_543_714_304],
    ["3B", 36, 16, 2, 2048, 11008, true, 151936, 3_085_938_688],
    ["7B", 28, 28, 4, 3584, 18944, false, 152064, 7_615_616_512],
    ["14B", 48, 40, 8, 5120, 13824, false, 152064, 14_770_033_664],
    ["32B", 64, 40, 8, 5120, 27648, false, 152064, 32_763_876_352],
    ["72B", 80, 64, 8, 8192, 29568, false, 152064, 72_706_203_648],
  ] as const)("Qwen2.5-%s", (_, layers, heads, kvHeads, hidden, inner, tied, vocab, parameters) => {
    const config = parse({
      num_hidden_layers: layers,
      num_attention_heads: heads,
      num_key_value_heads: kvHeads,
      hidden_size: hidden,
      intermediate_size: inner,
      tie_word_embeddings: tied,
      vocab_size: vocab,
    });
    expect(config.headDim).toBe(hidden / heads);
    expect(parameterCount(config)).toBe(parameters);
    expect(parameterShapes(config).has("lm_head.weight")).toBe(!tied);
  });

  test("an explicit head_dim shapes the projections; names come in the order of the modules", () => {
    const shapes = parameterShapes(parseModelConfig(fixture("headdim"), "c"));
    expect([...shapes]).toEqual([
      ["model.embed_tokens.weight", [320, 64]],
      ["model.layers.0.self_attn.q_proj.weight", [128, 64]],
      ["model.layers.0.self_attn.q_proj.bias", [128]],
      ["model.layers.0.self_attn.k_proj.weight", [64, 64]],
      ["model.layers.0.self_attn.k_proj.bias", [64]],
      ["model.layers.0.self_attn.v_proj.weight", [64, 64]],
      ["model.layers.0.self_attn.v_proj.bias", [64]],
      ["model.layers.0.self_attn.o_proj.weight", [64, 128]],
      ["model.layers.0.mlp.gate_proj.weight", [160, 64]],
      ["model.layers.0.mlp.up_proj.weight", [160, 64]],
      ["model.layers.0.mlp.down_proj.weight", [64, 160]],
      ["model.layers.0.input_layernorm.weight", [64]],
      ["model.layers.0.post_attention_layernorm.weight", [64]],
      ["model.norm.weight", [64]],
    ]);
  });

  test("layers are in the order of their numbers, not of their digits", () => {
    const names = [...parameterShapes(parse()).keys()].filter((name) => name.endsWith("q_proj.bias"));
    expect(names[10]).toBe("model.layers.10.self_attn.q_proj.bias");
    expect([...parameterShapes(parse()).keys()].at(-1)).toBe("lm_head.weight");
  });
});

describe("rotary frequencies", () => {
  test.each(variants)("agree with the recorded ones: %s", (variant) => {
    const { inverseFrequencies, scale } = ropeFrequencies(parseModelConfig(fixture(variant), "c"));
    const want: number[] = expected[variant].rope_inv_freq;
    expect(inverseFrequencies.length).toBe(want.length);
    want.forEach((value, i) => {
      expect(Math.abs((inverseFrequencies[i] ?? Number.NaN) / value - 1)).toBeLessThan(1e-12);
    });
    expect(Math.abs(scale - expected[variant].rope_cos_sin_factor)).toBeLessThan(1e-12);
  });

  // From the formulas of arXiv 2309.00071 at d = 128, b = 1e6, L = 32768, s = 4: low 23, high 40; ten digits.
  test("YaRN of Qwen2.5-7B", () => {
    const yarn = { type: "yarn", factor: 4.0, original_max_position_embeddings: 32768 };
    const { inverseFrequencies, scale } = ropeFrequencies(parse({ rope_scaling: yarn }));
    const table = { 0: 1, 23: 6.978305849e-3, 24: 5.375321491e-3, 31: 8.029597275e-4, 39: 6.490394321e-5 };
    for (const [i, value] of Object.entries({ ...table, 40: 4.445698525e-5, 63: 3.102344402e-7 })) {
      expect(Math.abs((inverseFrequencies[Number(i)] ?? Number.NaN) / value - 1)).toBeLessThan(2e-10);
    }
    expect(Math.abs(scale - 1.1386294361)).toBeLessThan(1e-10);
  });

  const scaleOf = (more: Readonly<Record<string, unknown>>) =>
    ropeFrequencies(
      parse({ rope_scaling: { type: "yarn", factor: 4, original_max_position_embeddings: 8192, ...more } }),
    );

  test("an attention_factor is taken as it is; mscale and mscale_all_dim divide", () => {
    expect(scaleOf({ attention_factor: 1.5 }).scale).toBe(1.5);
    const ratio = (0.1 * 2 * Math.log(4) + 1) / (0.1 * 0.5 * Math.log(4) + 1);
    expect(scaleOf({ mscale: 2, mscale_all_dim: 0.5 }).scale).toBe(ratio);
    expect(scaleOf({ mscale: 2 }).scale).toBe(scaleOf({}).scale);
  });

  test("beta_fast, beta_slow and truncate move the ramp", () => {
    const c = (rotations: number) => (128 * Math.log(8192 / (rotations * 2 * Math.PI))) / (2 * Math.log(1e6));
    const at = (i: number, low: number, high: number) => {
      const ramp = Math.min(Math.max((i - low) / (high - low), 0), 1);
      return 1e6 ** ((-2 * i) / 128) * (ramp / 4 + 1 - ramp);
    };
    const i = 20;
    expect(scaleOf({ truncate: false }).inverseFrequencies[i]).toBeCloseTo(at(i, c(32), c(1)), 14);
    expect(scaleOf({ beta_fast: 64, beta_slow: 2 }).inverseFrequencies[i]).toBeCloseTo(
      at(i, Math.floor(c(64)), Math.ceil(c(2))),
      14,
    );
  });

  test("without an original length the present one counts, without a factor the ratio of both", () => {
    expect(parse({ rope_scaling: { type: "yarn", factor: 2 } }).yarn?.originalMaxPositionEmbeddings).toBe(
      32768,
    );
    const scaling = { rope_type: "yarn", original_max_position_embeddings: 8192 };
    expect(parse({ rope_scaling: scaling }).yarn?.factor).toBe(4);
  });
});

describe("spellings", () => {
  test.each(variants)("transformers 5's keys mean the same: %s", (variant) => {
    const { rope_theta: _, rope_scaling: __, torch_dtype: ___, ...rest } = fixture(variant);
    const old = parseModelConfig(fixture(variant), "c");
    const json = { ...rest, ...expected[variant].config_as_transformers_5_writes_it, sliding_window: null };
    expect({ ...parseModelConfig(json, "c"), raw: {} }).toEqual({ ...old, raw: {} });
  });

  test("null and absent keys mean transformers' defaults", () => {
    const { rope_theta: _, rms_norm_eps: __, tie_word_embeddings: ___, hidden_act: ____, ...rest } = qwen7b;
    const config = parseModelConfig(
      { ...rest, num_key_value_heads: null, rope_scaling: null, head_dim: null },
      "c",
    );
    expect(config).toMatchObject({ ropeTheta: 10_000, rmsNormEps: 1e-6, tieWordEmbeddings: false });
    expect(config).toMatchObject({ kvHeads: 28, headDim: 128, yarn: null });
  });

  test("one id or a list of them", () => {
    expect(parse().eosTokenIds).toEqual([151645]);
    expect(parse({ eos_token_id: [151645, 151643, 151645] }).eosTokenIds).toEqual([151645, 151643]);
    expect(parse({ eos_token_id: null, bos_token_id: null })).toMatchObject({
      eosTokenIds: [],
      bosTokenId: null,
    });
  });

  test("a sliding window that is off", () => {
    const layer_types = new Array(28).fill("full_attention");
    expect(parse({ use_sliding_window: true, layer_types }).layers).toBe(28);
    expect(parse({ sliding_window: null }).layers).toBe(28);
  });
});

describe("refused", () => {
  test.each([
    [{ hidden_size: "3584" }, 'hidden_size must be a whole number from 1 to 131072, but is "3584"'],
    [{ hidden_size: undefined }, "hidden_size is missing"],
    [{ num_hidden_layers: 0 }, "num_hidden_layers must be"],
    [
      { num_hidden_layers: 1e9 },
      "num_hidden_layers must be a whole number from 1 to 2048, but is 1000000000",
    ],
    [{ vocab_size: 2 ** 31 - 1 }, "vocab_size must be a whole number from 1 to 4194304"],
    [{ intermediate_size: 2 ** 31 - 1 }, "intermediate_size must be"],
    [{ vocab_size: 1.5 }, "vocab_size must be"],
    [{ intermediate_size: 2 ** 40 }, "intermediate_size must be"],
    [{ num_key_value_heads: undefined }, "num_key_value_heads is missing"],
    [{ num_key_value_heads: 5 }, "num_attention_heads (28) must be a multiple of num_key_value_heads (5)"],
    [{ hidden_size: 3585 }, "hidden_size (3585) must be a multiple of num_attention_heads (28)"],
    [{ head_dim: 63 }, "head_dim is 63, but must be even"],
    [{ hidden_size: 28 * 3 }, "hidden_size / num_attention_heads (84 / 28) is 3, but must be even"],
    [{ rms_norm_eps: 0 }, "rms_norm_eps must be a number above 0, but is 0"],
    [{ rms_norm_eps: Number.POSITIVE_INFINITY }, "rms_norm_eps must be"],
    [{ tie_word_embeddings: 1 }, "tie_word_embeddings must be true or false, but is 1"],
    [{ rope_theta: -1 }, "rope_theta must be a number above 1"],
    [{ rope_scaling: "yarn" }, 'rope_scaling must be an object or null, but is "yarn"'],
    [{ rope_scaling: { type: "yarn", factor: 0.5 } }, "rope_scaling.factor must be a number from 1"],
    [{ rope_scaling: { type: "yarn", factor: 2, beta_fast: 0.5 } }, "beta_fast (0.5) at least beta_slow (1)"],
    [{ rope_parameters: { full_attention: { rope_theta: 1e6 } } }, "rope_parameters.full_attention must be"],
    [{ partial_rotary_factor: 0.5 }, "partial_rotary_factor must be 1"],
    [{ hidden_act: "gelu" }, 'hidden_act must be "silu"'],
    [{ attention_dropout: 0.1 }, "attention_dropout must be 0"],
    [
      { eos_token_id: -1 },
      "eos_token_id must be a token id (a whole number from 0 to 2147483647), but is -1",
    ],
    [{ layer_types: ["full_attention"] }, "layer_types has 1 entries, but num_hidden_layers is 28"],
    [{ quantization_config: { quant_method: "awq" } }, "quantization_config must be absent"],
    [{ architectures: undefined, model_type: undefined }, "neither architectures nor model_type"],
  ])("%j", (changes, text) => {
    const { code, message } = refusal(changes);
    expect(code).toBe("bad_config");
    expect(message).toContain("m/config.json: ");
    expect(message).toContain(text);
  });

  test.each([
    [{ architectures: ["LlamaForCausalLM"], model_type: "llama" }, "LlamaForCausalLM"],
    [{ architectures: ["Qwen2ForTokenClassification"] }, "Supported are Qwen2ForCausalLM"],
    [{ model_type: "qwen2_moe" }, "qwen2_moe"],
    [
      { use_sliding_window: true },
      "use_sliding_window is true, but sliding-window attention is not supported",
    ],
    [{ layer_types: new Array(28).fill("sliding_attention") }, 'layer_types contains "sliding_attention"'],
    [{ rope_scaling: { type: "mrope" } }, 'rope_scaling has the type "mrope"'],
    [
      { rope_parameters: { rope_type: "llama3" }, rope_scaling: null },
      'rope_parameters has the type "llama3"',
    ],
  ])("unsupported: %j", (changes, text) => {
    const { code, message } = refusal(changes);
    expect(code).toBe("unsupported_model");
    expect(message).toContain(text);
  });

  test.each([[null], [[]], ["{}"], [7]])("not an object: %j", (json) => {
    expect(() => parseModelConfig(json, "c")).toThrow("the file must be a JSON object");
  });

  test("many problems: five are told, the rest is counted", () => {
    const keys = [
      "hidden_size",
      "num_hidden_layers",
      "num_attention_heads",
      "vocab_size",
      "intermediate_size",
    ];
    const changes = Object.fromEntries([...keys, "rms_norm_eps", "rope_theta"].map((key) => [key, "x"]));
    expect(refusal(changes).message).toMatch(/; and 2 more\.$/);
  });

  test("a value that is nested too deeply to be printed", () => {
    const deep = JSON.parse("[".repeat(100_000) + "]".repeat(100_000));
    expect(refusal({ hidden_size: deep }).message).toContain("but is a list");
  });
});

describe("written", () => {
  test.each(variants)("a config reads back as itself, whichever spelling it came in: %s", (variant) => {
    const { rope_theta: _, rope_scaling: __, ...rest } = fixture(variant);
    for (const json of [
      fixture(variant),
      { ...rest, ...expected[variant].config_as_transformers_5_writes_it },
    ]) {
      const config = parseModelConfig(json, "c");
      const again = JSON.parse(toJson(config));
      expect({ ...parseModelConfig(again, "c"), raw: {} }).toEqual({ ...config, raw: {} });
      expect(Object.keys(again)).not.toContain("rope_parameters");
      expect(again.torch_dtype).toBe("float32");
    }
  });

  test("the keys of a published folder come back unchanged, unknown ones too", () => {
    const extra = {
      dual_chunk_attention_config: { chunk_size: 262144 },
      _name_or_path: "Qwen/x",
      use_mrope: false,
    };
    expect(JSON.parse(toJson(parse(extra)))).toEqual({ ...qwen7b, ...extra });
  });

  test("a changed config is written as it is now, not as it was read", () => {
    const layer_types = new Array(28).fill("full_attention");
    const changed = { ...parse({ layer_types }), layers: 2, headDim: 64, tieWordEmbeddings: true };
    expect({ ...parseModelConfig(JSON.parse(toJson(changed)), "c"), raw: {} }).toEqual({
      ...changed,
      raw: {},
    });
  });

  test("numbers that Python reads as floats keep their point", () => {
    const yarn = { type: "yarn", factor: 4, original_max_position_embeddings: 8192 };
    const text = toJson(parse({ rope_scaling: yarn, note: '"factor": 3' }));
    expect(text).toContain('    "factor": 4.0,\n');
    expect(text).toContain('  "rope_theta": 1000000.0,\n');
    expect(JSON.parse(text).note).toBe('"factor": 3');
  });

  test("YaRN's less usual parameters survive", () => {
    const scaling = {
      type: "yarn",
      factor: 4,
      beta_fast: 64,
      beta_slow: 2,
      attention_factor: 1.25,
      truncate: false,
    };
    const config = parse({ rope_scaling: scaling });
    expect(parseModelConfig(JSON.parse(toJson(config)), "c").yarn).toEqual(config.yarn);
  });
});
