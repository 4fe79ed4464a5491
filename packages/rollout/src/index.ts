export {
  allOf,
  checkText,
  columnOf,
  type PromptRow,
  readIdRows,
  readPrompts,
  singlePrompt,
} from "./prompt-rows.js";
export { checkRoom, type Rollout, type RolloutOptions, type RolloutPrompt, rollOut } from "./rollouts.js";
export {
  resolveSampling,
  type Sampling,
  type SamplingChoice,
  samplingOptions,
  stopIdsOf,
} from "./sampling.js";
export {
  openTeacher,
  type Teacher,
  type TeacherCounters,
  type TeacherOptions,
  type TeacherReply,
  type TeacherRequest,
} from "./teacher.js";
export { atRow, renderPrompt, rowError, startOf, type TextSide, textSide } from "./text-side.js";
