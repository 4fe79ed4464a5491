export {
  checkInstructions,
  type InstructionRequest,
  type InstructionResult,
  type InstructionVerdict,
  type Strictness,
} from "./instructions/check.js";
export type {
  CheckedKind,
  Checker,
  Finding,
  InstructionKind,
  Random,
} from "./instructions/instruction.js";
export { findKind, goTogether, instructionKinds } from "./instructions/kinds.js";
export { detectLanguage } from "./language.js";
export { type Outcome, outcomes, type Verdict } from "./verdict.js";
