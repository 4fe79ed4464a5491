import { ropeBackward, ropeForward } from "../binding.generated.js";
import type { Scope } from "../scope.js";
import { type FloatDtype, type Tensor, tensorOf } from "../tensor.js";
import type { RopeTable } from "./rope-table.js";

/**
 * Rotates the halves of each head of x (M, H, D) by the table's angles (Su et al. 2021; the half-split pairing of Qwen2 and Llama). y is
 * rounded to `dtype` (default: x's); its gradient is f32.
 */
export function rope(
  scope: Scope,
  x: Tensor,
  table: RopeTable,
  options: { readonly dtype?: FloatDtype } = {},
): Tensor {
  const { shape, dtype } = tensorOf("rope", "x", x);
  const y = scope.empty(shape, options.dtype ?? dtype, "rope");
  ropeForward(y, x, table.cosines, table.sines);
  scope.tape?.record({
    outputs: [y],
    inputs: [x],
    saved: [table.cosines, table.sines],
    backward: (inner, [dy]) => {
      if (dy === undefined) return [];
      const dx = inner.empty(x.shape);
      ropeBackward(dx, dy, table.cosines, table.sines);
      return [dx];
    },
  });
  return y;
}
