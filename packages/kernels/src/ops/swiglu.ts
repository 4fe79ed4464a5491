import { swigluBackward, swigluForward } from "../binding.generated.js";
import type { Scope } from "../scope.js";
import { type Tensor, tensorOf } from "../tensor.js";

/**
 * y = gate * sigmoid(gate) * up, same shape, in gate's dtype. Gradients have the dtypes of what they belong to: in bf16 they are rounded,
 * being inputs of matrix products alone. Shazeer 2020.
 */
export function swiglu(scope: Scope, gate: Tensor, up: Tensor): Tensor {
  const { shape, dtype } = tensorOf("swiglu", "gate", gate);
  const y = scope.empty(shape, dtype, "swiglu");
  swigluForward(y, gate, up);
  scope.tape?.record({
    outputs: [y],
    inputs: [gate, up],
    saved: [gate, up],
    backward: (inner, [dy]) => {
      if (dy === undefined) return [];
      const dgate = inner.empty(gate.shape, gate.dtype);
      const dup = inner.empty(up.shape, up.dtype);
      swigluBackward(dgate, dup, dy, gate, up);
      return [dgate, dup];
    },
    remake: (inner) => {
      const again = inner.empty(shape, dtype, "swiglu");
      swigluForward(again, gate, up);
      return again;
    },
  });
  return y;
}
