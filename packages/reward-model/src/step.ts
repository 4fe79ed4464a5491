// One optimizer step, and the same numbers of rows that are not trained.
import { backward, Tape } from "@posttrain/kernels";
import { forward, type Model, type PackedBatch, packSequences, type ScoreHead } from "@posttrain/model";
import { eachMicroBatch, finishStep, type Optimizer, type StepOptions } from "@posttrain/train";
import { type Labels, pairsOf, preferenceLoss } from "./loss.js";
import { headOf, sumHeads, trainedScores } from "./score.js";

/** Responses to one prompt, some of them better than others. */
export interface RewardRow {
  readonly id: string;
  readonly line: number;
  readonly parents?: readonly string[];
  /** Whole sequences of tokens, each with the prompt. */
  readonly sequences: readonly Int32Array[];
  readonly labels: Labels;
  /** By how much a better response should be ahead. */
  readonly margin: number;
  /** Labels by criterion, for heads of their own. */
  readonly criteria: Readonly<Record<string, Labels>>;
}

/** Over the rows of a step or an evaluation, however they are cut into micro-batches. */
export interface RewardNumbers {
  readonly loss: number;
  /** The share of pairs whose better response scores higher (a tie is none), and the mean of its lead: a row counts once. */
  readonly accuracy: number;
  readonly margin: number;
  /** Over all responses. */
  readonly minReward: number;
  readonly meanReward: number;
  readonly maxReward: number;
  /** The accuracy of each head over the rows with labels for its criterion; NaN where there are none. */
  readonly headAccuracy: Readonly<Record<string, number>>;
  readonly tokens: number;
}

export interface RewardStepResult extends RewardNumbers {
  readonly gradNorm: number;
  /** Rows. */
  readonly trained: number;
}

export interface RewardLossOptions {
  readonly centerRewardsCoefficient: number;
}

/** One optimizer step over micro-batches of rows. Throws Diverged rather than touch the weights with a loss or gradient that is not a number. */
export async function rewardStep(
  model: Model,
  optimizer: Optimizer,
  microBatches: readonly (readonly RewardRow[])[],
  options: StepOptions & RewardLossOptions,
): Promise<RewardStepResult> {
  const all = microBatches.flat();
  // Of the rows that this rank runs, for their gradients; then of all, in their order.
  const own = newSums(headOf(model), all, options);
  const scoresOfStep = await eachMicroBatch(model, optimizer, microBatches, (rows) => {
    const tape = new Tape();
    return model.device.run(async (scope) => {
      const batch = packRows(rows);
      const hidden = forward(scope, model, batch, options);
      const scores = trainedScores(scope, model, hidden, batch);
      scope.release(hidden);
      const values = (await scores.read()) as Float32Array;
      const gradient = own.add(rows, values);
      backward(scope, tape, [{ tensor: scores, gradient: scope.from(gradient, scores.shape) }]);
      return values;
    }, tape);
  });
  const sums = newSums(headOf(model), all, options);
  for (const [i, values] of scoresOfStep.entries()) sums.add(microBatches[i] as readonly RewardRow[], values);
  const numbers = sums.numbers();
  const gradNorm = await finishStep(model, optimizer, numbers.loss, all, options);
  await sumHeads(model);
  return { ...numbers, gradNorm, trained: all.length };
}

/** The numbers of rows, `rowsPerBatch` at a time, which changes no bit of them. */
export async function evaluateReward(
  model: Model,
  rows: readonly RewardRow[],
  rowsPerBatch: number,
  options: RewardLossOptions,
): Promise<RewardNumbers> {
  const sums = newSums(headOf(model), rows, options);
  for (let at = 0; at < rows.length; at += rowsPerBatch) {
    const part = rows.slice(at, at + rowsPerBatch);
    const batch = packRows(part);
    await model.device.run(async (scope) => {
      const scores = trainedScores(scope, model, forward(scope, model, batch), batch);
      sums.add(part, (await scores.read()) as Float32Array);
    });
  }
  return sums.numbers();
}

