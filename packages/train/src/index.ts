export {
  type AdamwOptions,
  createOptimizer,
  gradientNorm,
  type Optimizer,
  optimizerStep,
} from "./optimizer.js";
export { loadOptimizer, optimizerBytes, saveOptimizer } from "./optimizer-state.js";
export { learningRateAt, type Schedule, scheduleTypes } from "./schedule.js";
