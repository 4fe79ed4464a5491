/**
 * A fine-tuning file as token rows: reads, checks, renders, tokenises, masks, cuts to length. Every row that
 * was read is in `counts` once as kept, dropped, emptied or rejected, and each that was left out or cut is in
 * `rejects`; nothing goes missing without a number.
 */
import type { ChatTemplate } from "./chat-template.js";
import type { SpecialTokensInContent } from "./content-tokens.js";
import { planRow } from "./encoding.js";
import type { EncodedRow, EncodingPlan, LossOn } from "./encoding-plan.js";
import type { OnProgress } from "./jsonl.js";
import { unpackRow } from "./packed-row.js";
import { createRecordIds, parentsOf } from "./record-id.js";
import { FULL_REMEDIES, type Reject } from "./rejects.js";
import { type RowPlace, rowError } from "./row-check.js";
import { IGNORED_LABEL, parseSftRow, type RowFormat, type SftRow } from "./sft-row.js";
import { type PlannedRow, readTokenRows } from "./token-rows.js";
import type { TextStart, Tokenizer } from "./tokenizer.js";
import { UserError } from "./user-error.js";

export interface TokenizedRow {
  /** SHA-256 of the row's canonical JSON, with `#2`, `#3`, ... for repeats. */
  readonly id: string;
  readonly line: number;
  /** Ids of the rows that this one was made from, as its `parents` column lists them. */
  readonly parents?: readonly string[];
  /** [tokens] */
  readonly inputIds: Int32Array;
  /**
   * [tokens] labels[i] is the target at position i, predicted from i - 1; -100 is not trained, and position 0
   * never is.
   */
  readonly labels: Int32Array;
}

export interface SftCounts {
  /** Rows of the file (of a row with `seq_lengths` each sequence): kept + dropped + emptied + rejected. */
  readonly read: number;
  /** Rows that are returned. */
  readonly kept: number;
  /** Rows longer than maxLength, whatever then happened to them. */
  readonly overlong: number;
  /** Overlong rows left out (`drop`). */
  readonly dropped: number;
  /** Overlong rows cut to their first maxLength tokens and kept (`truncate`). */
  readonly truncated: number;
  /** Left out as nothing to train was left: overlong rows after the cut, sequences of a row packed elsewhere. */
  readonly emptied: number;
  /** Bad rows left out (`onBadRow: "reject"`). */
  readonly rejected: number;
  /** Rejects by reason. */
  readonly reasons: Readonly<Record<string, number>>;
  /** Rows that could be read, by how they are written. */
  readonly formats: Readonly<Partial<Record<RowFormat, number>>>;
  /** Tokens of the returned rows. */
  readonly tokens: number;
  /** Of these, the ones that are trained. */
  readonly trainedTokens: number;
  /** Trained tokens lost to `drop` and `truncate`; at least, where a row is so long that its end was not tokenised. */
  readonly lostTrainedTokens: number;
}

/** Given, or loaded when the first row needs it, or absent: then a row that needs it is an error. */
export type WhenNeeded<T> = T | (() => Promise<T>) | undefined;

export interface SftDatasetOptions {
  readonly tokenizer: WhenNeeded<Tokenizer>;
  readonly template: WhenNeeded<ChatTemplate>;
  readonly lossOn: LossOn;
  /** Longest row, in tokens. */
  readonly maxLength: number;
  /** Tokens for which the model has positions (`max_position_embeddings`): below maxLength it is the longest row. */
  readonly context?: number | undefined;
  /** `truncate` keeps the start. */
  readonly onOverlong: "error" | "drop" | "truncate";
  /** `error` (default) ends at the first row that is bad; `reject` leaves it out and goes on. */
  readonly onBadRow?: "error" | "reject" | undefined;
  /** How the rows are written, if it shall not be told from each row's columns. */
  readonly format?: RowFormat | undefined;
  /** Rows of the model's embedding: an id at or above it is an error. */
  readonly vocabSize?: number | undefined;
  /** What the template's `strftime_now` reads. */
  readonly now?: string | undefined;
  /** What happens to special tokens that stand in the text of a conversation. Default: `token`. */
  readonly specialTokens?: SpecialTokensInContent | undefined;
  /** Told after each batch of rows. */
  readonly onProgress?: OnProgress | undefined;
}

