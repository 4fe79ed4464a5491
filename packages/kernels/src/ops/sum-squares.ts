import { sumSquaresForward } from "../binding.generated.js";
import type { Scope } from "../scope.js";
import type { Tensor } from "../tensor.js";

/**
 * `before` plus the sum of squares of all elements, f64 (1), in double precision over fixed blocks of 4,096. Where `before` is the sum over what lies
 * in front of `x`, in whole blocks, the result has the bits of the sum over both.
 */
export function sumSquares(scope: Scope, x: Tensor, before = 0): Tensor {
  const total = scope.from(Float64Array.of(before));
  sumSquaresForward(total, x);
  return total;
}
