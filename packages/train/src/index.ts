export { type AdamwOptions, adamwRule } from "./adamw.js";
export { Diverged, finishStep, quarantine, type StepOptions } from "./finish-step.js";
export { identityOf } from "./identity.js";
export type { Averaged } from "./logged-means.js";
export {
  type SequenceSize,
  type StageSteps,
  type TrainingMemory,
  type TrainingShape,
  trainingMemory,
} from "./memory.js";
export {
  createOptimizer,
  gradientNorm,
  type Optimizer,
  optimizerStep,
  type UpdatedParameter,
  type UpdateRule,
  type UpdateStep,
} from "./optimizer.js";
export { loadOptimizer, saveOptimizer } from "./optimizer-state.js";
export {
  adamwOf,
  checkTraining,
  type IdentityRole,
  type RowConfig,
  rateOf,
  rowOptions,
  type TrainingConfig,
  trainingOptions,
  withRole,
} from "./options.js";
export {
  microBatchBytes,
  type PlannedMachine,
  type PlannedOptions,
  type PlannedRun,
  planTraining,
  refusalOf,
  refuseWhatCannotFit,
  type TrainingPlan,
} from "./plan.js";
export { learningRateAt, type Schedule } from "./schedule.js";
export { planSteps, type StepPlan, stepRows, totalStepsOf, type Unit } from "./steps.js";
export type { TrainerState } from "./trainer-state.js";
export {
  type End,
  type Finished,
  openTraining,
  type StepMetrics,
  type Training,
  type TrainingSetup,
} from "./training.js";
