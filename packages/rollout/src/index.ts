export { checkText, columnOf, type PromptRow, readIdRows, readPrompts, singlePrompt } from "./prompt-rows.js";
export { checkRoom, type Rollout, type RolloutOptions, type RolloutPrompt, rollOut } from "./rollouts.js";
export {
  resolveSampling,
  type Sampling,
  type SamplingChoice,
  samplingOptions,
  stopIdsOf,
} from "./sampling.js";
export { atRow, renderPrompt, rowError, type TextSide, textSide } from "./text-side.js";
