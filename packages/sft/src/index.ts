export { type MicroBatch, microBatch, planSteps, type StepPlan, stepBatches } from "./batches.js";
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
export {
  runSft,
  type SftMetrics,
  type SftReport,
  type SftResult,
  type SftStepOptions,
  type SftStepResult,
  sftStep,
} from "./train.js";
