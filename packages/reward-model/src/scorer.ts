// A scorer: what gives whole sequences of tokens (prompt and response) their scores, be it a model on a device or a file of another runtime.
import type { Model } from "@posttrain/model";
import { headOf, scoreSequences } from "./score.js";

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
  const context = model.config.maxPositionEmbeddings;
  const names = headOf(model).heads.map(({ name }) => name);
  return async (sequences) => {
    const scores: (Score | null)[] = [];
    const scorable = (sequence: Int32Array): boolean => sequence.length > 0 && sequence.length <= context;
    for (const batch of batchesOf(sequences, tokensAtOnce)) {
      const found = await scoreSequences(model, batch.filter(scorable));
      let next = 0;
      for (const sequence of batch) {
        if (!scorable(sequence)) {
          scores.push(null);
          continue;
        }
        const own = found.heads[next];
        scores.push({
          score: found.scores[next++] as number,
          heads: Object.fromEntries(names.map((name, h) => [name, own?.[h] as number])),
        });
      }
    }
    return scores;
  };
}

/** Consecutive sequences of so many tokens together, or one that has more. */
function* batchesOf(
  sequences: readonly Int32Array[],
  tokensAtOnce: number,
): Generator<readonly Int32Array[]> {
  let start = 0;
  let tokens = 0;
  for (const [i, { length }] of sequences.entries()) {
    if (i > start && tokens + length > tokensAtOnce) {
      yield sequences.slice(start, i);
      start = i;
      tokens = 0;
    }
    tokens += length;
  }
  if (start < sequences.length) yield sequences.slice(start);
}
