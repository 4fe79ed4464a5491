// What a Qwen2 model computes, as plain ONNX operators: the forward pass of forward.ts over a padded batch (B, T) instead of packed sequences.
// Positions count the attended tokens of a row, so padding may be on either side. Angles are taken in float64, as our kernels take them.
import { type Qwen2Config, ropeFrequencies, scoreWeight } from "../config.js";
import {
  type ElementType,
  elementTypes,
  type OnnxAttribute,
  type OnnxConstant,
  type OnnxGraph,
  type OnnxNode,
  type OnnxValue,
} from "./parts.js";

/** What comes out: logits of every position, or the log-probability that each token but the first had. */
export const languageOutputs = ["logits", "log_probs"] as const;
export type LanguageOutput = (typeof languageOutputs)[number];

const inputs: readonly OnnxValue[] = [
  { name: "input_ids", type: "int64", shape: ["batch", "sequence"] },
  { name: "attention_mask", type: "int64", shape: ["batch", "sequence"] },
];

/**
 * `logits` (B, T, V), or `log_probs` (B, T - 1): entry t is log p(token t + 1 | tokens up to t) at temperature 1, natural logarithm, and 0 where
 * either of the two is padding. V counts every row of the head, as transformers' logits do.
 */
export function languageGraph(config: Qwen2Config, output: LanguageOutput): OnnxGraph {
  const g = newGraph();
  const { hidden, batch, length } = body(g, config);
  const head = g.weight(config.tieWordEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight");
  const { hiddenSize, vocabSize } = config;
  if (output === "logits") {
    const flat = g.op("Gemm", [hidden, head], { transB: { i: 1 } });
    const shape = g.op("Concat", [batch, length, g.ints([vocabSize])], { axis: { i: 0 } });
    g.op("Reshape", [flat, shape], {}, output);
    return g.graph("language_model", [
      { name: output, type: "float", shape: ["batch", "sequence", vocabSize] },
    ]);
  }
  const [zero, one, minusOne, most] = [g.ints([0]), g.ints([1]), g.ints([-1]), g.ints([2 ** 31 - 1])];
  const shape = g.op("Concat", [batch, g.op("Sub", [length, one])], { axis: { i: 0 } });
  const rows = g.op("Reshape", [
    hidden,
    g.op("Concat", [batch, length, g.ints([hiddenSize])], { axis: { i: 0 } }),
  ]);
  const predicting = g.op("Reshape", [g.op("Slice", [rows, zero, minusOne, one]), g.ints([-1, hiddenSize])]);
  const targets = g.op("Reshape", [g.op("Slice", ["input_ids", one, most, one]), g.ints([-1, 1])]);
  const all = g.op("LogSoftmax", [g.op("Gemm", [predicting, head], { transB: { i: 1 } })], {
    axis: { i: -1 },
  });
  const taken = g.op("GatherElements", [all, targets], { axis: { i: 1 } });
  const mask = g.op("Cast", ["attention_mask"], { to: { i: elementTypes.bool } });
  const both = g.op("And", [
    g.op("Slice", [mask, zero, minusOne, one]),
    g.op("Slice", [mask, one, most, one]),
  ]);
  const logProbs = g.op("Reshape", [taken, shape], { allowzero: { i: 1 } });
  g.op("Where", [both, logProbs, g.floats([0], [])], {}, output);
  return g.graph("language_model", [{ name: output, type: "float", shape: ["batch", "predictions"] }]);
}

/** `logits` (B, labels), as transformers and Optimum name it: the scores at each row's last attended token. */
export function rewardGraph(config: Qwen2Config, labels: number): OnnxGraph {
  const g = newGraph();
  const { hidden, batch, length, places } = body(g, config);
  const last = g.op("ReduceMax", [g.op("Mul", ["attention_mask", places])], {
    axes: { ints: [1] },
    keepdims: { i: 0 },
  });
  const first = g.op("Mul", [g.range(batch), length]);
  const read = g.op("Gather", [hidden, g.op("Add", [first, last])], { axis: { i: 0 } });
  g.op("Gemm", [read, g.weight(scoreWeight)], { transB: { i: 1 } }, "logits");
  return g.graph("reward_model", [{ name: "logits", type: "float", shape: ["batch", labels] }]);
}

interface Body {
  /** (B * T, C), after the final norm. */
  readonly hidden: string;
  /** B and T, int64 (1). */
  readonly batch: string;
  readonly length: string;
  /** 0 to T - 1, int64 (T). */
  readonly places: string;
}

function body(g: Graph, config: Qwen2Config): Body {
  const { hiddenSize, kvHeads, headDim } = config;
  const shape = g.op("Shape", ["input_ids"]);
  const [batch, length] = [0, 1].map((axis) => g.op("Gather", [shape, g.ints([axis])])) as [string, string];
  const places = g.range(length);

  // Query i attends to key j of the same row if j <= i and j is no padding: (B, 1, 1, T, T).
  const causal = g.op("LessOrEqual", [
    g.op("Unsqueeze", [places, g.ints([0])]),
    g.op("Unsqueeze", [places, g.ints([1])]),
  ]);
  const keys = g.op("Unsqueeze", [
    g.op("Cast", ["attention_mask"], { to: { i: elementTypes.bool } }),
    g.ints([1, 2, 3]),
  ]);
  const attended = g.op("And", [causal, keys]);

  const { inverseFrequencies, scale } = ropeFrequencies(config);
  const positions = g.op("Sub", [g.op("CumSum", ["attention_mask", g.ints([1], [])]), g.ints([1])]);
  const angles = g.op("Mul", [
    g.op("Unsqueeze", [g.op("Cast", [positions], { to: { i: elementTypes.double } }), g.ints([1, 2, 4])]),
    g.constant("double", [inverseFrequencies.length], new Uint8Array(inverseFrequencies.buffer)),
  ]);
  const turn = (of: "Cos" | "Sin"): string => {
    const values = g.op("Cast", [g.op(of, [angles])], { to: { i: elementTypes.float } });
    return scale === 1 ? values : g.op("Mul", [values, g.floats([scale], [])]);
  };
  const context: LayerContext = {
    attended,
    cosines: turn("Cos"),
    sines: turn("Sin"),
    queryShape: g.op("Concat", [batch, length, g.ints([kvHeads, config.heads / kvHeads, headDim])], {
      axis: { i: 0 },
    }),
    keyShape: g.op("Concat", [batch, length, g.ints([kvHeads, 1, headDim])], { axis: { i: 0 } }),
  };

  const rows = g.op("Gather", [g.weight("model.embed_tokens.weight"), "input_ids"], { axis: { i: 0 } });
  let x = g.op("Reshape", [rows, g.ints([-1, hiddenSize])]);
  for (let i = 0; i < config.layers; i++) x = layer(g, config, `model.layers.${i}`, x, context);
  return { hidden: norm(g, config, x, "model.norm.weight"), batch, length, places };
}

interface LayerContext {
  readonly attended: string;
  /** (B, 1, 1, T, D / 2). */
  readonly cosines: string;
  readonly sines: string;
  /** B, T, G, H / G, D and B, T, G, 1, D. */
  readonly queryShape: string;
  readonly keyShape: string;
}

function layer(g: Graph, config: Qwen2Config, name: string, x: string, context: LayerContext): string {
  const { headDim, heads } = config;
  const linear = (input: string, map: string, ...bias: readonly string[]): string =>
    g.op("Gemm", [input, g.weight(`${name}.${map}.weight`), ...bias], { transB: { i: 1 } });
  const normed = norm(g, config, x, `${name}.input_layernorm.weight`);
  const inHeads = (map: "q_proj" | "k_proj" | "v_proj"): string => {
    const flat = linear(normed, `self_attn.${map}`, g.weight(`${name}.self_attn.${map}.bias`));
    const shape = map === "q_proj" ? context.queryShape : context.keyShape;
    return g.op("Transpose", [g.op("Reshape", [flat, shape])], { perm: { ints: [0, 2, 3, 1, 4] } });
  };
  const rotated = (values: string): string => {
    const [first, second] = g.split(values, headDim / 2);
    const { cosines, sines } = context;
    const left = g.op("Sub", [g.op("Mul", [first, cosines]), g.op("Mul", [second, sines])]);
    const right = g.op("Add", [g.op("Mul", [second, cosines]), g.op("Mul", [first, sines])]);
    return g.op("Concat", [left, right], { axis: { i: -1 } });
  };
  const keys = g.op("Transpose", [rotated(inHeads("k_proj"))], { perm: { ints: [0, 1, 2, 4, 3] } });
  const products = g.op("MatMul", [rotated(inHeads("q_proj")), keys]);
  const scores = g.op("Mul", [products, g.floats([headDim ** -0.5], [])]);
  // A finite number below every score: a padding row that may attend to nothing stays a number.
  const masked = g.op("Where", [context.attended, scores, g.floats([-3e38], [])]);
  const mixed = g.op("MatMul", [g.op("Softmax", [masked], { axis: { i: -1 } }), inHeads("v_proj")]);
  const flat = g.op("Reshape", [
    g.op("Transpose", [mixed], { perm: { ints: [0, 3, 1, 2, 4] } }),
    g.ints([-1, heads * headDim]),
  ]);
  const between = g.op("Add", [x, linear(flat, "self_attn.o_proj")]);

  const again = norm(g, config, between, `${name}.post_attention_layernorm.weight`);
  const gate = linear(again, "mlp.gate_proj");
  const swish = g.op("Mul", [gate, g.op("Sigmoid", [gate])]);
  const down = linear(g.op("Mul", [swish, linear(again, "mlp.up_proj")]), "mlp.down_proj");
  return g.op("Add", [between, down]);
}

function norm(g: Graph, { rmsNormEps }: Qwen2Config, x: string, weight: string): string {
  const mean = g.op("ReduceMean", [g.op("Mul", [x, x])], { axes: { ints: [-1] }, keepdims: { i: 1 } });
  const root = g.op("Sqrt", [g.op("Add", [mean, g.floats([rmsNormEps], [])])]);
  return g.op("Mul", [g.op("Div", [x, root]), g.weight(weight)]);
}

interface Graph {
  /** Adds a node; its output's name. */
  op(
    type: string,
    inputs: readonly string[],
    attributes?: Readonly<Record<string, OnnxAttribute>>,
    output?: string,
  ): string;
  /** Two parts of the last axis, each of `size`. */
  split(input: string, size: number): readonly [string, string];
  /** 0 to `count` - 1, of an int64 (1). */
  range(count: string): string;
  weight(name: string): string;
  ints(values: readonly number[], shape?: readonly number[]): string;
  floats(values: readonly number[], shape?: readonly number[]): string;
  constant(type: ElementType, shape: readonly number[], bytes: Uint8Array): string;
  graph(name: string, outputs: readonly OnnxValue[]): OnnxGraph;
}

function newGraph(): Graph {
  const nodes: OnnxNode[] = [];
  const constants = new Map<string, OnnxConstant>();
  const weights = new Set<string>();
  const g: Graph = {
    op(type, from, attributes = {}, output = `${type}_${nodes.length}`) {
      nodes.push({ type, inputs: from, outputs: [output], attributes });
      return output;
    },
    split(input, size) {
      const outputs = [`Split_${nodes.length}_first`, `Split_${nodes.length}_second`] as const;
      nodes.push({
        type: "Split",
        inputs: [input, g.ints([size, size])],
        outputs,
        attributes: { axis: { i: -1 } },
      });
      return outputs;
    },
    range: (count) =>
      g.op("Range", [g.ints([0], []), g.op("Squeeze", [count, g.ints([0])]), g.ints([1], [])]),
    weight(name) {
      weights.add(name);
      return name;
    },
    ints: (values, shape = [values.length]) =>
      g.constant("int64", shape, new Uint8Array(BigInt64Array.from(values, BigInt).buffer)),
    floats: (values, shape = [values.length]) =>
      g.constant("float", shape, new Uint8Array(Float32Array.from(values).buffer)),
    constant(type, shape, bytes) {
      const key = `${type}[${shape}]${Buffer.from(bytes).toString("hex")}`;
      const constant = constants.get(key) ?? { name: `constant_${constants.size}`, type, shape, bytes };
      constants.set(key, constant);
      return constant.name;
    },
    graph: (name, outputs) => ({
      ...{ name, inputs, outputs, nodes },
      constants: [...constants.values()],
      weights: [...weights],
    }),
  };
  return g;
}
