import { tokenLogProbsBackward, tokenLogProbsForward } from "../binding.generated.js";
import type { Scope } from "../scope.js";
import { shapeOf, type Tensor } from "../tensor.js";

/** Per row, all (M) and f32 but argmax (i32). Only logProb carries a gradient. */
export interface TokenLogProbs {
  readonly logProb: Tensor;
  readonly entropy: Tensor;
  readonly logSumExp: Tensor;
  readonly meanLogit: Tensor;
  readonly argmax: Tensor;
}

/**
 * Log-probabilities of targets (i32, M) under softmax(x weight^T / T), x (M, C), weight (V, C): final projection, temperature,
 * log-softmax and gather in one, in chunks over rows and vocabulary; logits are never held, forward or backward. Entropy and the
 * logarithms are natural.
 */
export function tokenLogProbs(
  scope: Scope,
  x: Tensor,
  weight: Tensor,
  targets: Tensor,
  options: { readonly inverseTemperature: number },
): TokenLogProbs {
  const [rows = 0] = shapeOf("tokenLogProbs", "x", x, 2);
  const { inverseTemperature } = options;
  const logProb = scope.empty([rows], "f32", "tokenLogProbs");
  const entropy = scope.empty([rows], "f32", "tokenLogProbs");
  const logSumExp = scope.empty([rows], "f32", "tokenLogProbs");
  const meanLogit = scope.empty([rows], "f32", "tokenLogProbs");
  const argmax = scope.empty([rows], "i32", "tokenLogProbs");
  tokenLogProbsForward(
    logProb,
    entropy,
    logSumExp,
    meanLogit,
    argmax,
    x,
    weight,
    targets,
    inverseTemperature,
  );
  scope.tape?.record({
    outputs: [logProb],
    inputs: [x],
    saved: [targets, logSumExp],
    replaceable: [x],
    backward: (inner, [dlogProb], [input = x]) => {
      if (dlogProb === undefined) return [];
      const dx = inner.empty(x.shape);
      tokenLogProbsBackward(
        dx,
        weight.gradient ?? null,
        dlogProb,
        input,
        weight,
        targets,
        logSumExp,
        inverseTemperature,
      );
      return [dx];
    },
  });
  return { logProb, entropy, logSumExp, meanLogit, argmax };
}
