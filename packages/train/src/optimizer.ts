// AdamW over a model's parameters, with clipping by the global norm. Decay acts on matrices (embeddings too), not on biases and norms, as
// TRL and transformers have it. What is updated are fp32 masters; for a model in bf16 the same pass writes their rounding into its arena.
import { adamw, convert, fill, sumSquares, type Tensor } from "@posttrain/kernels";
import { enableGradients, foldLookups, type Model } from "@posttrain/model";

export interface AdamwOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
}

export interface Optimizer {
  readonly options: AdamwOptions;
  /** The fp32 parameters, laid out as the model's: in f32 its own arena. */
  readonly masters: Tensor;
  /** First and second moments, laid out as the parameters. */
  readonly m: Tensor;
  readonly v: Tensor;
  /** Steps done. */
  step: number;
}

/**
 * Moments of zero, and a place for gradients in the model. A model in bf16 that was loaded without masters gets its own values for masters.
 * The memory belongs to the model's scope.
 */
export function createOptimizer(model: Model, options: AdamwOptions): Optimizer {
  enableGradients(model);
  const masters = model.masters ?? model.scope.empty(model.arena.shape);
  if (model.masters === undefined) convert(masters, model.arena);
  const m = model.scope.empty(model.arena.shape);
  const v = model.scope.empty(model.arena.shape);
  fill(m, 0);
  fill(v, 0);
  return { options, masters, m, v, step: 0 };
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
      adamw(range(optimizer.masters), range(optimizer.m), range(optimizer.v), range(gradients.arena), {
        ...(model.dtype === "f32" ? {} : { rounded: range(model.arena) }),
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
