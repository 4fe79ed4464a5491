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
  Checker,
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
export { type Outcome, outcomes, type Verdict } from "./verdict.js";
