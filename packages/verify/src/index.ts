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
export { type TokenF1, tokenF1 } from "./answers/text-answers.js";
export { type HumanEvalRow, humanEvalTask, type MbppRow, mbppTask } from "./code/benchmarks.js";
export {
  completePython,
  type Extracted,
  type ExtractOptions,
  extractCode,
  sanitizePython,
} from "./code/extract.js";
export { extractLikeSandboxFusion, type SandboxFusionOptions } from "./code/extract-sandboxfusion.js";
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
export { type Outcome, outcomes, type Verdict } from "./verdict.js";
