export { type Accuracy, pairedGain, wilson, wilsonShare } from "./accuracy.js";
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
export {
  contentAsText,
  refuseSpecialTokens,
  type SpecialTokensInContent,
  specialTokenChoices,
  type TokenInContent,
  tokensInContent,
} from "./content-tokens.js";
export { type EncodeOptions, encodeConversation } from "./conversation.js";
export { type Converted, createConverter, originalColumn } from "./convert-row.js";
export { type DataFormat, dataFormats, detectFormat } from "./data-format.js";
export { type EncodingTools, planRow } from "./encoding.js";
export type { EncodedRow, EncodingPlan, LossOn } from "./encoding-plan.js";
export type { Contamination } from "./hygiene/contamination.js";
export { type ContaminationRule, fewestWords } from "./hygiene/contamination-rule.js";
export { findContamination } from "./hygiene/contamination-threads.js";
export { type Duplicates, openDuplicateFinder } from "./hygiene/duplicates.js";
export { type FaultOptions, faultChecks, faultsOf } from "./hygiene/row-faults.js";
export { textsOf, wholeText } from "./hygiene/row-texts.js";
export { testItemsOf } from "./hygiene/test-items.js";
export { wordsOf } from "./hygiene/words.js";
export { splitPrompt } from "./implicit-prompt.js";
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
export { type MixSource, mixSourceOf } from "./mix-rows.js";
export type { WhenNeeded } from "./model-texts.js";
export {
  type Packing,
  type PackingStrategy,
  type Piece,
  packBestFit,
  packPieces,
} from "./packing.js";
export { permutation, philox4x32, type RandomStream, randomStreams, uniform, uniform4 } from "./philox.js";
export { placeholderBytes, refusePlaceholder } from "./placeholder.js";
export { plainAnswer } from "./plain-answer.js";
export {
  loadPreferenceRows,
  type PreferenceCounts,
  type PreferenceDataset,
  type PreferenceDatasetOptions,
  type TokenizedPair,
} from "./preference-dataset.js";
export {
  type PreferenceFormat,
  type PreferenceRow,
  parsePreferenceRow,
  preferenceFormats,
} from "./preference-row.js";
export {
  type Asked,
  type AskedRow,
  askedByColumn,
  askedByRow,
  messagesOf,
  promptColumns,
} from "./prompt-row.js";
export { namingSchema } from "./reading/dataset-info.js";
export { placeText, type RowPlace, rowError } from "./reading/place.js";
export {
  type DataRow,
  dataDigest,
  mixRows,
  type OnProgress,
  type ReadRowsOptions,
  readRows,
} from "./reading/read-rows.js";
export { canonicalJson, createRecordIds } from "./record-id.js";
export { mostLogBytes, openRegularFile, readRegularFile } from "./regular-file.js";
export { type Reject, type RejectSummary, summarizeRejects } from "./rejects.js";
export {
  loadResponseRows,
  type ResponseCounts,
  type ResponseDataset,
  type ResponseDatasetOptions,
  type TokenizedResponses,
} from "./response-dataset.js";
export {
  parseLabels,
  parseResponseRow,
  type ResponseFormat,
  type ResponseRow,
  responseFormats,
} from "./response-row.js";
export { type ContentToken, openBooks, type RowCounts } from "./row-books.js";
export {
  loadSftRows,
  type SftCounts,
  type SftDataset,
  type SftDatasetOptions,
  type TokenizedRow,
} from "./sft-dataset.js";
export {
  IGNORED_LABEL,
  parseSftRow,
  type Rendering,
  type RowFormat,
  rowFormats,
  type SftRow,
} from "./sft-row.js";
export { shortened } from "./shortened.js";
export { type Split, splitPairs, splitRows } from "./split.js";
export { type Survey, surveyRows } from "./survey.js";
export { saidAfter, UNENDED_THINKING, withoutThinking } from "./thinking.js";
export { createTokenBatches, type PlannedRow, readTokenRows } from "./token-rows.js";
export {
  type DecodeOptions,
  type DecodeStream,
  findTokenizer,
  loadTokenizer,
  type TextStart,
  type Tokenizer,
} from "./tokenizer.js";
export { type TurnEnd, type TurnEnds, templateEnd, turnEndsOf } from "./turn-ends.js";
export { UserError } from "./user-error.js";
export { type Outcome, outcomes, type Verdict } from "./verdict.js";
export { createParquetFile } from "./writing/parquet-file.js";
