import type { Scope } from "../scope.js";
import type { Tensor } from "../tensor.js";

/** The same elements under another shape; no copy. */
export function reshape(scope: Scope, x: Tensor, shape: readonly number[]): Tensor {
  const y = scope.view(x, 0, shape);
  scope.tape?.record({
    outputs: [y],
    inputs: [x],
    saved: [],
    backward: (inner, [dy]) => (dy === undefined ? [] : [inner.view(dy, 0, x.shape)]),
  });
  return y;
}
