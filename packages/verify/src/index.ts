export {
  type AnswerGrader,
  type AnswerGraderOptions,
  type AnswerRequest,
  createAnswerGrader,
} from "./answers/answer-grader.js";
export type { CompareOptions } from "./answers/compare-trees.js";
export {
  type Extraction,
  type ExtractionOptions,
  type ExtractionRule,
  extractAnswer,
} from "./answers/extract.js";
export { type AnswerMode, type AnswerOptions, answerModes, gradeAnswer } from "./answers/grade.js";
export { stripString } from "./answers/hendrycks.js";
export { type AnswerScorer, openInstructScorers } from "./answers/open-instruct.js";
export { type F1Convention, type TokenF1, tokenF1 } from "./answers/text-answers.js";
export { type HumanEvalRow, humanEvalTask, type MbppRow, mbppTask } from "./code/benchmarks.js";
export { completePython } from "./code/complete.js";
export {
  type Extracted,
  type ExtractOptions,
  extractCode,
  sanitizePython,
} from "./code/extract.js";
export {
  type CheckerTest,
  gradeCode,
  judgeWith,
  type ProgramRun,
  runProgram,
  testChecker,
} from "./code/grade.js";
export type { Limits } from "./code/limits.js";
export { type GradingPool, gradingPool } from "./code/pool.js";
export { nativeSelfTest, type Proof, provenLayout, type SelfTest } from "./code/self-test.js";
export type {
  AssertsTask,
  CallCase,
  CallsTask,
  Checker as CodeChecker,
  CodeTask,
  GradeOptions,
  Language,
  OutputComparison,
  QueryTask,
  Route,
  StdioCase,
  StdioTask,
  ValueComparison,
} from "./code/task.js";
export { closeIdle as closeSandboxes } from "./code/wasm.js";
export {
  checkInstructions,
  type InstructionRequest,
  type InstructionResult,
  type InstructionVerdict,
  type Strictness,
} from "./instructions/check.js";
export type {
  CheckedKind,
  Checker,
  Finding,
  InstructionKind,
  Random,
} from "./instructions/instruction.js";
export { findKind, goTogether, instructionKinds } from "./instructions/kinds.js";
export { detectLanguage } from "./language.js";
export { shortened } from "./shortened.js";
export { saidAfter, withoutThinking } from "./thinking.js";
export { type Outcome, outcomes, type Verdict } from "./verdict.js";
export {
  fromTrlReward,
  fromVerlScore,
  type Grade,
  type TrlReward,
  type VerlScore,
} from "./verifiers/adapters.js";
export type { CanaryKind } from "./verifiers/canaries.js";
export type { Detected, Detection } from "./verifiers/detect.js";
export {
  type FileGrading,
  type GradeFileOptions,
  type GradingPlan,
  type GradingProgress,
  gradeFile,
  type UnfitRow,
  unfitError,
} from "./verifiers/grade-file.js";
export type { GradingReport, PlacedVerdict, VerifierSummary } from "./verifiers/grading-report.js";
export {
  isModulePath,
  type OwnVerifier,
  type OwnVerifierOptions,
  openOwnVerifier,
} from "./verifiers/own-verifier.js";
export { type Problems, readProblems } from "./verifiers/problems.js";
export {
  detectVerifier,
  type GradedResponse,
  openVerifiers,
  type Verifier,
  type Verifiers,
  type VerifiersOptions,
  verifierList,
  verifierNames,
} from "./verifiers/registry.js";
export { type FoundResponses, type Responses, responseColumns, responsesOf } from "./verifiers/responses.js";
export {
  type CanaryGroupResult,
  type CanaryResult,
  type SelfTestOptions,
  type SelfTestReport,
  selfTest,
} from "./verifiers/self-test.js";
export {
  programOptions,
  programSettings,
  type Row,
  type VerifierSettings,
  verifierSettings,
} from "./verifiers/verifier.js";
