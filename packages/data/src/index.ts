export {
  type AnswerText,
  type AnswerTextOptions,
  answerText,
  createAnswerText,
  stopWatch,
} from "./answer-text.js";
export { maxTokenizerBytes } from "./bounded-tokenizer.js";
export { byteText } from "./byte-text.js";
export {
  type ChatTemplate,
  compileChatTemplate,
  loadChatTemplate,
  namedTemplates,
  type RenderOptions,
  type TemplateSource,
} from "./chat-template.js";
export { type SpecialTokensInContent, specialTokenChoices, type TokenInContent } from "./content-tokens.js";
export { type EncodeOptions, encodeConversation } from "./conversation.js";
export { type EncodingTools, planRow } from "./encoding.js";
export type { EncodedRow, EncodingPlan, LossOn } from "./encoding-plan.js";
export { splitPrompt } from "./implicit-prompt.js";
export { type JsonlOptions, type JsonlRecord, type OnProgress, readJsonl } from "./jsonl.js";
export {
  asDouble,
  asPythonJson,
  isJsonNumber,
  isJsonObject,
  type JsonNumber,
  LosslessNumber,
  parseJson,
  pythonFloat,
  sameDecimal,
  stringifyJson,
  withDoubles,
} from "./lossless-json.js";
export type { ChatMessage, ToolCall } from "./messages.js";
export {
  type Packing,
  type PackingStrategy,
  type Piece,
  packBestFit,
  packPieces,
} from "./packing.js";
export { permutation, philox4x32, type RandomStream, uniform, uniform4 } from "./philox.js";
export { placeholderBytes, refusePlaceholder } from "./placeholder.js";
export { plainAnswer } from "./plain-answer.js";
export { canonicalJson, createRecordIds } from "./record-id.js";
export { mostLogBytes, openRegularFile, readRegularFile } from "./regular-file.js";
export { type Reject, type RejectSummary, summarizeRejects } from "./rejects.js";
export type { RowPlace } from "./row-check.js";
export {
  type ContentToken,
  loadSftRows,
  type SftCounts,
  type SftDataset,
  type SftDatasetOptions,
  type TokenizedRow,
  type WhenNeeded,
} from "./sft-dataset.js";
export { IGNORED_LABEL, parseSftRow, type RowFormat, rowFormats, type SftRow } from "./sft-row.js";
export { shortened } from "./shortened.js";
export { type Split, splitRows } from "./split.js";
export { saidAfter, UNENDED_THINKING, withoutThinking } from "./thinking.js";
export {
  type DecodeOptions,
  type DecodeStream,
  loadTokenizer,
  type TextStart,
  type Tokenizer,
} from "./tokenizer.js";
export { type TurnEnd, type TurnEnds, templateEnd, turnEndsOf } from "./turn-ends.js";
export { UserError } from "./user-error.js";
export { type Outcome, outcomes, type Verdict } from "./verdict.js";
