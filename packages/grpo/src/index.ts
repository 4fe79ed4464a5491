export { type AdvantageOptions, advantagesOf, type Rewards } from "./advantages.js";
export { type AggregationName, type EpisodeResponses, responseWeights } from "./aggregation.js";
export type { Alarm } from "./alarms.js";
export { type GrpoConfig, grpoConfig, promptsPerEpisode } from "./config.js";
export type { Episode } from "./episode.js";
export type { PolicyLossOptions, ResponseCounts } from "./loss.js";
export type { TrainedResponse } from "./micro-batch.js";
export { plannedGrpo } from "./plan.js";
export type { Prompt, PromptData } from "./prompts.js";
export { movers, type QueuedPrompt, type QueueReport, readQueue } from "./queue-report.js";
export type { Reward, RewardSource, Sample, Scored } from "./rewards.js";
export { openRewardSources, type RewardModel, type RewardSources } from "./sources.js";
export { type PolicyStepOptions, type PolicyStepResult, policyStep, responseLogProbs } from "./step.js";
export {
  type GrpoData,
  type GrpoEvalMetrics,
  type GrpoMetrics,
  type GrpoReport,
  type GrpoResult,
  type GrpoStart,
  prepareGrpo,
  runGrpo,
} from "./train.js";
