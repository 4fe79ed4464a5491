export { type AdamwOptions, adamwRule } from "./adamw.js";
export {
  createOptimizer,
  gradientNorm,
  type Optimizer,
  optimizerStep,
  type UpdatedParameter,
  type UpdateRule,
  type UpdateStep,
} from "./optimizer.js";
export { loadOptimizer, optimizerBytes, saveOptimizer } from "./optimizer-state.js";
export { learningRateAt, type Schedule, scheduleTypes } from "./schedule.js";
