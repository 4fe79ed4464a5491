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
export type { GradingReport, PlacedVerdict, VerifierSummary } from "./grading-report.js";
export {
  isModulePath,
  type OwnVerifier,
  type OwnVerifierOptions,
  openOwnVerifier,
} from "./own-verifier.js";
export { type Problems, readProblems } from "./problems.js";
export {
  detectVerifier,
  type GradedResponse,
  openVerifiers,
  type Verifier,
  type Verifiers,
  type VerifiersOptions,
  verifierNames,
} from "./registry.js";
export {
  type CanaryGroupResult,
  type CanaryResult,
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
  verifierSettings,
} from "./verifier.js";
