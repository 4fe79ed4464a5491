// One optimizer step, and the loss on rows that are not trained.
import { type TokenizedRow, UserError } from "@posttrain/data";
import { backward, Tape } from "@posttrain/kernels";
import { forward, type Model, predict } from "@posttrain/model";
import { gradientNorm, type Optimizer, optimizerStep } from "@posttrain/train";
import { type MicroBatch, microBatch } from "./batches.js";
import { sftLoss } from "./loss.js";

export interface SftStepOptions {
  readonly learningRate: number;
  readonly maxGradNorm: number;
  readonly activationCheckpointing: boolean;
}

export interface SftStepResult {
  readonly loss: number;
  readonly gradNorm: number;
  readonly entropy: number;
  readonly accuracy: number;
  readonly tokens: number;
}

/** The loss or the gradient norm is no number. The weights are as they were before the step. */
export class Diverged extends UserError {
  readonly rows: readonly TokenizedRow[];

  constructor(step: number, loss: number, norm: number, rows: readonly TokenizedRow[]) {
    const named = rows.slice(0, 8).map(({ line }) => `line ${line}`);
    super(
      "diverged",
      `The loss is ${loss} and the gradient norm ${norm} at step ${step}; the weights were left as they were before it. Rows of this step: ` +
        `${named.join(", ")}${rows.length > named.length ? ", ..." : ""}. Lower learning_rate, or look at these rows.`,
    );
    this.rows = rows;
  }
}

/** One optimizer step over micro-batches. Throws Diverged rather than touch the weights with a loss or gradient that is not a number. */
export async function sftStep(
  model: Model,
  optimizer: Optimizer,
  batches: readonly MicroBatch[],
  options: SftStepOptions,
): Promise<SftStepResult> {
  const trained = batches.reduce((n, { predictions }) => n + predictions.targets.length, 0);
  let loss = 0;
  let entropy = 0;
  let accuracy = 0;
  let tokens = 0;
  for (const micro of batches) {
    const tape = new Tape();
    await model.device.run(async (scope) => {
      const hidden = forward(scope, model, micro.batch, options);
      const predicted = predict(scope, model, hidden, micro.predictions);
      scope.release(hidden);
      const [logProbs, entropies, argmax] = await Promise.all([
        predicted.logProb.read(),
        predicted.entropy.read(),
        predicted.argmax.read(),
      ]);
      const part = sftLoss(logProbs as Float32Array, trained);
      backward(scope, tape, [{ tensor: predicted.logProb, gradient: scope.from(part.gradient) }]);
      loss += part.loss;
      entropy += mean(entropies, (x) => x);
      accuracy += mean(argmax, (id, i) => (id === micro.predictions.targets[i] ? 1 : 0));
      tokens += micro.batch.ids.length;
    }, tape);
  }
  const norm = await gradientNorm(model);
  if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
    throw new Diverged(
      optimizer.step + 1,
      loss,
      norm,
      batches.flatMap(({ rows }) => rows),
    );
  }
  optimizerStep(model, optimizer, { ...options, norm });
  return {
    loss,
    gradNorm: norm,
    entropy: entropy / batches.length,
    accuracy: accuracy / batches.length,
    tokens,
  };
}

function mean(values: ArrayLike<number>, of: (value: number, index: number) => number): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += of(values[i] as number, i);
  return values.length === 0 ? 0 : sum / values.length;
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
      const [logProbs, entropies, argmax] = await Promise.all([
        predicted.logProb.read(),
        predicted.entropy.read(),
        predicted.argmax.read(),
      ]);
      for (const [i, target] of predictions.targets.entries()) {
        logProb += logProbs[i] as number;
        entropy += entropies[i] as number;
        if (argmax[i] === target) hits++;
      }
    });
  }
  return { loss: -logProb / trained, entropy: entropy / trained, accuracy: hits / trained, tokens };
}