export function packRows(rows: readonly RewardRow[]): PackedBatch {
  return packSequences(rows.flatMap(({ sequences }) => sequences));
}

/**
 * Adds up `all` rows as their scores come, in order. The loss is the mean over rows of that of their labels on the score; where the score is a
 * sum of heads, and there are labels by criterion, the mean over the criteria of each head's mean over its own rows is added.
 */
function newSums({ heads }: ScoreHead, all: readonly RewardRow[], options: RewardLossOptions) {
  const centring = options.centerRewardsCoefficient;
  const width = Math.max(1, heads.length);
  const judged = (name: string): readonly RewardRow[] =>
    all.filter(({ criteria }) => pairsOf(criteria[name] ?? []).length > 0);
  const counts = heads.map(({ name }) => judged(name).length);
  const criteria = counts.filter((count) => count > 0).length;
  const hits = heads.map(() => 0);
  const weights = heads.length > 0 ? heads.map(({ weight }) => weight) : [1];
  let loss = 0;
  let accuracy = 0;
  let margin = 0;
  let reward = 0;
  let responses = 0;
  let minReward = Number.POSITIVE_INFINITY;
  let maxReward = Number.NEGATIVE_INFINITY;
  let tokens = 0;

  /** `values` (S, heads) of the sequences of `rows`. Returns the gradient of the loss with respect to them. */
  const add = (rows: readonly RewardRow[], values: Float32Array): Float32Array => {
    const gradient = new Float64Array(values.length);
    let at = 0;
    for (const { sequences, labels, margin: wanted, criteria: own } of rows) {
      const places = sequences.map((_, i) => (at + i) * width);
      const scores = places.map((place) =>
        weights.reduce((sum, weight, h) => sum + weight * (values[place + h] as number), 0),
      );
      const total = preferenceLoss(scores, labels, { margin: wanted, centring });
      loss += total.loss / all.length;
      for (const [i, place] of places.entries()) {
        for (const [h, weight] of weights.entries()) {
          gradient[place + h]! += (weight * (total.gradient[i] as number)) / all.length;
        }
      }
      for (const [h, { name }] of heads.entries()) {
        const count = counts[h] as number;
        if (own[name] === undefined || count === 0) continue;
        const parts = places.map((place) => values[place + h] as number);
        const part = preferenceLoss(parts, own[name], { margin: 0, centring: 0 });
        loss += part.loss / (count * criteria);
        for (const [i, place] of places.entries()) {
          gradient[place + h]! += (part.gradient[i] as number) / (count * criteria);
        }
        hits[h]! += winsOf(parts, own[name]).share;
      }
      const wins = winsOf(scores, labels);
      accuracy += wins.share;
      margin += wins.lead;
      for (const score of scores) {
        reward += score;
        minReward = Math.min(minReward, score);
        maxReward = Math.max(maxReward, score);
      }
      responses += scores.length;
      tokens += sequences.reduce((sum, { length }) => sum + length, 0);
      at += sequences.length;
    }
    return Float32Array.from(gradient);
  };
  const numbers = (): RewardNumbers => ({
    loss,
    accuracy: accuracy / all.length,
    margin: margin / all.length,
    minReward,
    meanReward: reward / responses,
    maxReward,
    headAccuracy: Object.fromEntries(
      heads.map(({ name }, h) => [name, (hits[h] as number) / (counts[h] as number)]),
    ),
    tokens,
  });
  return { add, numbers };
}

/** Of a row's pairs: the share whose better response scores higher, and the mean of its lead. */
function winsOf(
  scores: readonly number[],
  labels: Labels,
): { readonly share: number; readonly lead: number } {
  const leads = pairsOf(labels).map(([a, b]) => (scores[a] as number) - (scores[b] as number));
  if (leads.length === 0) return { share: 0, lead: 0 };
  return {
    share: leads.filter((lead) => lead > 0).length / leads.length,
    lead: leads.reduce((sum, lead) => sum + lead, 0) / leads.length,
  };
}