export interface SftDataset {
  readonly rows: TokenizedRow[];
  readonly counts: SftCounts;
  /** Rows left out, and rows cut; in order. */
  readonly rejects: Reject[];
  /** SHA-256 of the file's bytes, in hex. */
  readonly digest: string;
  /** The model's texts as far as a row needed them: what decides over the rows beside the file. */
  readonly tokenizer: Tokenizer | undefined;
  readonly template: ChatTemplate | undefined;
  /** Added tokens in what conversations say, of the rows that are not rejected. */
  readonly contentTokens: readonly ContentToken[];
}

export interface ContentToken {
  readonly token: string;
  readonly special: boolean;
  /** Rows that have it. */
  readonly rows: number;
  /** The first few places. */
  readonly examples: readonly { readonly line: number; readonly field: string }[];
}

/** Loads a JSONL file of SFT rows. Throws UserError; those about a row name the file and line. */
export async function loadSftRows(path: string, options: SftDatasetOptions): Promise<SftDataset> {
  const texts = modelTexts(options);
  const dataset = collector(path, options);
  const recordId = createRecordIds();
  const goesOn = options.onBadRow === "reject";
  const pending = (row: Omit<PendingRow, "texts" | "last">): PendingRow => ({
    ...row,
    texts: row.plan instanceof UserError ? [] : row.plan.texts,
    last: row.plan instanceof UserError && !goesOn,
  });
  const digest = await readTokenRows(path, {
    plan: async (value, place) => {
      const { line } = place;
      const parts = userErrorOr(() => unpackRow(value, place));
      if (parts instanceof UserError) return [pending({ line, id: recordId(value), plan: parts })];
      const rows: PendingRow[] = [];
      for (const part of parts) {
        const row = pending(await planned(part, place, recordId(part), texts, options));
        rows.push(parts.length === 1 ? row : { ...row, sequence: true });
        if (row.last) break;
      }
      return rows;
    },
    ...(goesOn && {
      planBadLine: (error: UserError, line: number) => pending({ line, id: null, plan: error }),
    }),
    tokenizer: () => texts.loaded().tokenizer,
    atMost: limitOf(options).tokens,
    accept: dataset.add,
    onProgress: options.onProgress,
  });
  return { ...dataset.result(), digest, ...texts.loaded() };
}

/** Places of a token in content that are told. */
const CONTENT_EXAMPLES = 5;

/** A row on its way to the tokenizer, or what is wrong with it. */
interface PendingRow extends PlannedRow {
  readonly line: number;
  readonly id: string | null;
  readonly format?: RowFormat;
  readonly parents?: readonly string[] | undefined;
  /** One of several sequences of a packed row. */
  readonly sequence?: boolean;
  readonly plan: EncodingPlan | UserError;
}

async function planned(
  value: unknown,
  place: RowPlace,
  id: string,
  texts: ModelTexts,
  { format, lossOn, now, specialTokens }: SftDatasetOptions,
): Promise<Omit<PendingRow, "texts" | "last">> {
  const { line } = place;
  const parsed = userErrorOr(() => ({
    row: parseSftRow(value, place, format),
    parents: parentsOf(value, place),
  }));
  if (parsed instanceof UserError) return { line, id, plan: parsed };
  const { row, parents } = parsed;
  const { format: found } = row;
  if (row.kind === "tokens")
    return { line, id, format: found, parents, plan: { texts: [], finish: () => row } };
  // Outside: a tokenizer that does not load is not the row's fault.
  const loaded = await texts.need(row, place);
  return {
    line,
    id,
    format: found,
    parents,
    plan: userErrorOr(() => planRow(row, { ...loaded, lossOn, now, specialTokens })),
  };
}

