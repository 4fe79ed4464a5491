export {
  type AnswerGrader,
  type AnswerGraderOptions,
  type AnswerRequest,
  createAnswerGrader,
} from "./answer-grader.js";
export type { CompareOptions } from "./compare-trees.js";
export {
  type ExactMatchExtraction,
  exactMatch,
  exactMatchExtractions,
  isExactMatch,
  referenceAnswer,
} from "./exact-match.js";
export { type Extraction, type ExtractionOptions, type ExtractionRule, extractAnswer } from "./extract.js";
export { type AnswerMode, type AnswerOptions, answerModes, gradeAnswer } from "./grade.js";
export { stripString } from "./published/hendrycks.js";
export { type AnswerScorer, openInstructScorers } from "./published/open-instruct.js";
export { type F1Convention, normaliseText, type TokenF1, tokenF1 } from "./text-answers.js";
