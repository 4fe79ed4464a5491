export { type DpoConfig, dpoConfig } from "./config.js";
export { type DpoLossOptions, type LossType, lossTypes } from "./loss.js";
export type { DpoEvalMetrics, DpoMetrics } from "./metrics.js";
export { pairBatch, pairSums } from "./pair-batch.js";
export type { SkipReason } from "./pairs/choose.js";
export { type PairsConfig, pairsConfig } from "./pairs/config.js";
export type { MakeProgress, VerifierYield } from "./pairs/make.js";
export {
  type LetterVerdict,
  type ReviewRow,
  readReviewFile,
  saveReviewFile,
  writeReviewFile,
} from "./pairs/review-file.js";
export {
  judgeReviewer,
  type Reviewer,
  type Scorer,
  scorerReviewer,
  verifierReviewer,
} from "./pairs/reviewers.js";
export { type PairsPlan, type PairsReport, type PairsRun, runPairs } from "./pairs/run-pairs.js";
export { type ReviewReport, type ReviewRun, runReview } from "./pairs/run-review.js";
export { plannedDpo } from "./plan.js";
export { type DpoData, prepareDpoData, sequencesOf } from "./rows.js";
export { dpoStep } from "./step.js";
export { type DpoReport, type DpoResult, type DpoStart, runDpo } from "./train.js";
