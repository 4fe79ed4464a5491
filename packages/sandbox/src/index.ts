export { type HumanEvalRow, humanEvalTask, type MbppRow, mbppTask } from "./benchmarks.js";
export { completePython } from "./complete.js";
export { definitionsOf, readsInput } from "./definitions.js";
export { type Extracted, type ExtractOptions, extractCode, sanitizePython } from "./extract.js";
export { codeBlocks } from "./fences.js";
export { type CheckerTest, gradeCode, judgeWith, type ProgramRun, runProgram, testChecker } from "./grade.js";
export type { Limits } from "./limits.js";
export { type Proof, refusal, unproven } from "./needed-limits.js";
export { isPython } from "./python-source.js";
export { nativeSelfTest, type SelfTest } from "./self-test.js";
export {
  type AssertsTask,
  type CallCase,
  type CallsTask,
  type Checker as CodeChecker,
  type CodeTask,
  comparisonKinds,
  type GradeOptions,
  judgeLanguages,
  type Language,
  languages,
  type OutputComparison,
  type QueryTask,
  type Route,
  type StdioCase,
  type StdioTask,
  type ValueComparison,
} from "./task.js";
export { closeIdle as closeSandboxes } from "./wasm.js";
