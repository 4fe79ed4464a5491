import { fillForward, linearsBackward, linearsForward } from "../binding.generated.js";
import { KernelError } from "../errors.js";
import type { Scope } from "../scope.js";
import { type FloatDtype, shapeOf, type Tensor } from "../tensor.js";

export interface LinearMap {
  readonly weight: Tensor;
  readonly bias?: Tensor;
  /** Of y; default f32. */
  readonly dtype?: FloatDtype;
}

/**
 * Two or three linear maps of one x (M, K) in one go, a y each: the same bits as linear() of each, and the gradient of x that a tape adds up
 * from them. Weights are of one dtype.
 */
export function linears(scope: Scope, x: Tensor, maps: readonly LinearMap[]): readonly Tensor[] {
  if (maps.length !== 2 && maps.length !== 3) {
    throw new KernelError("kernel_argument", `linears: ${maps.length} maps, expected 2 or 3`);
  }
  const [rows = 0] = shapeOf("linears", "x", x, 2);
  const ys = maps.map(({ weight, dtype }, i) => {
    const [outputs = 0] = shapeOf("linears", `weight${i + 1}`, weight, 2);
    return scope.empty([rows, outputs], dtype ?? "f32", "linears");
  });
  const three = <T>(of: (map: LinearMap, i: number) => T): [T, T, T | null] => {
    const [first, second, third] = maps as [LinearMap, LinearMap, LinearMap?];
    return [of(first, 0), of(second, 1), third === undefined ? null : of(third, 2)];
  };
  const weights = three(({ weight }) => weight);
  linearsForward(...three((_, i) => ys[i] as Tensor), x, ...weights, ...three(({ bias }) => bias ?? null));
  scope.tape?.record({
    outputs: ys,
    inputs: [x],
    saved: [],
    replaceable: [x],
    backward: (inner, dys, [input = x]) => {
      const dx = inner.empty(x.shape);
      const given = three((_, i) => dys[i] ?? zero(inner, (ys[i] as Tensor).shape));
      linearsBackward(
        dx,
        ...three(({ weight }) => weight.gradient ?? null),
        ...three(({ bias }) => bias?.gradient ?? null),
        ...given,
        input,
        ...weights,
      );
      return [dx];
    },
  });
  return ys;
}

/** The gradient of an output that nobody used. */
function zero(scope: Scope, shape: readonly number[]): Tensor {
  const made = scope.empty(shape);
  fillForward(made, 0);
  return made;
}
