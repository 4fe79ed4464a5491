// Supervised fine-tuning: minus the mean log-probability of the trained tokens. The mean is over all trained tokens of an optimizer
// step, whatever its micro-batches: L = -(1/N) sum_t log p(x_t | x_<t), dL/d log p = -1/N.

export interface SftLoss {
  /** This micro-batch's part of the step's loss. */
  readonly loss: number;
  /** dL / d log p for each prediction. */
  readonly gradient: Float32Array;
}

/** `logProbs` of one micro-batch's trained tokens; `stepTokens`: trained tokens of the whole step. */
export function sftLoss(logProbs: Float32Array, stepTokens: number): SftLoss {
  let sum = 0;
  for (const logProb of logProbs) sum += logProb;
  return { loss: -sum / stepTokens, gradient: new Float32Array(logProbs.length).fill(-1 / stepTokens) };
}
