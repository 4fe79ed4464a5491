export {
  type ChatTemplate,
  compileChatTemplate,
  loadChatTemplate,
  type RenderOptions,
  type TemplateSource,
} from "./chat-template.js";
export {
  type EncodedConversation,
  type EncodeOptions,
  encodeConversation,
  type LossOn,
} from "./conversation.js";
export { type JsonlRecord, readJsonl } from "./jsonl.js";
export { canonicalJson, createRecordIds } from "./record-id.js";
export {
  loadSftRows,
  type SftCounts,
  type SftDatasetOptions,
  type TokenizedRow,
  type WhenNeeded,
} from "./sft-dataset.js";
export {
  type ChatMessage,
  IGNORED_LABEL,
  parseSftRow,
  type RowPlace,
  type SftRow,
  type ToolCall,
} from "./sft-row.js";
export { type DecodeOptions, type DecodeStream, loadTokenizer, type Tokenizer } from "./tokenizer.js";
export { UserError } from "./user-error.js";
