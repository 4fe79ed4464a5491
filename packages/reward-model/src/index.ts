export { type RewardConfig, rewardConfig } from "./config.js";
export { type RewardDataConfig, rewardDataConfig } from "./data/config.js";
export {
  isWhole,
  makeRewardData,
  type RewardDataProgress,
  type RewardDataReport,
} from "./data/make.js";
export { type EvalReport, givenScoresOf, reportOf, scoreItems } from "./eval/evaluate.js";
export { type EvalFormat, evalFormats } from "./eval/formats.js";
export type { EvalItem } from "./eval/item.js";
export { type EvalSets, readEvalSets } from "./eval/read.js";
export { type Labels, type PreferenceLoss, pairsOf, preferenceLoss } from "./loss.js";
export type { RewardEvalMetrics, RewardMetrics } from "./metrics.js";
export { openOnnxScorer } from "./onnx-scorer.js";
export { choosePadding, type Padding } from "./padding.js";
export { plannedReward } from "./plan.js";
export { prepareRewardData, type RewardData } from "./rows.js";
export { type SequenceScores, scoreSequences, sumHeads } from "./score.js";
export { modelScorer, modelScores, type Score, type Scorer } from "./scorer.js";
export { openScoringWorker, type ScoringWorker, scoresOnWorkers } from "./scoring-jobs.js";
export {
  evaluateReward,
  type RewardLossOptions,
  type RewardNumbers,
  type RewardRow,
  type RewardStepResult,
  rewardStep,
} from "./step.js";
export { type RewardReport, type RewardResult, type RewardStart, runReward } from "./train.js";
