import { onlineMergingForward, taskVectorForward } from "../binding.generated.js";
import { KernelError } from "../errors.js";
import type { Scope } from "../scope.js";
import { type Tensor, tensorOf } from "../tensor.js";
import type { AdamwStep } from "./adamw.js";

/**
 * How updates and the task vector are thinned and merged (native/cpu/online_merging.cpp has the formulas). Scaling `paper`: as Lu et al. 2024
 * write it; `repo`: as their published code computes it.
 */
export interface MergeMethod {
  readonly method: "dare" | "ties";
  readonly scaling: "paper" | "repo";
  /** The share of elements that survives, in (0, 1]. */
  readonly reserve: number;
  /** Survivors times what makes the sum of their magnitudes what it was before. */
  readonly rescale: boolean;
  /** Of what DARE draws: a whole number below 2^32. */
  readonly seed: number;
}

const methods = { dare: 1, ties: 2 } as const;

/** What the op counts survivors by. TIES: so many of the tensor; where that is none nothing is dropped, as in the published code. */
function survival({ method, reserve }: MergeMethod, size: number) {
  if (!(reserve > 0 && reserve <= 1)) {
    throw new KernelError("kernel_argument", `onlineMerging: reserve is ${reserve}, expected in (0, 1]`);
  }
  if (method === "dare") return { method: methods.dare, keep: Math.max(1, Math.round(reserve * 2 ** 32)) };
  return { method: methods.ties, keep: Math.trunc(reserve * size) || size };
}

const scaleOf = ({ method, scaling, reserve }: MergeMethod): number =>
  method === "dare" && scaling === "repo" ? 1 / reserve : 1;

/**
 * The task vector start - base of a parameter as `onlineMerging` takes it, into `tau`, which may be `start`; f32 of one size. Of `paper` DARE,
 * which draws its survivors anew at each merge, all of it; of the others the survivors. Returns sum |start - base|, f64 (1).
 * `first` is the parameter's place in the optimizer's arenas, a multiple of 64; `mask` (f32) stands in for what DARE would draw.
 */
export function taskVector(
  scope: Scope,
  tau: Tensor,
  start: Tensor,
  base: Tensor,
  { first, mask, ...merge }: MergeMethod & { readonly first: number; readonly mask?: Tensor },
): Tensor {
  const distance = scope.empty([1], "f64", "taskVector");
  const { method, keep } = survival(merge, tensorOf("taskVector", "tau", tau).size);
  const later = merge.method === "dare" && merge.scaling === "paper";
  taskVectorForward(
    tau,
    distance,
    start,
    base,
    mask ?? null,
    scaleOf(merge),
    later ? 0 : method,
    keep,
    merge.rescale ? 1 : 0,
    merge.seed,
    first,
  );
  return distance;
}

export interface OnlineMergingStep extends Omit<AdamwStep, "clearGradient">, MergeMethod {
  /** Weight of the task vector; the update has 1 - alpha. */
  readonly alpha: number;
  /** The parameter's place in the optimizer's arenas, a multiple of 64. */
  readonly first: number;
  /** False for a step between merges, which moves the parameter by Adam alone. */
  readonly merges: boolean;
  /** Weight decay acts on the new parameter, after the update; else on the old one, as AdamW's. */
  readonly decayAfter: boolean;
  /** taskVector()'s; without it nothing is merged in. */
  readonly tau?: Tensor | undefined;
  /** What the parameter is behind its drift, f32: needed for any drift. */
  readonly carry?: Tensor | undefined;
  /** What the parameter has moved by since the last merge, f32: needed where some steps do not merge. */
  readonly interim?: Tensor | undefined;
  /** f64 (2): the drift of this step in tau's direction, summed over elements: as meant, and as the parameter took it. */
  readonly drift?: Tensor | undefined;
  /** In place of what DARE would draw for the update and, in `paper` scaling, for tau: f32, nonzero survives. */
  readonly masks?: { readonly update: Tensor; readonly tau?: Tensor | undefined } | undefined;
}

/**
 * One step of the Online Merging Optimizer (Lu et al. 2024, arXiv 2405.17931) on f32 tensors of one size. Parameter, moments, carry and interim
 * change in place; the gradient is zero afterwards.
 */
export function onlineMerging(
  parameter: Tensor,
  m: Tensor,
  v: Tensor,
  gradient: Tensor,
  options: OnlineMergingStep,
): void {
  const { beta1, beta2, step, masks, merges, scaling } = options;
  if (!Number.isInteger(step) || step < 1 || step >= 2 ** 32) {
    throw new KernelError(
      "kernel_argument",
      `onlineMerging: step is ${String(step)}, expected a whole number from 1 on`,
    );
  }
  const { method, keep } = survival(options, tensorOf("onlineMerging", "parameter", parameter).size);
  onlineMergingForward(
    parameter,
    m,
    v,
    options.rounded ?? null,
    gradient,
    options.tau ?? null,
    options.carry ?? null,
    options.interim ?? null,
    options.drift ?? null,
    masks?.update ?? null,
    masks?.tau ?? null,
    options.learningRate,
    beta1,
    beta2,
    options.eps,
    options.weightDecay,
    1 - beta1 ** step,
    1 - beta2 ** step,
    options.gradientScale,
    options.alpha,
    scaleOf(options),
    merges ? method : 0,
    keep,
    scaling === "repo" ? 1 : 0,
    options.decayAfter ? 1 : 0,
    options.rescale ? 1 : 0,
    options.seed,
    options.first,
    step,
  );
}
