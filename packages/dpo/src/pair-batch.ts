// What a micro-batch of pairs looks like to the model: both answers of each pair, one after the other, each a sequence of its own behind its
// own copy of the prompt. A sequence has the same bits in any pack, so policy and reference agree to the last one.
import type { TokenizedPair } from "@posttrain/data";
import {
  forward,
  type Model,
  type PackedBatch,
  type Predictions,
  packSequences,
  predict,
  readPredictions,
} from "@posttrain/model";
import { type PairSums, sumsOf } from "./loss.js";

export interface PairBatch {
  readonly pairs: readonly TokenizedPair[];
  readonly batch: PackedBatch;
  /** Of the answers' tokens, in the order of the batch. */
  readonly predictions: Predictions;
}

export function pairBatch(pairs: readonly TokenizedPair[]): PairBatch {
  const answers = pairs.flatMap(({ promptIds, chosenIds, rejectedIds }) =>
    [chosenIds, rejectedIds].map((answer) => ({ prompt: promptIds, answer })),
  );
  const batch = packSequences(answers.map(({ prompt, answer }) => Int32Array.from([...prompt, ...answer])));
  const rows: number[] = [];
  const targets: number[] = [];
  for (const [s, { prompt, answer }] of answers.entries()) {
    const first = (batch.starts[s] as number) + prompt.length - 1;
    for (const [i, id] of answer.entries()) {
      rows.push(first + i);
      targets.push(id);
    }
  }
  return {
    pairs,
    batch,
    predictions: { rows: Int32Array.from(rows), targets: Int32Array.from(targets) },
  };
}

/** Values of all predictions, pair by pair. */
export function byPair<T extends Float32Array | Int32Array>(
  { pairs }: Pick<PairBatch, "pairs">,
  values: T,
): readonly { readonly chosen: T; readonly rejected: T }[] {
  let next = 0;
  const take = (count: number): T => {
    next += count;
    return values.subarray(next - count, next) as T;
  };
  return pairs.map(({ chosenIds, rejectedIds }) => ({
    chosen: take(chosenIds.length),
    rejected: take(rejectedIds.length),
  }));
}

/** log-probabilities of the answers of pairs under a model, summed over tokens: what a reference says. */
export function pairSums(model: Model, pairs: readonly TokenizedPair[]): Promise<readonly PairSums[]> {
  const micro = pairBatch(pairs);
  return model.device.run(async (scope) => {
    const predicted = predict(scope, model, forward(scope, model, micro.batch), micro.predictions);
    const { logProbs } = await readPredictions(predicted);
    return byPair(micro, logProbs).map(sumsOf);
  });
}
