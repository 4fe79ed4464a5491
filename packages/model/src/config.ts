/**
 * config.json of a Qwen2ForCausalLM or Qwen2ForSequenceClassification folder (a language model, a reward model), read and written.
 *
 * Both spellings are read: `rope_theta` and `rope_scaling` at the top (transformers 4, every published Qwen2.5
 * folder) and `rope_parameters` (transformers 5). One is written, the older, because transformers 5 and
 * llama.cpp read it as well. Missing keys mean what transformers' Qwen2Config takes for them. What this model
 * cannot compute (a sliding window, quantised weights, another activation) is refused here, by its key.
 * Shapes: Qwen2.5 technical report (arXiv 2412.15115), table 1. YaRN: arXiv 2309.00071.
 */
import { UserError } from "@posttrain/data";
import { z } from "zod";

/** How YaRN stretches the rotary frequencies; see {@link ropeFrequencies}. */
export interface Yarn {
  readonly factor: number;
  readonly originalMaxPositionEmbeddings: number;
  /** Rotations over the original length above which a dimension keeps its frequency. */
  readonly betaFast: number;
  /** Rotations over the original length below which a dimension is divided by `factor`. */
  readonly betaSlow: number;
  /** Multiplies cos and sin. */
  readonly attentionFactor: number;
  /** Whether the two boundaries are rounded outwards to whole dimensions. */
  readonly truncate: boolean;
}

/** What a reward model has in place of a language model's head: hidden states to scores, without a bias. */
export interface ScoreHead {
  /** The names of its scores (`id2label`), as many as `score.weight` has rows. Of a reward model: one. */
  readonly labels: readonly string[];
  /**
   * Heads of which the one score is the weighted sum (`score_heads`, a key of our own), in the order of the rows of `heads.weight`; none
   * where the score was trained by itself.
   */
  readonly heads: readonly { readonly name: string; readonly weight: number }[];
}

export interface Qwen2Config {
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  /** Rows of the embedding: often more than the tokenizer has tokens. */
  readonly vocabSize: number;
  readonly maxPositionEmbeddings: number;
  readonly rmsNormEps: number;
  readonly tieWordEmbeddings: boolean;
  /** Null: a language model. */
  readonly score: ScoreHead | null;
  readonly ropeTheta: number;
  readonly yarn: Yarn | null;
  /** Standard deviation of freshly made weights. */
  readonly initializerRange: number;
  readonly bosTokenId: number | null;
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | null;
  /** `torch_dtype` as the file has it, such as "bfloat16": a remark; the tensors carry their own type. */
  readonly torchDtype: string | null;
  /** The file as it was read: keys that are unknown here survive {@link toJson}. */
  readonly raw: Readonly<Record<string, unknown>>;
}

const countText = "a whole number from 1 to 2147483647";
const count = z.number(countText).int(countText).min(1, countText).max(2147483647, countText);
/** Some ten times what the largest models have: what is beyond is no size of a model, and each layer has a dozen names. */
const sizeUpTo = (most: number) => {
  const text = `a whole number from 1 to ${most}`;
  return z.number(text).int(text).min(1, text).max(most, text);
};
const idText = "a token id (a whole number from 0 to 2147483647)";
const id = z.number(idText).int(idText).min(0, idText).max(2147483647, idText);
const positiveText = "a number above 0";
const positive = z.number(positiveText).gt(0, positiveText);
const thetaText = "a number above 1";
const theta = z.number(thetaText).gt(1, thetaText);
const flag = z.boolean("true or false");
/** One token id, a list of them, or null: `eos_token_id` in config.json and generation_config.json. */
export const tokenIds = z
  .union([id, z.array(id.nullable())], "a token id or a list of token ids")
  .nullish()
  .transform((ids): readonly number[] => [
    ...new Set((Array.isArray(ids) ? ids : [ids]).filter((value) => value != null)),
  ]);
