// One optimizer step, and the loss on rows that are not trained.
import type { TokenizedRow } from "@posttrain/data";
import { backward, Tape } from "@posttrain/kernels";
import { forward, type Model, predict, readPredictions } from "@posttrain/model";
import { eachMicroBatch, finishStep, type Optimizer, type StepOptions } from "@posttrain/train";
import { sftLoss } from "./loss.js";
import { type MicroBatch, microBatch } from "./micro-batch.js";

export interface SftStepResult {
  /** Minus the mean log-probability of the step's trained tokens, before its update. */
  readonly loss: number;
  readonly gradNorm: number;
  /** Mean entropy (nats) at these tokens, and the share of them that are the most likely one. */
  readonly entropy: number;
  readonly accuracy: number;
  /** How many tokens are trained, and how many went through the model. */
  readonly trained: number;
  readonly tokens: number;
}

/** One optimizer step over micro-batches. Throws Diverged rather than touch the weights with a loss or gradient that is not a number. */
export async function sftStep(
  model: Model,
  optimizer: Optimizer,
  batches: readonly MicroBatch[],
  options: StepOptions,
): Promise<SftStepResult> {
  const trained = batches.reduce((n, { predictions }) => n + predictions.targets.length, 0);
  const parts = await eachMicroBatch(model, optimizer, batches, (micro) => {
    const tape = new Tape();
    return model.device.run(async (scope) => {
      const hidden = forward(scope, model, micro.batch, options);
      const predicted = predict(scope, model, hidden, micro.predictions);
      scope.release(hidden);
      const { logProbs, entropies, argmax } = await readPredictions(predicted);
      const { loss, gradient } = sftLoss(logProbs, trained);
      backward(scope, tape, [{ tensor: predicted.logProb, gradient: scope.from(gradient) }]);
      return { loss, entropies, argmax };
    }, tape);
  });
  let loss = 0;
  let entropy = 0;
  let hits = 0;
  let tokens = 0;
  for (const [b, part] of parts.entries()) {
    const { batch, predictions } = batches[b] as MicroBatch;
    loss += part.loss;
    for (const [i, target] of predictions.targets.entries()) {
      entropy += part.entropies[i] as number;
      if (part.argmax[i] === target) hits++;
    }
    tokens += batch.ids.length;
  }
  const norm = await finishStep(
    model,
    optimizer,
    loss,
    batches.flatMap(({ rows }) => rows),
    options,
  );
  return { loss, gradNorm: norm, entropy: entropy / trained, accuracy: hits / trained, trained, tokens };
}

export interface SftEvaluation {
  /** Minus the mean log-probability of all trained tokens of all rows. */
  readonly loss: number;
  /** Mean entropy (nats) at these tokens, and the share of them that are the most likely one. */
  readonly entropy: number;
  readonly accuracy: number;
  readonly tokens: number;
}

/** The loss on rows, `rowsPerBatch` at a time, which changes no bit of it. */
export async function evaluateSft(
  model: Model,
  rows: readonly TokenizedRow[],
  rowsPerBatch: number,
): Promise<SftEvaluation> {
  let logProb = 0;
  let entropy = 0;
  let hits = 0;
  let trained = 0;
  let tokens = 0;
  for (let at = 0; at < rows.length; at += rowsPerBatch) {
    const { batch, predictions } = microBatch(rows.slice(at, at + rowsPerBatch));
    tokens += batch.ids.length;
    trained += predictions.targets.length;
    await model.device.run(async (scope) => {
      const predicted = predict(scope, model, forward(scope, model, batch), predictions);
      const { logProbs, entropies, argmax } = await readPredictions(predicted);
      for (const [i, target] of predictions.targets.entries()) {
        logProb += logProbs[i] as number;
        entropy += entropies[i] as number;
        if (argmax[i] === target) hits++;
      }
    });
  }
  return { loss: -logProb / trained, entropy: entropy / trained, accuracy: hits / trained, tokens };
}
