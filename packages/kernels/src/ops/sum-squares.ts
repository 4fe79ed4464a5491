import { sumSquaresForward } from "../binding.generated.js";
import type { Scope } from "../scope.js";
import type { Tensor } from "../tensor.js";

/** Sum of squares of all elements, f64 (1), in double precision over fixed blocks of 4,096. */
export function sumSquares(scope: Scope, x: Tensor): Tensor {
  const total = scope.empty([1], "f64", "sumSquares");
  sumSquaresForward(total, x);
  return total;
}
