export {
  fromTrlReward,
  fromVerlScore,
  type Grade,
  type TrlReward,
  type VerlScore,
} from "./adapters.js";
export type { CanaryKind } from "./canaries.js";
export type { Detected, Detection } from "./detect.js";
export {
  type FileGrading,
  type GradeFileOptions,
  type GradingPlan,
  type GradingProgress,
  gradeFile,
  type UnfitRow,
  unfitError,
} from "./grade-file.js";
export { gradeOnWorkers } from "./grading-jobs.js";
export {
  type ChosenVerifiers,
  type GradingOptions,
  gradingOptions,
  openChosenVerifiers,
} from "./grading-options.js";
export type { GradingReport, PlacedVerdict, VerifierSummary } from "./grading-report.js";
export { type GradingWorker, openGradingWorker } from "./grading-worker.js";
export {
  createJournalledGrader,
  type GradedQuestion,
  type JournalledGrader,
  type NamedVerdict,
} from "./journalled-grader.js";
export { isModulePath } from "./own-module.js";
export { type OwnReward, type OwnScore, openOwnReward } from "./own-reward.js";
export { type OwnVerifier, type OwnVerifierOptions, openOwnVerifier } from "./own-verifier.js";
export { type Problems, readProblems, wholeRow } from "./problems.js";
export {
  detectVerifier,
  type GradedResponse,
  gradeSaid,
  openVerifiers,
  type Verifier,
  type Verifiers,
  type VerifiersOptions,
  verifierNames,
} from "./registry.js";
export { responseColumns, responsesOf, withResponse } from "./responses.js";
export {
  type CanaryGroupResult,
  type CanaryResult,
  proveGraders,
  type SelfTestOptions,
  type SelfTestReport,
  selfTest,
} from "./self-test.js";
export {
  type Judged,
  programOptions,
  programSettings,
  type Row,
  type VerifierSettings,
} from "./verifier.js";
