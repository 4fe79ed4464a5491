// Inputs of the benchmark.
import type { FloatDtype, Scope, Tensor } from "@posttrain/kernels";

/** Random values of deviation about 0.6 / sqrt(last dimension): sums of products stay near one, and no kernel meets zeros. */
export function filled(scope: Scope, shape: readonly number[], dtype: FloatDtype = "f32"): Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  const scale = 2 / Math.sqrt(shape.at(-1) ?? 1);
  // A short random run, repeated: making a hundred million of them one by one would take longer than what is timed.
  const period = Math.min(size, 65_521);
  let state = 12345;
  const run = Float32Array.from({ length: period }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return (state / 2 ** 32) * scale;
  });
  if (dtype === "f32") return scope.from(repeated(run, new Float32Array(size)), shape);
  const halves = Uint16Array.from(new Uint32Array(run.buffer), (bits) => bits >>> 16);
  return scope.from(repeated(halves, new Uint16Array(size)), shape, "bf16");
}

function repeated<T extends Float32Array | Uint16Array>(run: T, whole: T): T {
  for (let at = 0; at < whole.length; at += run.length) {
    whole.set(run.subarray(0, Math.min(run.length, whole.length - at)) as never, at);
  }
  return whole;
}
