// Floating-point operations of a pass through the model: its matrix products and attention's; everything else is small beside them.
import { parameterCount, type Qwen2Config } from "./config.js";

export interface Work {
  readonly layers: number;
  readonly head: number;
}

/** Of a forward pass over sequences of these lengths, with the head asked for `predictions` rows. A backward pass takes twice that. */
export function forwardWork(config: Qwen2Config, lengths: readonly number[], predictions: number): Work {
  const { hiddenSize, layers, heads, headDim, vocabSize, tieWordEmbeddings, score } = config;
  const embedding = vocabSize * hiddenSize;
  const head = score === null ? embedding : Math.max(1, score.heads.length) * hiddenSize;
  const matrices = parameterCount(config) - embedding - (score === null && tieWordEmbeddings ? 0 : head);
  let products = 0;
  let attention = 0;
  for (const n of lengths) {
    products += 2 * matrices * n;
    attention += 2 * layers * heads * headDim * n * (n + 1); // scores and their use, of n (n + 1) / 2 pairs each
  }
  return { layers: products + attention, head: 2 * head * predictions };
}
