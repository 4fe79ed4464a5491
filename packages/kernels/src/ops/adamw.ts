import { adamwForward } from "../binding.generated.js";
import { KernelError } from "../errors.js";
import type { Tensor } from "../tensor.js";

export interface AdamwStep {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
  /** 1 for the first step. */
  readonly step: number;
  /** The gradient is multiplied by it first (normalisation, clipping). */
  readonly gradientScale: number;
  /** A bf16 tensor that gets the new parameter rounded: what the forward pass of a model in bf16 reads. */
  readonly rounded?: Tensor;
  /** Sets the gradient to zero in the same pass, for the next step to accumulate into. */
  readonly clearGradient?: boolean;
}

/** One step of AdamW (Loshchilov & Hutter 2019, as torch.optim.AdamW) on f32 tensors of one shape; parameter and moments change in place. */
export function adamw(
  parameter: Tensor,
  m: Tensor,
  v: Tensor,
  gradient: Tensor,
  { learningRate, beta1, beta2, eps, weightDecay, step, gradientScale, rounded, clearGradient }: AdamwStep,
): void {
  if (!Number.isInteger(step) || step < 1) {
    throw new KernelError(
      "kernel_argument",
      `adamw: step is ${String(step)}, expected a whole number from 1 on`,
    );
  }
  adamwForward(
    parameter,
    m,
    v,
    rounded ?? null,
    gradient,
    learningRate,
    beta1,
    beta2,
    eps,
    weightDecay,
    1 - beta1 ** step,
    1 - beta2 ** step,
    gradientScale,
    clearGradient === true ? 1 : 0,
  );
}
