import { ropeTableForward } from "../binding.generated.js";
import type { Scope } from "../scope.js";
import { shapeOf, type Tensor } from "../tensor.js";

/** Cosines and sines (M, D/2) of position x frequency, times a scale; the angles are taken in double precision. */
export interface RopeTable {
  readonly cosines: Tensor;
  readonly sines: Tensor;
}

/** positions (i32, M), frequencies (f64, D/2): one for each pair of dimensions. */
export function ropeTable(scope: Scope, positions: Tensor, frequencies: Tensor, scale: number): RopeTable {
  const [rows = 0] = shapeOf("ropeTable", "positions", positions, 1);
  const [pairs = 0] = shapeOf("ropeTable", "frequencies", frequencies, 1);
  const cosines = scope.empty([rows, pairs], "f32", "ropeTable");
  const sines = scope.empty([rows, pairs], "f32", "ropeTable");
  ropeTableForward(cosines, sines, positions, frequencies, scale);
  return { cosines, sines };
}
