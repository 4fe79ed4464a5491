export { checkpointsByDigest } from "./checkpoints.js";
export {
  type Comparison,
  type Criterion,
  type Judge,
  type Judgement,
  type JudgeOptions,
  openJudge,
  type Preference,
  type Ruling,
} from "./judge.js";
export { localTeacher } from "./local-teacher.js";
export { type OnnxTeacher, openOnnxTeacher } from "./onnx-teacher.js";
export {
  allOf,
  type ConversationRow,
  checkText,
  columnOf,
  type IdRow,
  type IdRows,
  openPrompt,
  type PromptRow,
  type RowPlan,
  readConversations,
  readIdRows,
  readPrompts,
  servedMessages,
  singleConversation,
  singlePrompt,
} from "./prompt-rows.js";
export { arithmeticOf, type SamplingWorkers, sampleOnWorkers } from "./rollout-jobs.js";
export { openRolloutWorker, type RolloutWorker } from "./rollout-worker.js";
export { checkRoom, type Rollout, type RolloutOptions, type RolloutPrompt, rollOut } from "./rollouts.js";
export type { Sampler } from "./sampler.js";
export {
  resolveSampling,
  type Sampling,
  type SamplingChoice,
  samplingOptions,
  servedSampling,
  stopIdsOf,
} from "./sampling.js";
export {
  rollOutServed,
  type ServedOptions,
  type ServedPrompt,
  type ServedRollout,
} from "./served-rollouts.js";
export { openServer, type Server, type ServerChoice, serverOptions } from "./server.js";
export {
  openTeacher,
  type Teacher,
  type TeacherCounters,
  type TeacherOptions,
  type TeacherReply,
  type TeacherRequest,
} from "./teacher.js";
export {
  atRow,
  type OpenPrompt,
  type PromptStart,
  promptStarts,
  rowError,
  type TextSide,
  textSide,
} from "./text-side.js";
