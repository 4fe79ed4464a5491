import { gatherIdsForward } from "../binding.generated.js";
import type { Tensor } from "../tensor.js";

/** y (i32, R) = the entries `rows` (i32, R) of x (i32, M). y is given, because it may be a part of a larger list of ids. */
export function gatherIds(y: Tensor, x: Tensor, rows: Tensor): void {
  gatherIdsForward(y, x, rows);
}
