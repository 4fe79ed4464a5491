export { type Accuracy, wilson } from "./accuracy.js";
export { type EvaluateConfig, evaluateConfig } from "./config.js";
export { type Extraction, extractAnswer, extractions, isExactMatch, referenceAnswer } from "./extract.js";
export { exactMatch, type Grader, type ModelResponse } from "./grade.js";
export { examplesFor, type Question, readQuestions } from "./questions.js";
export {
  type Asked,
  type Graded,
  type Prompts,
  type RespondOptions,
  renderPrompts,
  respond,
} from "./respond.js";
export { type Evaluation, makeResultFolder, resultsOf, writeResults } from "./results.js";
export { type Score, type Summary, summarize } from "./summary.js";
export { resultTable, settingsLine } from "./table.js";
