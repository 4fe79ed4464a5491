export { type EvaluateConfig, evaluateConfig } from "./config.js";
export { type Grading, openGrading } from "./grading.js";
export type { Answered, Measure, Metric } from "./measures.js";
export { examplesFor, type Question, type ReadOptions, readingOf, readQuestions } from "./questions.js";
export {
  type Asked,
  type Graded,
  type Grader,
  type ModelResponse,
  type Prompts,
  type RespondOptions,
  renderPrompts,
  respondSeveral,
} from "./respond.js";
export { type Evaluation, makeResultFolder, resultsOf, writeResults } from "./results.js";
export { type Spread, spreadOf } from "./spread.js";
export { type Score, type Summary, summarize } from "./summary.js";
export { resultTable, settingsLine } from "./table.js";
export type { Task } from "./tasks.js";
export { verifierGrader } from "./verifier-grader.js";
