// One optimizer step, and the same numbers of pairs that are not trained.
import type { TokenizedPair } from "@posttrain/data";
import { backward, Tape } from "@posttrain/kernels";
import { forward, type Model, predict, readPredictions } from "@posttrain/model";
import { eachMicroBatch, finishStep, type Optimizer, type StepOptions } from "@posttrain/train";
import { type DpoLossOptions, dpoLoss, logRatios, type PairLogProbs, type PairSums, sumsOf } from "./loss.js";
import { byPair, type PairBatch, pairBatch } from "./pair-batch.js";

/** What the reference says of pairs, in their order. */
export type Reference = (pairs: readonly TokenizedPair[]) => Promise<readonly PairSums[]>;

export interface DpoOptions extends DpoLossOptions {
  readonly reference: Reference;
}

/** Means over pairs, unless it says otherwise, however they are cut into micro-batches. */
export interface DpoNumbers {
  readonly loss: number;
  /** Implicit rewards, beta times a log-ratio; the share of pairs whose chosen answer has the larger one (a tie is none); its lead. */
  readonly rewards: PairSums & { readonly accuracies: number; readonly margins: number };
  /** Log-probabilities of the answers. */
  readonly logps: PairSums;
  /** Over the tokens of the chosen answers, and of the rejected: the mean logit over the vocabulary. */
  readonly logits: PairSums;
  /** Over the tokens of all answers (nats), and the share of chosen tokens that are the most likely one. */
  readonly entropy: number;
  readonly accuracy: number;
  /** Tokens of answers, and tokens that went through the model. */
  readonly trained: number;
  readonly tokens: number;
}

export interface DpoStepResult extends DpoNumbers {
  readonly gradNorm: number;
}

/**
 * One optimizer step over micro-batches of pairs. The loss is the mean over the pairs of the step: a micro-batch weighs as its pairs do (in
 * TRL a short last one weighs as much as the others). Its `sft` term is the mean over its own chosen tokens, as in TRL. Throws Diverged rather
 * than touch the weights with a loss or gradient that is not a number.
 */
export async function dpoStep(
  model: Model,
  optimizer: Optimizer,
  microBatches: readonly PairBatch[],
  options: StepOptions & DpoOptions,
): Promise<DpoStepResult> {
  const pairs = microBatches.flatMap((micro) => micro.pairs);
  const parts = await eachMicroBatch(model, optimizer, microBatches, async (micro) => {
    const reference = await options.reference(micro.pairs);
    const share = micro.pairs.length / pairs.length;
    const tape = new Tape();
    return model.device.run(async (scope) => {
      const hidden = forward(scope, model, micro.batch, options);
      const predicted = predict(scope, model, hidden, micro.predictions);
      scope.release(hidden);
      const read = await readAll(predicted);
      const own = byPair(micro, read.logProbs).map((pair, i) => ({
        ...pair,
        reference: reference[i] as PairSums,
      }));
      const { loss, gradients } = dpoLoss(own, options);
      const gradient = new Float32Array(micro.predictions.targets.length);
      for (const [i, { chosen, rejected }] of byPair(micro, gradient).entries()) {
        chosen.fill(share * (gradients[i] as PairSums).chosen);
        rejected.fill(share * (gradients[i] as PairSums).rejected);
      }
      backward(scope, tape, [{ tensor: predicted.logProb, gradient: scope.from(gradient) }]);
      return { loss: share * loss, read, reference };
    }, tape);
  });
  const sums = newSums(options.beta);
  let loss = 0;
  for (const [i, part] of parts.entries()) {
    sums.add(microBatches[i] as PairBatch, part.read, part.reference);
    loss += part.loss;
  }
  const gradNorm = await finishStep(model, optimizer, loss, pairs, options);
  return { ...sums.numbers(), loss, gradNorm };
}

/** The numbers of pairs, `pairsPerBatch` at a time, which changes no bit of them: of `sft` the mean is over all their chosen tokens. */
export async function evaluateDpo(
  model: Model,
  pairs: readonly TokenizedPair[],
  pairsPerBatch: number,
  options: DpoOptions,
): Promise<DpoNumbers> {
  const sums = newSums(options.beta);
  const logProbs: PairLogProbs[] = [];
  for (let at = 0; at < pairs.length; at += pairsPerBatch) {
    const micro = pairBatch(pairs.slice(at, at + pairsPerBatch));
    const reference = await options.reference(micro.pairs);
    await model.device.run(async (scope) => {
      const predicted = predict(scope, model, forward(scope, model, micro.batch), micro.predictions);
      logProbs.push(...sums.add(micro, await readAll(predicted), reference));
    });
  }
  return { ...sums.numbers(), loss: dpoLoss(logProbs, options).loss };
}

async function readAll(predicted: ReturnType<typeof predict>) {
  const [read, meanLogits] = await Promise.all([readPredictions(predicted), predicted.meanLogit.read()]);
  return { ...read, meanLogits: meanLogits as Float32Array };
}

/** Adds up pairs as their numbers come, in order. */
function newSums(beta: number) {
  const rewards = { chosen: 0, rejected: 0, accuracies: 0, margins: 0 };
  const logps = { chosen: 0, rejected: 0 };
  const logits = { chosen: 0, rejected: 0 };
  const answered = { chosen: 0, rejected: 0 };
  let entropy = 0;
  let hits = 0;
  let pairs = 0;
  let tokens = 0;
  const add = (
    micro: PairBatch,
    { logProbs, entropies, argmax, meanLogits }: Awaited<ReturnType<typeof readAll>>,
    reference: readonly PairSums[],
  ): readonly PairLogProbs[] => {
    pairs += micro.pairs.length;
    tokens += micro.batch.ids.length;
    for (const value of entropies) entropy += value;
    for (const { chosen, rejected } of byPair(micro, meanLogits)) {
      for (const value of chosen) logits.chosen += value;
      for (const value of rejected) logits.rejected += value;
      answered.chosen += chosen.length;
      answered.rejected += rejected.length;
    }
    for (const [i, { chosen }] of byPair(micro, argmax).entries()) {
      const { chosenIds } = micro.pairs[i] as TokenizedPair;
      for (const [t, id] of chosenIds.entries()) if (chosen[t] === id) hits++;
    }
    return byPair(micro, logProbs).map((own, i) => {
      const pair = { ...own, reference: reference[i] as PairSums };
      const ratios = logRatios(pair);
      const sums = sumsOf(pair);
      const [better, worse] = [beta * ratios.chosen, beta * ratios.rejected];
      rewards.chosen += better;
      rewards.rejected += worse;
      rewards.margins += better - worse;
      if (better > worse) rewards.accuracies++;
      logps.chosen += sums.chosen;
      logps.rejected += sums.rejected;
      return pair;
    });
  };
  const numbers = (): Omit<DpoNumbers, "loss"> => ({
    rewards: {
      chosen: rewards.chosen / pairs,
      rejected: rewards.rejected / pairs,
      accuracies: rewards.accuracies / pairs,
      margins: rewards.margins / pairs,
    },
    logps: { chosen: logps.chosen / pairs, rejected: logps.rejected / pairs },
    logits: { chosen: logits.chosen / answered.chosen, rejected: logits.rejected / answered.rejected },
    entropy: entropy / (answered.chosen + answered.rejected),
    accuracy: hits / answered.chosen,
    trained: answered.chosen + answered.rejected,
    tokens,
  });
  return { add, numbers };
}
