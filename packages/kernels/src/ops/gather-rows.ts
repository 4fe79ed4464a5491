import { gatherRowsBackward, gatherRowsForward } from "../binding.generated.js";
import type { Scope } from "../scope.js";
import { shapeOf, type Tensor } from "../tensor.js";

/** y (R, C) = rows `rows` (i32, R) of x (M, C): the positions that the head is asked for. In x's dtype; its gradient is f32. */
export function gatherRows(scope: Scope, x: Tensor, rows: Tensor): Tensor {
  const [count = 0, channels = 0] = shapeOf("gatherRows", "x", x, 2);
  const [selected = 0] = shapeOf("gatherRows", "rows", rows, 1);
  const y = scope.empty([selected, channels], x.dtype, "gatherRows");
  gatherRowsForward(y, x, rows);
  scope.tape?.record({
    outputs: [y],
    inputs: [x],
    saved: [rows],
    backward: (inner, [dy]) => {
      if (dy === undefined) return [];
      const dx = inner.empty([count, channels]);
      gatherRowsBackward(dx, dy, rows);
      return [dx];
    },
  });
  return y;
}
