export {
  type MicroBatch,
  microBatch,
  planSteps,
  type StepPlan,
  stepBatches,
  totalStepsOf,
  type Unit,
} from "./batches.js";
export {
  type ArithmeticKind,
  type ArithmeticOptions,
  type ArithmeticProblem,
  type ArithmeticRow,
  arithmeticKinds,
  arithmeticProblem,
  arithmeticQuestion,
  arithmeticRow,
  distinctArithmeticProblems,
  extractArithmeticAnswer,
  isArithmeticCorrect,
  isHeldOut,
  longOperands,
  type OperandLengths,
  shortOperands,
} from "./builders/arithmetic.js";
export { type SftConfig, sftConfig } from "./config.js";
export { type SftLoss, sftLoss } from "./loss.js";
export { type TrainingMemory, trainingMemory } from "./memory.js";
export type { SftEvalMetrics, SftMetrics } from "./metrics.js";
export { planSft, refusalOf, residentBytes, type SftPlan } from "./plan.js";
export { prepareSftData, type SftData, type SftRowOptions } from "./rows.js";
export {
  Diverged,
  evaluateSft,
  type SftEvaluation,
  type SftStepOptions,
  type SftStepResult,
  sftStep,
} from "./step.js";
export {
  runSft,
  type SftReport,
  type SftResult,
  type SftStart,
} from "./train.js";
