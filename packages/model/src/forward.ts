// The one forward pass: dense Qwen2.5 (pre-norm RMSNorm, RoPE, grouped-query attention with biases on q, k and v, SwiGLU) over
// packed sequences. Training records it on a tape, scoring does not, sampling gives it a cache: the same ops, the same bits.
//
// In bf16 whatever a matrix product takes in is rounded once, by the op that makes it: norms, q and k after RoPE, v, attention, gate, up and
// SwiGLU. The residual stream, what is added to it and all gradients between ops stay fp32.
import {
  add,
  attention,
  attentionCached,
  checkpoint,
  embedding,
  gatherRows,
  type KvPages,
  kvCacheWrite,
  type LinearMap,
  linear,
  linears,
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
import { type ComputeDtype, head, type Model, parameter } from "./model.js";

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
  const table = parameter(model, "model.embed_tokens.weight");
  let h: Residual = { x: embedding(scope, table, batch.ids, model.gradients?.lookups) };
  for (let i = 0; i < config.layers; i++) {
    const input = h;
    const run = (inner: Scope): Residual =>
      layer(inner, model, i, input, { angles, starts, cache: options.cache });
    h =
      options.activationCheckpointing === true
        ? { x: checkpoint(scope, [input.x], (inner) => total(inner, run(inner))) }
        : scope.child(run);
    release(scope, input);
  }
  const { y } = norm(scope, h, parameter(model, "model.norm.weight"), config.rmsNormEps);
  release(scope, h);
  return y;
}

/** The residual stream between layers. What a layer added last, the next norm adds, in the pass that reads it. */
type Residual = { readonly x: Tensor; readonly added?: Tensor };

function norm(scope: Scope, { x, added }: Residual, weight: Tensor, eps: number): { y: Tensor; sum: Tensor } {
  return added === undefined
    ? rmsNorm(scope, x, weight, { eps })
    : rmsNorm(scope, added, weight, { eps, residual: x });
}

/** One tensor: what checkpointing keeps of a layer. */
function total(scope: Scope, { x, added }: Residual): Tensor {
  return added === undefined ? x : add(scope, x, added);
}

function release(scope: Scope, { x, added }: Residual): void {
  scope.release(x);
  if (added !== undefined) scope.release(added);
}

interface LayerContext {
  readonly angles: RopeTable;
  readonly starts: Tensor;
  readonly cache: CacheStep | undefined;
}

function layer(scope: Scope, model: Model, index: number, input: Residual, context: LayerContext): Residual {
  const { config } = model;
  const { heads, headDim, rmsNormEps: eps } = config;
  const rows = input.x.shape[0] as number;
  const weight = (name: string): Tensor => parameter(model, `model.layers.${index}.${name}.weight`);
  const bias = (name: string): Tensor => parameter(model, `model.layers.${index}.${name}.bias`);
  const rounded = { dtype: model.dtype };
  const projection = (name: string, dtype: ComputeDtype): LinearMap => ({
    weight: weight(`self_attn.${name}`),
    bias: bias(`self_attn.${name}`),
    dtype,
  });
  const inHeads = (x: Tensor): Tensor => reshape(scope, x, [rows, (x.shape[1] as number) / headDim, headDim]);

  const { y: normed, sum: x } = norm(scope, input, weight("input_layernorm"), eps);
  const [wideQ, wideK, v] = linears(scope, normed, [
    projection("q_proj", "f32"),
    projection("k_proj", "f32"),
    projection("v_proj", model.dtype),
  ]).map(inHeads) as [Tensor, Tensor, Tensor];
  const q = rope(scope, wideQ, context.angles, rounded);
  const k = rope(scope, wideK, context.angles, rounded);
  const mixed = reshape(scope, attend(scope, q, k, v, index, headDim ** -0.5, context), [
    rows,
    heads * headDim,
  ]);
  const attended = linear(scope, mixed, weight("self_attn.o_proj"));

  const { y: normedAgain, sum } = rmsNorm(scope, attended, weight("post_attention_layernorm"), {
    eps,
    residual: x,
  });
  const [gate, up] = linears(scope, normedAgain, [
    { weight: weight("mlp.gate_proj"), ...rounded },
    { weight: weight("mlp.up_proj"), ...rounded },
  ]) as [Tensor, Tensor];
  const down = linear(scope, swiglu(scope, gate, up), weight("mlp.down_proj"));
  return { x: sum, added: down };
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

/** Of each prediction: the target's log-probability, the entropy there, and the most likely id. */
export interface ReadPredictions {
  readonly logProbs: Float32Array;
  readonly entropies: Float32Array;
  readonly argmax: Int32Array;
}

/** Waits for what predict() has computed. */
export async function readPredictions(predicted: TokenLogProbs): Promise<ReadPredictions> {
  const { logProb, entropy, argmax } = predicted;
  const [logProbs, entropies, best] = await Promise.all([logProb.read(), entropy.read(), argmax.read()]);
  return {
    logProbs: logProbs as Float32Array,
    entropies: entropies as Float32Array,
    argmax: best as Int32Array,
  };
}
