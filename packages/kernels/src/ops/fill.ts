import { fillForward } from "../binding.generated.js";
import type { Tensor } from "../tensor.js";

/** Sets every element of an f32 tensor to `value`. */
export function fill(y: Tensor, value: number): void {
  fillForward(y, value);
}
