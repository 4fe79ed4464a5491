import { linearBackward, linearForward } from "../binding.generated.js";
import type { Scope } from "../scope.js";
import { type FloatDtype, shapeOf, type Tensor } from "../tensor.js";

/**
 * y (M, N) = x (M, K) weight^T (N, K) + bias (N). Summed along K by blocks of 256, each one chain of fused multiply-adds; the bias is
 * added last. A bf16 weight takes x rounded to bf16 and sums in the order of bf16 products (native/cpu/linear.cpp); y is rounded to `dtype`.
 * Gradients are f32.
 */
export function linear(
  scope: Scope,
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  options: { readonly dtype?: FloatDtype } = {},
): Tensor {
  const [rows = 0] = shapeOf("linear", "x", x, 2);
  const [outputs = 0] = shapeOf("linear", "weight", weight, 2);
  const y = scope.empty([rows, outputs], options.dtype ?? "f32", "linear");
  linearForward(y, x, weight, bias ?? null);
  scope.tape?.record({
    outputs: [y],
    inputs: [x],
    saved: [],
    replaceable: [x],
    backward: (inner, [dy], [input = x]) => {
      if (dy === undefined) return [];
      const dx = inner.empty(x.shape);
      linearBackward(dx, weight.gradient ?? null, bias?.gradient ?? null, dy, input, weight);
      return [dx];
    },
  });
  return y;
}
