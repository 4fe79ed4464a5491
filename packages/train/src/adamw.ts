// AdamW as a rule. Decay acts on matrices (embeddings too), not on biases and norms, as TRL and transformers have it.
import { adamw, type Tensor } from "@posttrain/kernels";
import type { UpdateRule } from "./optimizer.js";

export interface AdamwOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
}

/** State: the first and second moments `m` and `v`. */
export function adamwRule({ beta1, beta2, eps, weightDecay }: AdamwOptions): UpdateRule {
  return {
    state: ["m", "v"],
    update: ({ master, rounded, gradient, shape, state: [m, v] }, step) =>
      adamw(master, m as Tensor, v as Tensor, gradient, {
        ...(rounded && { rounded }),
        ...step,
        beta1,
        beta2,
        eps,
        weightDecay: shape.length > 1 ? weightDecay : 0,
        clearGradient: true,
      }),
  };
}