function userErrorOr<T>(body: () => T): T | UserError {
  try {
    return body();
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
}

interface ModelTexts {
  need(row: SftRow, place: RowPlace): Promise<{ tokenizer: Tokenizer; template: ChatTemplate | undefined }>;
  loaded(): { readonly tokenizer: Tokenizer | undefined; readonly template: ChatTemplate | undefined };
}

/** Tokenizer and template, loaded when the first row needs them. What fails to load ends the reading. */
function modelTexts(options: SftDatasetOptions): ModelTexts {
  const loaded: { tokenizer?: Tokenizer | undefined; template?: ChatTemplate | undefined } = {};
  const load = async <T>(source: WhenNeeded<T>): Promise<T | undefined> =>
    typeof source === "function" ? (source as () => Promise<T>)() : source;
  return {
    need: async (row, place) => {
      loaded.tokenizer ??= await load(options.tokenizer);
      if (!loaded.tokenizer) {
        throw rowError(
          "missing_tokenizer",
          place,
          "a row of text needs the model's tokenizer, and there is none. Name a model folder that has one, or give tokenised rows.",
        );
      }
      if ("messages" in row) loaded.template ??= await load(options.template);
      return { tokenizer: loaded.tokenizer, template: loaded.template };
    },
    loaded: () => ({ tokenizer: loaded.tokenizer, template: loaded.template }),
  };
}

/** Takes rows in order and keeps the books. */
function collector(path: string, options: SftDatasetOptions) {
  const { onOverlong, onBadRow, vocabSize } = options;
  const limit = limitOf(options);
  const maxLength = limit.tokens;
  const rows: TokenizedRow[] = [];
  const rejects: Reject[] = [];
  const counts = {
    read: 0,
    kept: 0,
    overlong: 0,
    dropped: 0,
    truncated: 0,
    emptied: 0,
    rejected: 0,
    reasons: {} as Record<string, number>,
    formats: {} as Partial<Record<RowFormat, number>>,
    tokens: 0,
    trainedTokens: 0,
    lostTrainedTokens: 0,
  };
  const contentTokens = new Map<
    string,
    { special: boolean; rows: number; examples: ContentToken["examples"][number][] }
  >();
  const note = (row: PendingRow): void => {
    if (row.plan instanceof UserError) return;
    const seen = new Set<string>();
    for (const { token, special, field } of row.plan.tokensInContent ?? []) {
      const entry = contentTokens.get(token) ?? { special, rows: 0, examples: [] };
      contentTokens.set(token, entry);
      if (!seen.has(token)) entry.rows++;
      seen.add(token);
      if (entry.examples.length < CONTENT_EXAMPLES) entry.examples.push({ line: row.line, field });
    }
  };
  const firstLines = new Map<string, number>();
  const reject = (row: PendingRow, reason: string, tokens: number | null, remedy: string): void => {
    const count = (counts.reasons[reason] ?? 0) + 1;
    counts.reasons[reason] = count;
    const { line, id } = row;
    if (count === 1) firstLines.set(reason, line);
    const same = `As line ${firstLines.get(reason)}.`;
    rejects.push({ line, id, reason, tokens, remedy: count > FULL_REMEDIES ? same : remedy });
  };

  const add = (row: PendingRow, starts: readonly TextStart[]): void => {
    const place = { path, line: row.line };
    counts.read++;
    const whole = starts[0]?.whole ?? true;
    let encoded: EncodedRow;
    try {
      if (row.plan instanceof UserError) throw row.plan;
      refuseUnread(starts, maxLength, onOverlong);
      encoded = row.plan.finish(
        starts.map(({ ids }) => (whole ? ids : ids.slice(0, starts[0]!.ids.length))),
        whole,
      );
      checkIds(encoded, vocabSize, place);
      if (whole && trainedTokens(encoded.labels, encoded.labels.length) === 0) {
        // The last token of a long row may stand alone in a pack: no fault of the file's.
        if (row.sequence) {
          counts.emptied++;
          reject(
            row,
            "emptied",
            encoded.inputIds.length,
            "a sequence of a packed row without a trained token.",
          );
          return;
        }
        throw rowError(
          "nothing_to_train",
          place,
          "no token of this row is trained (every label is -100). Mend its labels or mask, or remove it.",
        );
      }
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      const placed = atPlace(error, place);
      if (onBadRow !== "reject") throw placed;
      counts.rejected++;
      reject(row, placed.code, null, placed.message);
      return;
    }
    note(row);
    counts.formats[row.format!] = (counts.formats[row.format!] ?? 0) + 1;
    // Of a row that was not read to its end all numbers are the least that they can be.
    const length = whole ? encoded.inputIds.length : starts[0]!.atLeast;
    const tokens = `${whole ? "" : "at least "}${length} tokens`;
    if (length > maxLength && onOverlong === "error") {
      const error = rowError("row_too_long", place, limit.refusal(tokens));
      if (onBadRow !== "reject") throw error;
      counts.overlong++;
      counts.rejected++;
      reject(row, error.code, length, error.message);
      return;
    }
    const end = Math.min(length, maxLength);
    const trained = trainedTokens(encoded.labels, encoded.labels.length);
    const left = length > maxLength && onOverlong === "drop" ? 0 : trainedTokens(encoded.labels, end);
    if (length > maxLength) {
      counts.overlong++;
      counts.lostTrainedTokens += trained - left;
      const fate = onOverlong === "drop" ? "dropped" : left === 0 ? "emptied" : "truncated";
      counts[fate]++;
      reject(row, fate, length, FATES[fate](tokens, limit, `${whole ? "" : "at least "}${trained - left}`));
    }
    if (left === 0) return;
    counts.kept++;
    counts.tokens += end;
    counts.trainedTokens += left;
    rows.push({
      id: row.id!,
      line: row.line,
      ...(row.parents && { parents: row.parents }),
      inputIds: Int32Array.from(end === length ? encoded.inputIds : encoded.inputIds.slice(0, end)),
      labels: Int32Array.from(end === length ? encoded.labels : encoded.labels.slice(0, end)),
    });
  };
  return {
    add,
    result: () => ({
      rows,
      counts,
      rejects,
      contentTokens: [...contentTokens].map(([token, entry]) => ({ token, ...entry })),
    }),
  };
}

/** The longest row, and how messages speak of it. */
interface Limit {
  readonly tokens: number;
  readonly name: string;
  readonly raise: string;
  readonly refusal: (tokens: string) => string;
}

function limitOf({ maxLength, context }: Pick<SftDatasetOptions, "maxLength" | "context">): Limit {
  if (context === undefined || maxLength <= context) {
    return {
      tokens: maxLength,
      name: `max_length is ${maxLength}`,
      raise: "Raise max_length",
      refusal: (tokens) =>
        `${tokens}, the longest row allowed has ${maxLength}. Raise max_length, or choose what happens to long rows: on_overlong drop or truncate.`,
    };
  }
  return {
    tokens: context,
    name: `the model's context holds ${context} (max_position_embeddings)`,
    raise: "Set allow_beyond_context",
    refusal: (tokens) =>
      `${tokens}, the model's context holds ${context} (max_position_embeddings). Shorten or split the row, choose what happens to long rows ` +
      "(on_overlong drop or truncate), or set allow_beyond_context: the model has not learnt positions beyond.",
  };
}

const FATES = {
  dropped: (tokens: string, { name, raise }: Limit) =>
    `${tokens}, ${name}: left out. ${raise}, split the row, or cut it with on_overlong truncate.`,
  truncated: (tokens: string, { name, raise }: Limit, lost: string) =>
    `${tokens}, ${name}: cut, which lost ${lost} trained tokens. ${raise} or split the row.`,
  emptied: (tokens: string, { name, raise }: Limit) =>
    `${tokens}, ${name}: left out, as nothing to train was left of it. ${raise} or shorten the prompt.`,
};

/** A text that cannot be read to its end, but where it is known to be too long and not one token of it is asked for. */
function refuseUnread(
  starts: readonly TextStart[],
  maxLength: number,
  onOverlong: SftDatasetOptions["onOverlong"],
): void {
  const [all] = starts;
  const unread = starts.find(({ refusal }) => refusal);
  if (unread?.refusal === undefined || all === undefined) return;
  const needed = onOverlong === "truncate" ? all.ids.length : all.atLeast;
  if (all.whole || needed <= maxLength) throw unread.refusal;
}

/** The labels that count: not masked, and not at position 0, which nothing predicts. */
function trainedTokens(labels: ArrayLike<number>, end: number): number {
  let count = 0;
  for (let i = 1; i < end; i++) if (labels[i] !== IGNORED_LABEL) count++;
  return count;
}

/** Says in which row encoding failed, where the error does not yet. */
function atPlace(error: UserError, place: RowPlace): UserError {
  return error.message.startsWith(`${place.path}, line `)
    ? error
    : rowError(error.code, place, error.message, error);
}

function checkIds({ inputIds, labels }: EncodedRow, vocabSize = 2 ** 31, place: RowPlace): void {
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
