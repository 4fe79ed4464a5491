/**
 * A fine-tuning file as token rows: reads, checks, renders, tokenises, masks, cuts to length. Every row that
 * was read is in `counts` once as kept, dropped or emptied; nothing goes missing without a number. Order is
 * the file's.
 */
import type { ChatTemplate } from "./chat-template.js";
import { type EncodedConversation, encodeConversation, type LossOn } from "./conversation.js";
import { readJsonl } from "./jsonl.js";
import { createRecordIds } from "./record-id.js";
import { IGNORED_LABEL, parseSftRow, type RowPlace, rowError, type SftRow } from "./sft-row.js";
import type { Tokenizer } from "./tokenizer.js";
import { UserError } from "./user-error.js";

export interface TokenizedRow {
  /** SHA-256 of the row's canonical JSON, with `#2`, `#3`, ... for repeats. */
  readonly id: string;
  readonly line: number;
  /** [tokens] */
  readonly inputIds: Int32Array;
  /**
   * [tokens] labels[i] is the target at position i, predicted from i - 1; -100 is not trained, and position 0
   * never is.
   */
  readonly labels: Int32Array;
}

export interface SftCounts {
  /** Rows of the file. */
  readonly read: number;
  /** Rows that are returned. */
  readonly kept: number;
  /** Rows longer than maxLength, whatever then happened to them. */
  readonly overlong: number;
  /** Overlong rows left out (`drop`). */
  readonly dropped: number;
  /** Overlong rows cut to their first maxLength tokens and kept (`truncate`). */
  readonly truncated: number;
  /** Overlong rows left out because the cut left nothing to train. */
  readonly emptied: number;
  /** Tokens of the returned rows. */
  readonly tokens: number;
  /** Of these, the ones that are trained. */
  readonly trainedTokens: number;
  /** Trained tokens lost to `drop` and `truncate`. */
  readonly lostTrainedTokens: number;
}

/** Given, or loaded when the first row needs it, or absent: then a row that needs it is an error. */
export type WhenNeeded<T> = T | (() => Promise<T>) | undefined;

export interface SftDatasetOptions {
  readonly tokenizer: WhenNeeded<Tokenizer>;
  readonly template: WhenNeeded<ChatTemplate>;
  /** For messages rows; tokenised rows bring their own labels. */
  readonly lossOn: LossOn;
  /** Longest row, in tokens. */
  readonly maxLength: number;
  /** `truncate` keeps the start. */
  readonly onOverlong: "error" | "drop" | "truncate";
  /** Rows of the model's embedding: an id at or above it is an error. */
  readonly vocabSize?: number | undefined;
  /** What the template's `strftime_now` reads. */
  readonly now?: string | undefined;
}

/** Loads a JSONL file of SFT rows. Throws UserError; those about a row name the file and line. */
export async function loadSftRows(
  path: string,
  options: SftDatasetOptions,
): Promise<{ readonly rows: TokenizedRow[]; readonly counts: SftCounts }> {
  const encode = rowEncoder(options);
  const recordId = createRecordIds();
  const rows: TokenizedRow[] = [];
  const counts = {
    read: 0,
    kept: 0,
    overlong: 0,
    dropped: 0,
    truncated: 0,
    emptied: 0,
    tokens: 0,
    trainedTokens: 0,
    lostTrainedTokens: 0,
  };
  for await (const { line, value } of readJsonl(path)) {
    const place = { path, line };
    counts.read++;
    const id = recordId(value);
    const encoded = await encode(parseSftRow(value, place), place);
    checkIds(encoded, options.vocabSize, place);
    const trained = trainedTokens(encoded.labels);
    if (trained === 0) {
      throw rowError(
        "nothing_to_train",
        place,
        "no token of this row is trained (every label is -100). Mend its labels or mask, or remove it.",
      );
    }
    const row = cut(id, encoded, options, place);
    const left = row ? trainedTokens(row.labels) : 0;
    if (encoded.inputIds.length > options.maxLength) {
      counts.overlong++;
      counts.lostTrainedTokens += trained - left;
      if (!row) counts.dropped++;
      else if (left === 0) counts.emptied++;
      else counts.truncated++;
    }
    if (!row || left === 0) continue;
    counts.kept++;
    counts.tokens += row.inputIds.length;
    counts.trainedTokens += left;
    rows.push(row);
  }
  return { rows, counts };
}

/** The labels that count: not masked, and not at position 0, which nothing predicts. */
function trainedTokens(labels: ArrayLike<number>): number {
  let count = 0;
  for (let i = 1; i < labels.length; i++) if (labels[i] !== IGNORED_LABEL) count++;
  return count;
}

type RowEncoder = (
  row: SftRow,
  place: RowPlace,
) => Promise<{ inputIds: readonly number[]; labels: readonly number[] }>;

function rowEncoder({ tokenizer, template, lossOn, now }: SftDatasetOptions): RowEncoder {
  const needTokenizer = once(tokenizer);
  const needTemplate = once(template);
  return async (row, place) => {
    if (row.kind === "tokens") return row;
    const [text, chat] = [await needTokenizer(), await needTemplate()];
    if (!text || !chat) {
      throw rowError(
        text ? "missing_template" : "missing_tokenizer",
        place,
        `a messages row needs the model's ${text ? "chat template" : "tokenizer"}, and there is none. Name a model folder that has one, or give tokenised rows.`,
      );
    }
    return encodeAt(place, () =>
      encodeConversation(text, chat, row.messages, {
        lossOn,
        now,
        tools: row.tools,
        variables: row.variables,
      }),
    );
  };
}

function once<T extends object>(source: WhenNeeded<T>): () => Promise<T | undefined> {
  let loaded: Promise<T | undefined> | undefined;
  return () => (loaded ??= typeof source === "function" ? source() : Promise.resolve(source));
}

/** Says in which row a conversation failed. */
async function encodeAt(
  place: RowPlace,
  encode: () => Promise<EncodedConversation>,
): Promise<EncodedConversation> {
  try {
    return await encode();
  } catch (error) {
    throw error instanceof UserError ? rowError(error.code, place, error.message, error) : error;
  }
}

function checkIds(
  { inputIds, labels }: { inputIds: readonly number[]; labels: readonly number[] },
  vocabSize = 2 ** 31,
  place: RowPlace,
): void {
  for (const [column, ids] of [
    ["input_ids", inputIds],
    ["labels", labels],
  ] as const) {
    const at = ids.findIndex((id) => id >= vocabSize);
    if (at < 0) continue;
    throw rowError(
      "id_out_of_range",
      place,
      `${column}[${at}] is ${ids[at]}, but the model knows the ids 0 to ${vocabSize - 1}. The row was made with another tokenizer: tokenise it again.`,
    );
  }
}

/** undefined: the row is dropped. */
function cut(
  id: string,
  encoded: { inputIds: readonly number[]; labels: readonly number[] },
  { maxLength, onOverlong }: SftDatasetOptions,
  { path, line }: RowPlace,
): TokenizedRow | undefined {
  const length = encoded.inputIds.length;
  if (length > maxLength && onOverlong === "drop") return undefined;
  if (length > maxLength && onOverlong === "error") {
    throw rowError(
      "row_too_long",
      { path, line },
      `${length} tokens, the longest row allowed has ${maxLength}. Raise max_length, or choose what happens to long rows: on_overlong drop or truncate.`,
    );
  }
  const end = Math.min(length, maxLength);
  return {
    id,
    line,
    inputIds: Int32Array.from(encoded.inputIds.slice(0, end)),
    labels: Int32Array.from(encoded.labels.slice(0, end)),
  };
}
