import { addForward } from "../binding.generated.js";
import type { Scope } from "../scope.js";
import { type Tensor, tensorOf } from "../tensor.js";

/** y = a + b, same shape. */
export function add(scope: Scope, a: Tensor, b: Tensor): Tensor {
  const y = scope.empty(tensorOf("add", "a", a).shape, "f32", "add");
  addForward(y, a, b);
  scope.tape?.record({
    outputs: [y],
    inputs: [a, b],
    saved: [],
    backward: (_, [dy]) => [dy, dy],
  });
  return y;
}

/** y += x, same shape. Records nothing. */
export function accumulate(y: Tensor, x: Tensor): void {
  addForward(y, y, x);
}