/** One token id, or none: null, and -1 in older files. */
export const tokenId = z
  .union([id, z.literal(-1)], idText)
  .nullish()
  .transform((value) => (value === -1 ? null : (value ?? null)));

const singleValue = z.union(
  [z.string(), z.number(), z.boolean(), z.null()],
  "a single value (rotary parameters by layer type are not supported)",
);
const ropeScaling = z
  .object(
    {
      type: z.string("a string").nullish(),
      rope_type: z.string("a string").nullish(),
      rope_theta: theta.nullish(),
      partial_rotary_factor: z.literal(1, "1 (rotation of part of a head is not supported)").nullish(),
      factor: z.number("a number from 1").min(1, "a number from 1").nullish(),
      original_max_position_embeddings: count.nullish(),
      beta_fast: positive.nullish(),
      beta_slow: positive.nullish(),
      attention_factor: positive.nullish(),
      mscale: z.number("a number").nullish(),
      mscale_all_dim: z.number("a number").nullish(),
      truncate: flag.nullish(),
    },
    "an object or null",
  )
  .catchall(singleValue);

const schema = z.looseObject(
  {
    hidden_size: sizeUpTo(1 << 17),
    num_hidden_layers: sizeUpTo(2048),
    num_attention_heads: sizeUpTo(2048),
    num_key_value_heads: sizeUpTo(2048).nullable(),
    head_dim: sizeUpTo(1 << 14).nullish(),
    intermediate_size: sizeUpTo(1 << 20),
    vocab_size: sizeUpTo(1 << 22),
    max_position_embeddings: count.default(32768),
    rms_norm_eps: positive.default(1e-6),
    tie_word_embeddings: flag.default(false),
    initializer_range: positive.default(0.02),
    rope_theta: theta.nullish(),
    rope_scaling: ropeScaling.nullish(),
    rope_parameters: ropeScaling.nullish(),
    partial_rotary_factor: z.literal(1, "1 (rotation of part of a head is not supported)").nullish(),
    hidden_act: z.literal("silu", '"silu", the only activation that is supported').default("silu"),
    attention_dropout: z.literal(0, "0 (attention dropout is not supported)").nullish(),
    use_sliding_window: flag.nullish(),
    layer_types: z.array(z.string("a string"), "a list with one entry for each layer").nullish(),
    use_mrope: z.literal(false, "false (multimodal rotary positions are not supported)").nullish(),
    quantization_config: z
      .null("absent (quantised weights are not supported: take the folder in bfloat16, float16 or float32)")
      .optional(),
    bos_token_id: tokenId,
    eos_token_id: tokenIds,
    pad_token_id: tokenId,
    torch_dtype: z.string("a string").nullish(),
    dtype: z.string("a string").nullish(),
  },
  "a JSON object",
);

const labelCount = sizeUpTo(1 << 16);
const scoreSchema = z.looseObject(
  {
    num_labels: labelCount.nullish(),
    id2label: z.record(z.string(), z.string("a string"), "an object of numbers and names").nullish(),
    score_heads: z
      .array(
        z.strictObject(
          { name: z.string("a string"), weight: z.number("a finite number") },
          "an object with name and weight",
        ),
        "a list",
      )
      .nullish(),
  },
  "a JSON object",
);

/**
 * The config that `json`, the parsed content of `file`, describes.
 * @throws UserError `bad_config` for a key that is missing, of a wrong type, out of range or in conflict with
 * another; `unsupported_model` for an architecture that cannot be read or a sliding window.
 */
