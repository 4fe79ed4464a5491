import { ropeBackward, ropeForward } from "../binding.generated.js";
import type { Scope } from "../scope.js";
import { type Tensor, tensorOf } from "../tensor.js";
import type { RopeTable } from "./rope-table.js";

/** Rotates the halves of each head of x (M, H, D) by the table's angles (Su et al. 2021; the half-split pairing of Qwen2 and Llama). */
export function rope(scope: Scope, x: Tensor, table: RopeTable): Tensor {
  const y = scope.empty(tensorOf("rope", "x", x).shape, "f32", "rope");
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
