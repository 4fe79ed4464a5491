import { fillForward } from "../binding.generated.js";
import type { Tensor } from "../tensor.js";

/** Sets every element of an f32 or bf16 tensor to `value`, rounded to its dtype. */
export function fill(y: Tensor, value: number): void {
  fillForward(y, value);
}
