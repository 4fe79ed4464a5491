import { convertForward } from "../binding.generated.js";
import type { Tensor } from "../tensor.js";

/** Copies x into y, converting between dtypes (any to f32; f32 to bf16, f16, f64: nearest, ties to even). Same number of elements. */
export function convert(y: Tensor, x: Tensor): void {
  convertForward(y, x);
}
