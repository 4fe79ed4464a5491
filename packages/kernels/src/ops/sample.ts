import { sampleForward } from "../binding.generated.js";
import type { Scope } from "../scope.js";
import { shapeOf, type Tensor } from "../tensor.js";

/** One entry a row. temperature 0: greedy. topK 0, topP 1, minP 0, repetitionPenalty 1: off. */
export interface SampleSettings {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  /** Ids that the penalty applies to, each once. */
  readonly seen: readonly number[];
  /** In [0, 1): decides the draw. */
  readonly uniform: number;
}

/**
 * Draws one token for each row of x (M, C) from softmax(x weight^T / T) after penalty, top-k, top-p and min-p (in this order), among the
 * first `drawable` rows of weight (V, C). logProb and entropy are those of the tempered distribution over all V rows before these
 * filters (temperature 0: those of temperature 1), the same bits as tokenLogProbs.
 */
export function sample(
  scope: Scope,
  x: Tensor,
  weight: Tensor,
  settings: readonly SampleSettings[],
  drawable: number,
): { readonly tokens: Tensor; readonly logProb: Tensor; readonly entropy: Tensor } {
  const [rows = 0] = shapeOf("sample", "x", x, 2);
  const tokens = scope.empty([rows], "i32", "sample");
  const logProb = scope.empty([rows], "f32", "sample");
  const entropy = scope.empty([rows], "f32", "sample");
  scope.child((inner) => {
    const floats = (of: (s: SampleSettings) => number) => inner.from(Float32Array.from(settings, of));
    const starts = new Int32Array(settings.length + 1);
    for (const [i, s] of settings.entries()) starts[i + 1] = (starts[i] ?? 0) + s.seen.length;
    sampleForward(
      tokens,
      logProb,
      entropy,
      x,
      weight,
      floats((s) => (s.temperature === 0 ? 0 : 1 / s.temperature)),
      inner.from(Int32Array.from(settings, (s) => s.topK)),
      floats((s) => s.topP),
      floats((s) => s.minP),
      floats((s) => s.repetitionPenalty),
      inner.from(Int32Array.from(settings.flatMap((s) => s.seen))),
      inner.from(starts),
      inner.from(Float64Array.from(settings, (s) => s.uniform)),
      drawable,
    );
    return undefined;
  });
  // A dry device draws nothing and leaves what was there before, which the next step would look up: 0 is a row of every table.
  if (scope.device.dry) tokens.write(new Int32Array(rows));
  return { tokens, logProb, entropy };
}
