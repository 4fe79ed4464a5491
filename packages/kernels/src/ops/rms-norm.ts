import { rmsNormBackward, rmsNormForward } from "../binding.generated.js";
import type { Scope } from "../scope.js";
import { type Dtype, type FloatDtype, shapeOf, type Tensor, tensorOf } from "../tensor.js";

/**
 * s = x (+ residual); y = s / sqrt(mean(s^2) + eps) * weight over the last axis of x (M, C). Returns y and, with a residual, the sum
 * s that goes on. y is rounded to `dtype` (default: the weight's); s and all gradients are f32. Zhang & Sennrich 2019.
 */
export function rmsNorm(
  scope: Scope,
  x: Tensor,
  weight: Tensor,
  options: { readonly eps: number; readonly residual?: Tensor; readonly dtype?: FloatDtype },
): { readonly y: Tensor; readonly sum: Tensor } {
  const [rows = 0] = shapeOf("rmsNorm", "x", x, 2);
  const { eps, residual } = options;
  const dtype: Dtype = options.dtype ?? tensorOf("rmsNorm", "weight", weight).dtype;
  const y = scope.empty(x.shape, dtype, "rmsNorm");
  const rstd = scope.empty([rows], "f32", "rmsNorm");
  const sum = residual === undefined ? x : scope.empty(x.shape, "f32", "rmsNorm");
  rmsNormForward(y, rstd, residual === undefined ? null : sum, x, residual ?? null, weight, eps);
  scope.tape?.record({
    outputs: residual === undefined ? [y] : [y, sum],
    inputs: residual === undefined ? [x] : [x, residual],
    saved: [sum, rstd],
    backward: (inner, [dy, dsum]) => {
      if (dy === undefined) return [dsum, dsum];
      const dx = inner.empty(x.shape);
      rmsNormBackward(dx, weight.gradient ?? null, dy, dsum ?? null, sum, weight, rstd);
      return [dx, dx];
    },
    remake: (inner) => {
      const again = inner.empty(x.shape, dtype, "rmsNorm");
      rmsNormForward(again, inner.empty([rows], "f32", "rmsNorm"), null, sum, null, weight, eps);
      return again;
    },
  });
  return { y, sum };
}
