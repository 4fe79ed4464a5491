// AdamW over a model's parameter arena, with clipping by the global norm. Decay acts on matrices (embeddings too), not on biases and
// norms, as TRL and transformers have it.
import { adamw, fill, sumSquares, type Tensor } from "@posttrain/kernels";
import { enableGradients, foldLookups, type Model } from "@posttrain/model";

export interface AdamwOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
}

export interface Optimizer {
  readonly options: AdamwOptions;
  /** First and second moments, laid out as the parameters. */
  readonly m: Tensor;
  readonly v: Tensor;
  /** Steps done. */
  step: number;
}

/** Moments of zero, and a place for gradients in the model. The memory belongs to the model's scope. */
export function createOptimizer(model: Model, options: AdamwOptions): Optimizer {
  enableGradients(model);
  const m = model.scope.empty(model.arena.shape);
  const v = model.scope.empty(model.arena.shape);
  fill(m, 0);
  fill(v, 0);
  return { options, m, v, step: 0 };
}

/** The global L2 norm of the accumulated gradients, the looked-up rows folded in. Waits for the backward passes. */
export async function gradientNorm(model: Model): Promise<number> {
  const gradients = enableGradients(model);
  foldLookups(model);
  return model.device.run(async (scope) => {
    const [squares] = await sumSquares(scope, gradients.arena).read();
    return Math.sqrt(squares as number);
  });
}

/**
 * One step with the accumulated gradients, scaled by min(1, maxGradNorm / (norm + 1e-6)) (0: no clipping), then gradients of zero.
 * `norm` is gradientNorm()'s.
 */
export function optimizerStep(
  model: Model,
  optimizer: Optimizer,
  { learningRate, maxGradNorm, norm }: { learningRate: number; maxGradNorm: number; norm: number },
): void {
  const gradients = enableGradients(model);
  const gradientScale = maxGradNorm > 0 ? Math.min(1, maxGradNorm / (norm + 1e-6)) : 1;
  optimizer.step++;
  const { beta1, beta2, eps, weightDecay } = optimizer.options;
  const scope = model.device.scope();
  try {
    for (const { offset, shape, size } of model.layout.places.values()) {
      const range = (arena: Tensor): Tensor => scope.view(arena, offset, [size]);
      adamw(range(model.arena), range(optimizer.m), range(optimizer.v), range(gradients.arena), {
        learningRate,
        beta1,
        beta2,
        eps,
        weightDecay: shape.length > 1 ? weightDecay : 0,
        step: optimizer.step,
        gradientScale,
        clearGradient: true,
      });
    }
  } finally {
    scope.end();
  }
  gradients.lookups.clear();
}
