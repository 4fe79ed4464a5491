// Learning-rate schedules with the names and numbers of transformers' get_scheduler. A warm-up is linear from 0: its first step has
// rate 0. `constant` has none; linear and cosine decay to a floor (transformers' cosine_with_min_lr).

export const scheduleTypes = ["linear", "cosine", "constant", "constant_with_warmup"] as const;

export interface Schedule {
  readonly type: (typeof scheduleTypes)[number];
  /** The largest rate. */
  readonly peak: number;
  /** What linear and cosine decay to. */
  readonly floor: number;
  readonly warmupSteps: number;
  /** Optimizer steps in all. */
  readonly totalSteps: number;
}

/** The rate of optimizer step `step`, counted from 1. */
export function learningRateAt(
  { type, peak, floor, warmupSteps, totalSteps }: Schedule,
  step: number,
): number {
  const done = step - 1;
  if (type === "constant") return peak;
  if (done < warmupSteps) return (peak * done) / Math.max(1, warmupSteps);
  if (type === "constant_with_warmup") return peak;
  const progress = Math.min(1, (done - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
  const factor = type === "linear" ? 1 - progress : 0.5 * (1 + Math.cos(Math.PI * progress));
  return floor + (peak - floor) * factor;
}