export function parseModelConfig(json: unknown, file: string): Qwen2Config {
  const architecture = architectureOf(json, file);
  const raw = parseWith(schema, json, file, "bad_config");
  const bad = (text: string) => new UserError("bad_config", `${file}: ${text}`);

  const { hidden_size: hiddenSize, num_attention_heads: heads, num_hidden_layers: layers } = raw;
  const kvHeads = raw.num_key_value_heads ?? heads;
  if (heads % kvHeads !== 0) {
    throw bad(
      `num_attention_heads (${heads}) must be a multiple of num_key_value_heads (${kvHeads}): each key-value head ` +
        "serves the same number of query heads. Correct the one that does not fit the weights.",
    );
  }
  if (raw.head_dim == null && hiddenSize % heads !== 0) {
    throw bad(
      `hidden_size (${hiddenSize}) must be a multiple of num_attention_heads (${heads}), or head_dim must be given.`,
    );
  }
  const headDim = raw.head_dim ?? hiddenSize / heads;
  if (headDim % 2 !== 0) {
    const where =
      raw.head_dim == null ? `hidden_size / num_attention_heads (${hiddenSize} / ${heads})` : "head_dim";
    throw bad(`${where} is ${headDim}, but must be even: rotary positions turn pairs of dimensions.`);
  }
  refuseSlidingWindow(raw.use_sliding_window ?? false, raw.layer_types ?? null, layers, file);

  const scalingKey = raw.rope_scaling != null ? "rope_scaling" : "rope_parameters";
  const scaling = raw[scalingKey] ?? {};
  return {
    hiddenSize,
    layers,
    heads,
    kvHeads,
    headDim,
    intermediateSize: raw.intermediate_size,
    vocabSize: raw.vocab_size,
    maxPositionEmbeddings: raw.max_position_embeddings,
    rmsNormEps: raw.rms_norm_eps,
    tieWordEmbeddings: raw.tie_word_embeddings,
    score: architecture === scoring ? parseScoreHead(json, file) : null,
    ropeTheta: scaling.rope_theta ?? raw.rope_theta ?? raw.rope_parameters?.rope_theta ?? 10_000,
    yarn: parseYarn(scaling, scalingKey, raw.max_position_embeddings, file),
    initializerRange: raw.initializer_range,
    bosTokenId: raw.bos_token_id,
    eosTokenIds: raw.eos_token_id,
    padTokenId: raw.pad_token_id,
    torchDtype: raw.torch_dtype ?? raw.dtype ?? null,
    raw: json as Readonly<Record<string, unknown>>,
  };
}

/**
 * The rotary angle of each pair of dimensions per position (headDim / 2 values, radians), and the factor on cos
 * and sin (scores grow by its square). YaRN acts at every length, the original ones too, and stretches by the
 * `factor` of the file even where max_position_embeddings says another ratio (as transformers does).
 */
export function ropeFrequencies(config: Qwen2Config): {
  readonly inverseFrequencies: Float64Array;
  readonly scale: number;
} {
  const { headDim, ropeTheta, yarn } = config;
  const plain = Float64Array.from({ length: headDim / 2 }, (_, i) => ropeTheta ** ((-2 * i) / headDim));
  if (yarn === null) return { inverseFrequencies: plain, scale: 1 };

  // The dimension that turns `rotations` times over the original length.
  const dimension = (rotations: number) =>
    (headDim * Math.log(yarn.originalMaxPositionEmbeddings / (rotations * 2 * Math.PI))) /
    (2 * Math.log(ropeTheta));
  const [fast, slow] = [dimension(yarn.betaFast), dimension(yarn.betaSlow)];
  const low = Math.max(yarn.truncate ? Math.floor(fast) : fast, 0);
  const high = Math.min(yarn.truncate ? Math.ceil(slow) : slow, headDim - 1);
  const width = high === low ? 0.001 : high - low;
  const inverseFrequencies = plain.map((frequency, i) => {
    const stretched = Math.min(Math.max((i - low) / width, 0), 1);
    return stretched * (frequency / yarn.factor) + (1 - stretched) * frequency;
  });
  return { inverseFrequencies, scale: yarn.attentionFactor };
}

/** The score of a sequence is this times the hidden state of its last token: transformers' name. */
export const scoreWeight = "score.weight";
/** The heads of which it is the weighted sum: a parameter of our own, in a file of its own. */
export const headsWeight = "heads.weight";

