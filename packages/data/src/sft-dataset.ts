/** A fine-tuning file as token rows: reads, checks, renders, tokenises, masks, cuts to length. */
import { planRow } from "./encoding.js";
import type { EncodedRow, EncodingPlan, LossOn } from "./encoding-plan.js";
import { createIdStore } from "./id-store.js";
import type { ModelTexts } from "./model-texts.js";
import { unpackRow } from "./packed-row.js";
import { rowError } from "./reading/place.js";
import { parentsOf } from "./record-id.js";
import { checkIds, openBooks, type RowCounts, type RowFileOptions } from "./row-books.js";
import { loadRows, type PendingRow, type RowDataset, type RowPart } from "./row-dataset.js";
import { FATES, limitOf } from "./row-limit.js";
import { IGNORED_LABEL, parseSftRow, type RowFormat } from "./sft-row.js";
import type { TextStart } from "./tokenizer.js";
import { UserError, userErrorOr } from "./user-error.js";

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

export type SftCounts = RowCounts<RowFormat>;

export interface SftDatasetOptions extends RowFileOptions<RowFormat> {
  readonly lossOn: LossOn;
}

export type SftDataset = RowDataset<TokenizedRow, RowFormat>;

/** Loads rows of fine-tuning. Throws UserError; those about a row name the file and line. */
export function loadSftRows(data: string, options: SftDatasetOptions): Promise<SftDataset> {
  return loadRows(data, options, {
    unpack: unpackRow,
    plan: (part, texts) => planned(part, texts, options),
    textsOf: ({ plan }) => plan.texts,
    collector: collector(data, options),
  });
}

interface Planned {
  readonly format: RowFormat;
  readonly parents: readonly string[] | undefined;
  /** One of several sequences of a packed row. */
  readonly isPart: boolean;
  readonly plan: EncodingPlan;
}

async function planned(
  { value, place, isPart }: RowPart,
  texts: ModelTexts,
  { format, lossOn, now, specialTokens }: SftDatasetOptions,
): Promise<Planned | UserError> {
  const parsed = userErrorOr(() => ({
    row: parseSftRow(value, place, format),
    parents: parentsOf(value, place),
  }));
  if (parsed instanceof UserError) return parsed;
  const { row, parents } = parsed;
  const found = { format: row.format, parents, isPart };
  if (row.kind === "tokens") return { ...found, plan: { texts: [], finish: () => row } };
  // Outside: a tokenizer that does not load is not the row's fault.
  const loaded = await texts.need("messages" in row, place);
  const plan = userErrorOr(() => planRow(row, { ...loaded, lossOn, now, specialTokens }));
  return plan instanceof UserError ? plan : { ...found, plan };
}

/** Takes rows in order and keeps the books. */
function collector(path: string, options: SftDatasetOptions) {
  const { onOverlong, vocabSize } = options;
  const limit = limitOf(options);
  const maxLength = limit.tokens;
  const rows: TokenizedRow[] = [];
  const keep = createIdStore();
  const books = openBooks<RowFormat>(path, options);
  const { counts, reject } = books;

  const add = (pending: PendingRow<Planned>, starts: readonly TextStart[]): void => {
    const { place, row } = pending;
    counts.read++;
    const whole = starts[0]?.whole ?? true;
    let encoded: EncodedRow;
    try {
      if (row instanceof UserError) throw row;
      refuseUnread(starts, maxLength, onOverlong);
      encoded = row.plan.finish(
        starts.map(({ ids }) => (whole ? ids : ids.slice(0, starts[0]!.ids.length))),
        whole,
      );
      checkIds("input_ids", encoded.inputIds, vocabSize, place);
      checkIds("labels", encoded.labels, vocabSize, place);
      if (whole && trainedTokens(encoded.labels, encoded.labels.length) === 0) {
        // The last token of a long row may stand alone in a pack: no fault of the file's.
        if (row.isPart) {
          counts.emptied++;
          reject(
            pending,
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
      books.bad(pending, error);
      return;
    }
    books.note(pending, row.format, row.plan.tokensInContent);
    // Of a row that was not read to its end all numbers are the least that they can be.
    const length = whole ? encoded.inputIds.length : starts[0]!.atLeast;
    const tokens = `${whole ? "" : "at least "}${length} tokens`;
    if (length > maxLength && onOverlong === "error") {
      books.bad(pending, rowError("row_too_long", place, limit.refusal(tokens)), length);
      counts.overlong++;
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
      reject(
        pending,
        fate,
        length,
        FATES[fate](tokens, limit, `${whole ? "" : "at least "}${trained - left}`),
      );
    }
    if (left === 0) return;
    counts.kept++;
    counts.tokens += end;
    counts.trainedTokens += left;
    rows.push({
      id: pending.id!,
      line: pending.line,
      ...(row.parents && { parents: row.parents }),
      inputIds: keep(encoded.inputIds, end),
      labels: keep(encoded.labels, end),
    });
  };
  return { add, result: () => ({ rows, ...books.result() }) };
}

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
