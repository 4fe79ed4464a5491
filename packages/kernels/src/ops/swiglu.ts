import { swigluBackward, swigluForward } from "../binding.generated.js";
import type { Scope } from "../scope.js";
import { type Tensor, tensorOf } from "../tensor.js";

/** y = gate * sigmoid(gate) * up, same shape. Shazeer 2020. */
export function swiglu(scope: Scope, gate: Tensor, up: Tensor): Tensor {
  const y = scope.empty(tensorOf("swiglu", "gate", gate).shape, "f32", "swiglu");
  swigluForward(y, gate, up);
  scope.tape?.record({
    outputs: [y],
    inputs: [gate, up],
    saved: [gate, up],
    backward: (inner, [dy]) => {
      if (dy === undefined) return [];
      const dgate = inner.empty(gate.shape);
      const dup = inner.empty(up.shape);
      swigluBackward(dgate, dup, dy, gate, up);
      return [dgate, dup];
    },
  });
  return y;
}