/**
 * Every stored parameter under its Hugging Face name, with its shape (linear weights are [out, in]), in the order
 * of torch's `named_parameters`: the embedding, the layers by number (q, k and v with their biases, o, gate, up,
 * down, the two norms), the last norm, and lm_head.weight unless it is tied; a reward model's score.weight instead, and heads.weight
 * where that is a sum of heads. This order is the canonical one: whatever is laid out by parameter (arenas, optimizer state) follows it.
 */
export function parameterShapes(config: Qwen2Config): ReadonlyMap<string, readonly number[]> {
  const { hiddenSize: hidden, intermediateSize: inner, vocabSize } = config;
  const [q, kv] = [config.heads * config.headDim, config.kvHeads * config.headDim];
  const shapes = new Map<string, readonly number[]>([["model.embed_tokens.weight", [vocabSize, hidden]]]);
  for (let i = 0; i < config.layers; i++) {
    const layer = `model.layers.${i}`;
    shapes.set(`${layer}.self_attn.q_proj.weight`, [q, hidden]);
    shapes.set(`${layer}.self_attn.q_proj.bias`, [q]);
    shapes.set(`${layer}.self_attn.k_proj.weight`, [kv, hidden]);
    shapes.set(`${layer}.self_attn.k_proj.bias`, [kv]);
    shapes.set(`${layer}.self_attn.v_proj.weight`, [kv, hidden]);
    shapes.set(`${layer}.self_attn.v_proj.bias`, [kv]);
    shapes.set(`${layer}.self_attn.o_proj.weight`, [hidden, q]);
    shapes.set(`${layer}.mlp.gate_proj.weight`, [inner, hidden]);
    shapes.set(`${layer}.mlp.up_proj.weight`, [inner, hidden]);
    shapes.set(`${layer}.mlp.down_proj.weight`, [hidden, inner]);
    shapes.set(`${layer}.input_layernorm.weight`, [hidden]);
    shapes.set(`${layer}.post_attention_layernorm.weight`, [hidden]);
  }
  shapes.set("model.norm.weight", [hidden]);
  if (config.score !== null) {
    const { labels, heads } = config.score;
    shapes.set(scoreWeight, [labels.length, hidden]);
    if (heads.length > 0) shapes.set(headsWeight, [heads.length, hidden]);
  } else if (!config.tieWordEmbeddings) shapes.set("lm_head.weight", [vocabSize, hidden]);
  return shapes;
}

/** The number of trained values; a tied embedding counts once. */
export function parameterCount(config: Qwen2Config): number {
  let total = 0;
  for (const shape of parameterShapes(config).values()) total += shape.reduce((product, n) => product * n, 1);
  return total;
}

/**
 * The text of config.json, in the keys of the published Qwen2.5 folders (sorted, as transformers sorts them).
 * Keys of `config.raw` that are unknown here are kept as they were.
 */
