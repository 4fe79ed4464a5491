// The forward pass of model/src/forward.ts in float64 but for what is rounded to bf16 there: each place by its name, so that a test can leave
// one out, or round at one more, and see how far that carries. Slow and simple; for tiny models.
import { bf16Bits, fromBf16 } from "./bits.js";
import { goldenJson, goldenTensors } from "./golden.js";

/** Where the rule rounds: the parameters, and what matrix products take in. */
export const roundings = [
  "parameters",
  "norm",
  "query",
  "key",
  "value",
  "weights of attention",
  "attention",
  "gate",
  "up",
  "swiglu",
] as const;
/** Where it does not. */
export const noRoundings = [
  "query before its rotation",
  "key before its rotation",
  "scores",
  "attention's projection",
  "mlp's projection",
  "residual stream",
] as const;
export type Place = (typeof roundings)[number] | (typeof noRoundings)[number];

type Vector = Float64Array;
const keyBlock = 64;
const toBf16 = (x: number): number => fromBf16(bf16Bits(Math.fround(x)));
const dot = (a: Vector, b: Vector): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
};
const plus = (a: Vector, b: Vector): Vector => a.map((x, i) => x + (b[i] as number));

/** The logits of each sequence's tokens, one after the other, with roundings at `places`. */
export async function logitsByRule(
  name: string,
  sequences: readonly Int32Array[],
  places: ReadonlySet<Place>,
): Promise<Float64Array> {
  const config = goldenJson(name, "config.json");
  const { rope_inv_freq: frequencies, rope_cos_sin_factor: factor } = goldenJson(name, "expected.json");
  const round = (place: Place, x: Vector): Vector => (places.has(place) ? x.map(toBf16) : x);
  const parameters = new Map<string, { readonly data: Vector; readonly columns: number }>();
  for (const [key, { shape, data }] of await goldenTensors(name, "model.safetensors"))
    parameters.set(key, { data: round("parameters", data), columns: shape.at(-1) as number });
  const vector = (key: string): Vector => (parameters.get(key) as { data: Vector }).data;
  const rows = (key: string): Vector[] => {
    const { data, columns } = parameters.get(key) as { data: Vector; columns: number };
    return Array.from({ length: data.length / columns }, (_, i) =>
      data.subarray(i * columns, (i + 1) * columns),
    );
  };
  const linear = (key: string): ((x: Vector) => Vector) => {
    const weight = rows(`${key}.weight`);
    const bias = parameters.get(`${key}.bias`)?.data;
    return (x) => Float64Array.from(weight, (row, i) => dot(row, x) + (bias?.[i] ?? 0));
  };
  const norm = (key: string, x: Vector): Vector => {
    const weight = vector(key);
    const scale = 1 / Math.sqrt(dot(x, x) / x.length + config.rms_norm_eps);
    return round(
      "norm",
      x.map((value, i) => value * scale * (weight[i] as number)),
    );
  };
  const heads = config.num_attention_heads as number;
  const groups = config.num_key_value_heads as number;
  const size = (config.head_dim ?? config.hidden_size / heads) as number;
  const half = size / 2;
  const headsOf = (x: Vector): Vector[] =>
    Array.from({ length: x.length / size }, (_, h) => x.slice(h * size, (h + 1) * size));
  const rotate = (x: Vector, position: number): Vector =>
    x.map((value, i) => {
      const angle = position * (frequencies[i % half] as number);
      const other = i < half ? -(x[i + half] as number) : (x[i - half] as number);
      return (value * Math.cos(angle) + other * Math.sin(angle)) * factor;
    });

  const mix = (q: Vector, keys: readonly Vector[], values: readonly Vector[]): Vector => {
    const scores = round(
      "scores",
      Float64Array.from(keys, (key) => dot(q, key) * size ** -0.5),
    );
    const top = Math.max(...scores);
    let total = 0;
    const sum = new Float64Array(size);
    for (let block = 0; block < keys.length; block += keyBlock) {
      const here = scores.slice(block, block + keyBlock);
      const most = Math.max(...here);
      const exact = here.map((score) => Math.exp(score - most));
      const weights = round("weights of attention", exact);
      const scale = Math.exp(most - top);
      for (const [j, weight] of weights.entries()) {
        total += (exact[j] as number) * scale;
        const value = values[block + j] as Vector;
        for (let d = 0; d < size; d++) sum[d] = (sum[d] as number) + weight * scale * (value[d] as number);
      }
    }
    return sum.map((x) => x / total);
  };

  const layer = (i: number, stream: readonly Vector[]): Vector[] => {
    const at = `model.layers.${i}`;
    const inputs = stream.map((x) => norm(`${at}.input_layernorm.weight`, x));
    const projected = (key: string, before: Place, after: Place): Vector[][] => {
      const project = linear(`${at}.self_attn.${key}`);
      return inputs.map((x, t) =>
        headsOf(round(before, project(x))).map((head) => round(after, rotate(head, t))),
      );
    };
    const q = projected("q_proj", "query before its rotation", "query");
    const k = projected("k_proj", "key before its rotation", "key");
    const value = linear(`${at}.self_attn.v_proj`);
    const v = inputs.map((x) => headsOf(round("value", value(x))));
    const output = linear(`${at}.self_attn.o_proj`);
    const [gate, up, down] = ["gate", "up", "down"].map((key) => linear(`${at}.mlp.${key}_proj`)) as [
      (x: Vector) => Vector,
      (x: Vector) => Vector,
      (x: Vector) => Vector,
    ];
    return stream.map((x, t) => {
      const mixed = new Float64Array(heads * size);
      for (let h = 0; h < heads; h++) {
        const g = Math.floor(h / (heads / groups));
        const seen = (all: readonly Vector[][]): Vector[] =>
          all.slice(0, t + 1).map((token) => token[g] as Vector);
        mixed.set(mix(q[t]?.[h] as Vector, seen(k), seen(v)), h * size);
      }
      const attended = round("attention's projection", output(round("attention", mixed)));
      const between = round("residual stream", plus(x, attended));
      const normed = norm(`${at}.post_attention_layernorm.weight`, between);
      const upward = round("up", up(normed));
      const gated = round("gate", gate(normed)).map(
        (g, n) => (g / (1 + Math.exp(-g))) * (upward[n] as number),
      );
      return round("residual stream", plus(between, round("mlp's projection", down(round("swiglu", gated)))));
    });
  };

  const embeddings = rows("model.embed_tokens.weight");
  const head = parameters.has("lm_head.weight") ? rows("lm_head.weight") : embeddings;
  const logits: number[] = [];
  for (const sequence of sequences) {
    let stream = Array.from(sequence, (id) => embeddings[id] as Vector);
    for (let i = 0; i < config.num_hidden_layers; i++) stream = layer(i, stream);
    for (const x of stream) {
      const last = norm("model.norm.weight", x);
      for (const row of head) logits.push(dot(row, last));
    }
  }
  return Float64Array.from(logits);
}
