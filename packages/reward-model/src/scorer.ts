// A scorer: what gives whole sequences of tokens (prompt and response) their scores, be it a model on a device or a file of another runtime.
import type { Model, Qwen2Config } from "@posttrain/model";
import { inOrder } from "@posttrain/run";
import { type SequenceScores, scoreSequences } from "./score.js";

/**
 * Scores of whole sequences, in order; null where one cannot be scored: it is empty, or longer than the model's context. A score depends on its
 * sequence alone, not on what is scored beside it.
 */
export type Scorer = (sequences: readonly Int32Array[]) => Promise<readonly (number | null)[]>;

/** Tokens that go through the model at once. */
const tokensAtOnce = 8192;

/** A sequence's score, and those of the heads that it is the sum of, by their names. */
export interface Score {
  readonly score: number;
  readonly heads: Readonly<Record<string, number>>;
}

/** A reward model on a device as a scorer. The caller ends the model. */
export function modelScorer(model: Model): Scorer {
  const scores = modelScores(model);
  return async (sequences) => (await scores(sequences)).map((found) => found?.score ?? null);
}

/** The same with what each head says. */
export function modelScores(
  model: Model,
): (sequences: readonly Int32Array[]) => Promise<readonly (Score | null)[]> {
  return scoresBy(model.config, (batch) => scoreSequences(model, batch), 1);
}

/** Scores by whatever scores batches of sequences that a model of this config can read, `width` of them at once. */
export function scoresBy(
  config: Qwen2Config,
  score: (batch: readonly Int32Array[]) => Promise<SequenceScores>,
  width: number,
): (sequences: readonly Int32Array[]) => Promise<readonly (Score | null)[]> {
  const context = config.maxPositionEmbeddings;
  const names = (config.score?.heads ?? []).map(({ name }) => name);
  const scorable = (sequence: Int32Array): boolean => sequence.length > 0 && sequence.length <= context;
  return async (sequences) => {
    const found: Score[] = [];
    const tasks = batchesOf(sequences.filter(scorable), tokensAtOnce).map((batch) => () => score(batch));
    for await (const { scores, heads } of inOrder(tasks, width))
      for (const [s, own] of scores.entries())
        found.push({
          score: own,
          heads: Object.fromEntries(names.map((name, h) => [name, heads[s]?.[h] as number])),
        });
    let next = 0;
    return sequences.map((sequence) => (scorable(sequence) ? (found[next++] as Score) : null));
  };
}

/** Consecutive sequences of so many tokens together, or one that has more. */
function batchesOf(
  sequences: readonly Int32Array[],
  tokensAtOnce: number,
): readonly (readonly Int32Array[])[] {
  const batches: (readonly Int32Array[])[] = [];
  let start = 0;
  let tokens = 0;
  for (const [i, { length }] of sequences.entries()) {
    if (i > start && tokens + length > tokensAtOnce) {
      batches.push(sequences.slice(start, i));
      start = i;
      tokens = 0;
    }
    tokens += length;
  }
  if (start < sequences.length) batches.push(sequences.slice(start));
  return batches;
}
