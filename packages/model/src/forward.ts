// The one forward pass: dense Qwen2.5 (pre-norm RMSNorm, RoPE, grouped-query attention with biases on q, k and v, SwiGLU) over
// packed sequences. Training records it on a tape, scoring does not, sampling gives it a cache: the same ops, the same bits.
import {
  add,
  attention,
  attentionCached,
  checkpoint,
  embedding,
  gatherRows,
  type KvPages,
  kvCacheWrite,
  linear,
  type RopeTable,
  reshape,
  rmsNorm,
  rope,
  ropeTable,
  type Scope,
  swiglu,
  type Tensor,
  type TokenLogProbs,
  tokenLogProbs,
} from "@posttrain/kernels";
import { head, type Model, parameter } from "./model.js";

/** Sequences one after the other: M tokens, S sequences. */
export interface PackedBatch<Ids extends Int32Array | Tensor = Int32Array> {
  /** Token ids (M); a tensor (i32) where the device alone knows them yet. */
  readonly ids: Ids;
  /** Place of each token in its sequence (M). */
  readonly positions: Int32Array;
  /** First row of each sequence, and M at the end (S+1). */
  readonly starts: Int32Array;
}

/** Packs whole sequences, positions from 0 in each; nothing is attended to across them. */
export function packSequences(sequences: readonly Int32Array[]): PackedBatch {
  const starts = new Int32Array(sequences.length + 1);
  for (const [s, sequence] of sequences.entries()) starts[s + 1] = (starts[s] as number) + sequence.length;
  const total = starts[sequences.length] as number;
  const ids = new Int32Array(total);
  const positions = new Int32Array(total);
  for (const [s, sequence] of sequences.entries()) {
    const start = starts[s] as number;
    ids.set(sequence, start);
    for (let i = 0; i < sequence.length; i++) positions[start + i] = i;
  }
  return { ids, positions, starts };
}

/** Where the rows of a batch go in a paged cache, and which keys each sequence sees there. */
export interface CacheStep {
  readonly layers: readonly KvPages[];
  /** Slot of each row's key (i32, M). */
  readonly slots: Tensor;
  /** Keys of each sequence with its new ones (i32, S). */
  readonly lengths: Tensor;
  /** Pages of each sequence (i32, S, L). */
  readonly pages: Tensor;
}

export interface ForwardOptions {
  readonly cache?: CacheStep;
  /** Keep only each layer's input for the backward pass and compute the rest again there. */
  readonly activationCheckpointing?: boolean;
}

/** Hidden states (M, C) after the final norm. What they need until a backward pass ends is held by `scope` and its tape. */
export function forward(
  scope: Scope,
  model: Model,
  batch: PackedBatch<Int32Array | Tensor>,
  options: ForwardOptions = {},
): Tensor {
  const { config } = model;
  const positions = scope.from(batch.positions);
  const starts = scope.from(batch.starts);
  const angles = ropeTable(scope, positions, model.rope.frequencies, model.rope.scale);
  let h = embedding(
    scope,
    parameter(model, "model.embed_tokens.weight"),
    batch.ids,
    model.gradients?.lookups,
  );
  for (let i = 0; i < config.layers; i++) {
    const input = h;
    const run = (inner: Scope): Tensor =>
      layer(inner, model, i, input, { angles, starts, cache: options.cache });
    h = options.activationCheckpointing === true ? checkpoint(scope, [input], run) : scope.child(run);
    scope.release(input);
  }
  const last = h;
  const { y } = rmsNorm(scope, last, parameter(model, "model.norm.weight"), { eps: config.rmsNormEps });
  scope.release(last);
  return y;
}

interface LayerContext {
  readonly angles: RopeTable;
  readonly starts: Tensor;
  readonly cache: CacheStep | undefined;
}

function layer(scope: Scope, model: Model, index: number, x: Tensor, context: LayerContext): Tensor {
  const { config } = model;
  const { heads, kvHeads, headDim, rmsNormEps: eps } = config;
  const rows = x.shape[0] as number;
  const weight = (name: string): Tensor => parameter(model, `model.layers.${index}.${name}.weight`);
  const bias = (name: string): Tensor => parameter(model, `model.layers.${index}.${name}.bias`);
  const project = (input: Tensor, name: string, count: number): Tensor =>
    reshape(scope, linear(scope, input, weight(name), bias(name)), [rows, count, headDim]);

  const { y: normed } = rmsNorm(scope, x, weight("input_layernorm"), { eps });
  const q = rope(scope, project(normed, "self_attn.q_proj", heads), context.angles);
  const k = rope(scope, project(normed, "self_attn.k_proj", kvHeads), context.angles);
  const v = project(normed, "self_attn.v_proj", kvHeads);
  const mixed = reshape(scope, attend(scope, q, k, v, index, headDim ** -0.5, context), [
    rows,
    heads * headDim,
  ]);
  const attended = linear(scope, mixed, weight("self_attn.o_proj"));

  const { y: normedAgain, sum } = rmsNorm(scope, attended, weight("post_attention_layernorm"), {
    eps,
    residual: x,
  });
  const gate = linear(scope, normedAgain, weight("mlp.gate_proj"));
  const up = linear(scope, normedAgain, weight("mlp.up_proj"));
  const down = linear(scope, swiglu(scope, gate, up), weight("mlp.down_proj"));
  return add(scope, sum, down);
}

function attend(
  scope: Scope,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  index: number,
  scale: number,
  { starts, cache }: LayerContext,
): Tensor {
  if (cache === undefined) return attention(scope, q, k, v, starts, scale);
  const pages = cache.layers[index] as KvPages;
  kvCacheWrite(pages, k, v, cache.slots);
  return attentionCached(scope, q, pages, { starts, lengths: cache.lengths, pages: cache.pages }, scale);
}

/** The rows of a packed batch that predict something that counts, and what they predict. */
export interface Predictions {
  /** Rows of the batch (R): row i predicts the token at row i + 1 of the same sequence. */
  readonly rows: Int32Array;
  /** The predicted ids (R). */
  readonly targets: Int32Array;
}

/** Log-probabilities of `predictions.targets` from hidden states (M, C): the head is asked for those rows alone. */
export function predict(
  scope: Scope,
  model: Model,
  hidden: Tensor,
  predictions: Predictions,
  temperature = 1,
): TokenLogProbs {
  const selected = gatherRows(scope, hidden, scope.from(predictions.rows));
  const predicted = tokenLogProbs(scope, selected, head(model), scope.from(predictions.targets), {
    inverseTemperature: 1 / temperature,
  });
  scope.release(selected);
  return predicted;
}