export function toJson(config: Qwen2Config): string {
  // Left out because other keys say the same.
  const { rope_parameters: _rope, dtype: _dtype, layer_types: _types, ...kept } = config.raw;
  const usualHeadDim = config.headDim * config.heads === config.hiddenSize;
  const eos = config.eosTokenIds;
  const known: Record<string, unknown> = {
    architectures: [config.score === null ? writing : scoring],
    attention_dropout: 0,
    bos_token_id: config.bosTokenId ?? undefined,
    eos_token_id: eos.length > 1 ? eos : eos[0],
    head_dim: usualHeadDim && kept["head_dim"] == null ? undefined : config.headDim,
    hidden_act: "silu",
    hidden_size: config.hiddenSize,
    initializer_range: config.initializerRange,
    intermediate_size: config.intermediateSize,
    max_position_embeddings: config.maxPositionEmbeddings,
    max_window_layers: kept["max_window_layers"] ?? config.layers,
    model_type: "qwen2",
    num_attention_heads: config.heads,
    num_hidden_layers: config.layers,
    num_key_value_heads: config.kvHeads,
    pad_token_id: config.padTokenId ?? undefined,
    rms_norm_eps: config.rmsNormEps,
    rope_scaling: config.yarn === null ? undefined : yarnToJson(config.yarn),
    rope_theta: config.ropeTheta,
    sliding_window: kept["sliding_window"] ?? config.maxPositionEmbeddings,
    tie_word_embeddings: config.tieWordEmbeddings,
    torch_dtype: config.torchDtype ?? undefined,
    use_cache: kept["use_cache"] ?? true,
    use_sliding_window: false,
    vocab_size: config.vocabSize,
    ...(config.score !== null && scoreHeadToJson(config.score)),
  };
  const entries = Object.entries({ ...kept, ...known }).sort(([a], [b]) => (a < b ? -1 : 1));
  const text = JSON.stringify(Object.fromEntries(entries), null, 2);
  // transformers checks some of these for being Python floats, which a bare 4 is not.
  const whole =
    /^( *"(?:attention_dropout|attention_factor|beta_fast|beta_slow|factor|rope_theta)": \d+)(,?)$/gm;
  return `${text.replace(whole, "$1.0$2")}\n`;
}

/** Parses `json` by `schema`; each problem of the user's file is told as "KEY must be TEXT, but is VALUE". */
export function parseWith<T extends z.ZodType>(
  schema: T,
  json: unknown,
  file: string,
  code: string,
): z.output<T> {
  const result = schema.safeParse(json, { reportInput: true });
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => {
    const key = issue.path.join(".") || "the file";
    if (issue.input === undefined) return `${key} is missing (it must be ${issue.message})`;
    return `${key} must be ${issue.message}, but is ${describe(issue.input)}`;
  });
  const more = problems.length > 5 ? `; and ${problems.length - 5} more` : "";
  throw new UserError(code, `${file}: ${problems.slice(0, 5).join("; ")}${more}.`);
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

const writing = "Qwen2ForCausalLM";
const scoring = "Qwen2ForSequenceClassification";

function architectureOf(json: unknown, file: string): typeof writing | typeof scoring {
  const text = z.string("a string");
  const named = z.looseObject(
    { architectures: z.array(text, "a list of strings").nullish(), model_type: text.nullish() },
    "a JSON object",
  );
  const { architectures, model_type } = parseWith(named, json, file, "bad_config");
  const supported = `Supported are ${writing} (model_type qwen2: Qwen2, Qwen2.5 and models with the same layers) and, for reward models, ${scoring}.`;
  if (architectures == null && model_type == null) {
    throw new UserError(
      "bad_config",
      `${file}: neither architectures nor model_type says which model this is. ${supported}`,
    );
  }
  const known =
    architectures == null ? writing : [writing, scoring].find((name) => architectures.includes(name));
  if (known === undefined) {
    throw new UserError(
      "unsupported_model",
      `${file}: architectures is ${JSON.stringify(architectures)}, which cannot be read. ${supported}`,
    );
  }
  if (model_type != null && model_type !== "qwen2") {
    throw new UserError(
      "unsupported_model",
      `${file}: model_type is ${JSON.stringify(model_type)}, which cannot be read. ${supported}`,
    );
  }
  return known as typeof writing | typeof scoring;
}

function parseScoreHead(json: unknown, file: string): ScoreHead {
  const { num_labels, id2label, score_heads } = parseWith(scoreSchema, json, file, "bad_config");
  const named = id2label == null ? undefined : Object.keys(id2label).length;
  const labels = named ?? num_labels ?? 2; // transformers' default
  const bad = (text: string) => new UserError("bad_config", `${file}: ${text}`);
  if (num_labels != null && num_labels !== labels) {
    throw bad(`num_labels is ${num_labels}, but id2label names ${labels}; they must agree.`);
  }
  const heads = score_heads ?? [];
  if (heads.length > 0 && labels !== 1) {
    throw bad(`score_heads are parts of one score, but there are ${labels} labels.`);
  }
  const twice = heads.find(({ name }, i) => heads.findIndex((other) => other.name === name) !== i);
  if (twice !== undefined) throw bad(`score_heads names ${JSON.stringify(twice.name)} twice.`);
  return { labels: Array.from({ length: labels }, (_, i) => id2label?.[i] ?? `LABEL_${i}`), heads };
}

