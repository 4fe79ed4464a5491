// An optimizer over a model's trained parameters: a rule (adamw.ts) moves each by its accumulated gradient, clipped by the global norm. What
// moves are fp32 masters; for a model in bf16 the same pass writes their rounding into its arena.
import { convert, fill, sumSquares, type Tensor } from "@posttrain/kernels";
import { enableGradients, foldLookups, type Model } from "@posttrain/model";

/** One parameter as a rule sees it: flat fp32 ranges of one size (N), and for a model in bf16 what its forward pass reads. */
export interface UpdatedParameter {
  readonly name: string;
  /** As the model has it; the ranges are flat. */
  readonly shape: readonly number[];
  readonly master: Tensor;
  readonly rounded: Tensor | undefined;
  readonly gradient: Tensor;
  /** The ranges of the rule's own arenas, in the order of `UpdateRule.state`. */
  readonly state: readonly Tensor[];
}

export interface UpdateStep {
  readonly learningRate: number;
  /** The gradient is multiplied by it first: clipping. */
  readonly gradientScale: number;
  /** 1 for the first step. */
  readonly step: number;
}

/** How parameters move. */
export interface UpdateRule {
  /** Names of the fp32 arenas that it keeps from step to step: zero at first, saved with the run. */
  readonly state: readonly string[];
  /** Moves one parameter and sets its gradient to zero. */
  readonly update: (parameter: UpdatedParameter, step: UpdateStep) => void;
}

export interface Optimizer {
  readonly rule: UpdateRule;
  /** The fp32 values that move: a model's own arena in f32, else laid out as what is trained. */
  readonly masters: Tensor;
  /** The rule's arenas by name, laid out as what is trained. */
  readonly state: ReadonlyMap<string, Tensor>;
  /** Steps done. */
  step: number;
}

/**
 * State of zero, and a place for gradients in the model. A model in bf16 that was loaded without masters gets its own values for masters.
 * The memory belongs to the model's scope.
 */
export function createOptimizer(model: Model, rule: UpdateRule): Optimizer {
  enableGradients(model);
  const { scope, trained } = model;
  const masters = model.masters ?? mastersOf(model);
  const state = new Map(rule.state.map((name) => [name, scope.empty([trained.length])]));
  for (const arena of state.values()) fill(arena, 0);
  return { rule, masters, state, step: 0 };
}

function mastersOf({ scope, trained, parameters }: Model): Tensor {
  const masters = scope.empty([trained.length]);
  fill(masters, 0);
  for (const [name, { offset, shape }] of trained.places) {
    convert(scope.view(masters, offset, shape), parameters.get(name) as Tensor);
  }
  return masters;
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
  const { rule, masters, state, step } = optimizer;
  const { layout, trained, arena, dtype } = model;
  const scope = model.device.scope();
  try {
    for (const [name, { offset, shape, size }] of trained.places) {
      const own = layout.places.get(name)?.offset as number;
      const range = (of: Tensor, from = offset): Tensor => scope.view(of, from, [size]);
      const parameter: UpdatedParameter = {
        name,
        shape,
        master: range(masters, masters === arena ? own : offset),
        rounded: dtype === "f32" ? undefined : range(arena, own),
        gradient: range(gradients.arena),
        state: rule.state.map((of) => range(state.get(of) as Tensor)),
      };
      rule.update(parameter, { learningRate, gradientScale, step });
    }
  } finally {
    scope.end();
  }
  gradients.lookups?.clear();
}
