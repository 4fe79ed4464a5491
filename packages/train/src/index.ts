export { type AdamwOptions, adamwRule } from "./adamw.js";
export { Diverged, finishStep, type StepOptions } from "./finish-step.js";
export { identityOf } from "./identity.js";
export type { Averaged } from "./logged-means.js";
export {
  type SequenceSize,
  type StageSteps,
  type TrainingMemory,
  type TrainingShape,
  trainingMemory,
} from "./memory.js";
export { type OnlineMergingOptions, onlineMergingRule } from "./online-merging.js";
export {
  createOptimizer,
  type Filled,
  type FixedArenas,
  fillFixed,
  gradientNorm,
  type Optimizer,
  optimizerStep,
  reportedMetrics,
  type UpdatedParameter,
  type UpdateRule,
  type UpdateStep,
} from "./optimizer.js";
export { loadOptimizer, saveOptimizer } from "./optimizer-state.js";
export {
  checkTraining,
  dtypeOf,
  type IdentityRole,
  type RowConfig,
  type RuleConfig,
  rateOf,
  rowOptions,
  ruleOf,
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
export { type Ranks, ranksOf } from "./ranks.js";
export { rowDigests } from "./row-digests.js";
export type { ListedRow, RowLists } from "./row-lists.js";
export {
  type EvaluationLine,
  type RowReport,
  type RowResult,
  type RowRun,
  type RowStage,
  type RowStart,
  runOnRows,
  type ShownRows,
  type StepLine,
} from "./row-run.js";
export { refuseOtherVocabulary } from "./same-vocabulary.js";
export { learningRateAt, type Schedule } from "./schedule.js";
export { eachMicroBatch } from "./shards.js";
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