function scoreHeadToJson({ labels, heads }: ScoreHead): Record<string, unknown> {
  return {
    id2label: Object.fromEntries(labels.map((label, i) => [i, label])),
    label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
    num_labels: undefined, // id2label says it
    score_heads: heads.length > 0 ? heads : undefined,
  };
}

function refuseSlidingWindow(
  used: boolean,
  layerTypes: readonly string[] | null,
  layers: number,
  file: string,
): void {
  if (layerTypes !== null && layerTypes.length !== layers) {
    throw new UserError(
      "bad_config",
      `${file}: layer_types has ${layerTypes.length} entries, but num_hidden_layers is ${layers}; they must agree.`,
    );
  }
  const other = layerTypes?.find((type) => type !== "full_attention");
  if (other === undefined && (layerTypes !== null || !used)) return;
  const which =
    other === undefined ? "use_sliding_window is true" : `layer_types contains ${JSON.stringify(other)}`;
  throw new UserError(
    "unsupported_model",
    `${file}: ${which}, but sliding-window attention is not supported, only full attention in every layer. ` +
      "If no layer of this model slides, set use_sliding_window to false and remove layer_types.",
  );
}

function parseYarn(
  scaling: z.output<typeof ropeScaling>,
  key: string,
  maxPositionEmbeddings: number,
  file: string,
): Yarn | null {
  const type = scaling.rope_type ?? scaling.type ?? "default";
  if (type === "default") return null;
  if (type !== "yarn") {
    throw new UserError(
      "unsupported_model",
      `${file}: ${key} has the type ${JSON.stringify(type)}, which is not supported. Supported are "default" and "yarn".`,
    );
  }
  const originalMaxPositionEmbeddings = scaling.original_max_position_embeddings ?? maxPositionEmbeddings;
  const factor = scaling.factor ?? maxPositionEmbeddings / originalMaxPositionEmbeddings;
  const betaFast = scaling.beta_fast ?? 32;
  const betaSlow = scaling.beta_slow ?? 1;
  if (factor < 1 || betaFast < betaSlow) {
    throw new UserError(
      "bad_config",
      `${file}: ${key} must have factor (${factor}) at least 1 and beta_fast (${betaFast}) at least beta_slow (${betaSlow}).`,
    );
  }
  const growth = (mscale: number) => (factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1);
  const attentionFactor =
    scaling.attention_factor ??
    (scaling.mscale && scaling.mscale_all_dim
      ? growth(scaling.mscale) / growth(scaling.mscale_all_dim)
      : growth(1));
  const truncate = scaling.truncate ?? true;
  return { factor, originalMaxPositionEmbeddings, betaFast, betaSlow, attentionFactor, truncate };
}

/** `type` and `rope_type` are the older and the newer name of the same key; readers know one or the other. */
function yarnToJson(yarn: Yarn): Record<string, unknown> {
  const usual = yarn.factor <= 1 ? 1 : 0.1 * Math.log(yarn.factor) + 1;
  return {
    type: "yarn",
    rope_type: "yarn",
    factor: yarn.factor,
    original_max_position_embeddings: yarn.originalMaxPositionEmbeddings,
    ...(yarn.betaFast === 32 ? {} : { beta_fast: yarn.betaFast }),
    ...(yarn.betaSlow === 1 ? {} : { beta_slow: yarn.betaSlow }),
    ...(yarn.attentionFactor === usual ? {} : { attention_factor: yarn.attentionFactor }),
    ...(yarn.truncate ? {} : { truncate: false }),
  };
}
