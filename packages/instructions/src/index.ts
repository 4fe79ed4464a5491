export {
  checkInstructions,
  type InstructionRequest,
  type InstructionResult,
  type InstructionVerdict,
  type Strictness,
} from "./check.js";
export type {
  CheckedKind,
  Checker,
  Finding,
  InstructionKind,
  Random,
} from "./instruction.js";
export { findKind, goTogether, instructionKinds } from "./kinds.js";
export { detectLanguage, languageCodes } from "./language.js";
