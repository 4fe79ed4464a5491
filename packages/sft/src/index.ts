export { build } from "./builders/all.js";
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
export {
  type BuildProgress,
  type BuildReport,
  type BuildRun,
  isWhole as isWholeBuild,
} from "./builders/build.js";
export { type BuildConfig, buildConfig } from "./builders/config.js";
export { type SftConfig, sftConfig } from "./config.js";
export type { SftLoss } from "./loss.js";
export type { SftEvalMetrics, SftMetrics } from "./metrics.js";
export { type MicroBatch, microBatch } from "./micro-batch.js";
export { plannedSft, residentBytes, sftSteps } from "./plan.js";
export { prepareSftData, type SftData, type SftRowOptions } from "./rows.js";
export { type SftEvaluation, type SftStepResult, sftStep } from "./step.js";
export {
  runSft,
  type SftReport,
  type SftResult,
  type SftStart,
} from "./train.js";
