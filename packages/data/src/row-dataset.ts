/**
 * Data as token rows, whatever its rows are: each is checked and rendered, goes through the tokenizer with many others, and is taken in order. Rows of
 * fine-tuning, of preferences and of responses differ in what `plan` makes of a row and in what the collector does with its ids.
 */
import type { ChatTemplate } from "./chat-template.js";
import { type ModelTexts, modelTexts } from "./model-texts.js";
import type { RowPlace } from "./reading/place.js";
import { createRecordIds } from "./record-id.js";
import type { Reject } from "./rejects.js";
import type { ContentToken, RowCounts, RowFileOptions } from "./row-books.js";
import { limitOf } from "./row-limit.js";
import { type PlannedRow, readTokenRows } from "./token-rows.js";
import type { TextStart, Tokenizer } from "./tokenizer.js";
import { UserError, userErrorOr } from "./user-error.js";

/** What every dataset of token rows has. */
export interface RowDataset<Row, Format extends string> {
  readonly rows: Row[];
  readonly counts: RowCounts<Format>;
  /** Rows left out, and rows cut; in order. */
  readonly rejects: Reject[];
  /** SHA-256 of the bytes that were read, in hex. */
  readonly digest: string;
  /** The model's texts as far as a row needed them: what decides over the rows beside the data. */
  readonly tokenizer: Tokenizer | undefined;
  readonly template: ChatTemplate | undefined;
  /** Added tokens in what conversations say, of the rows that are not rejected. */
  readonly contentTokens: readonly ContentToken[];
}

/** A row on its way to the tokenizer: `row` is what was planned, or what is wrong with it. */
export interface PendingRow<Planned> extends PlannedRow {
  readonly line: number;
  readonly place: RowPlace;
  /** Null where the row is no JSON. */
  readonly id: string | null;
  readonly row: Planned | UserError;
}

/** A row, or one of those that were packed into it. */
export interface RowPart {
  readonly value: unknown;
  readonly place: RowPlace;
  readonly id: string;
  readonly isPart: boolean;
}

export interface RowKind<Planned, Row, Format extends string> {
  /** The rows of a row: several where they were packed into it. Throws UserError. */
  unpack?(value: unknown, place: RowPlace): readonly unknown[];
  /** Throws UserError, then also for what no row can help: a tokenizer that does not load. */
  plan(part: RowPart, texts: ModelTexts): Promise<Planned | UserError>;
  textsOf(row: Planned): readonly string[];
  readonly collector: {
    add(pending: PendingRow<Planned>, starts: readonly TextStart[]): void;
    result(): Pick<RowDataset<Row, Format>, "rows" | "counts" | "rejects" | "contentTokens">;
  };
}

/** Throws UserError; those about a row name its file and line. */
export async function loadRows<Planned, Row, Format extends string>(
  data: string,
  options: RowFileOptions<Format>,
  { unpack = (value) => [value], plan, textsOf, collector }: RowKind<Planned, Row, Format>,
): Promise<RowDataset<Row, Format>> {
  const texts = modelTexts(options);
  const recordId = createRecordIds();
  const goesOn = options.onBadRow === "reject";
  const pending = (line: number, place: RowPlace, id: string | null, row: Planned | UserError) => ({
    ...{ line, place, id, row },
    texts: row instanceof UserError ? [] : textsOf(row),
    last: row instanceof UserError && !goesOn,
  });
  const digest = await readTokenRows<PendingRow<Planned>>(data, {
    plan: async ({ value, place, line }) => {
      const parts = userErrorOr(() => unpack(value, place));
      if (parts instanceof UserError) return [pending(line, place, recordId(value), parts)];
      const rows: PendingRow<Planned>[] = [];
      const isPart = parts.length > 1;
      for (const part of parts) {
        const id = recordId(part);
        const row = pending(line, place, id, await plan({ value: part, place, id, isPart }, texts));
        rows.push(row);
        if (row.last) break;
      }
      return rows;
    },
    ...(goesOn && {
      planBadRow: (error: UserError, line: number, place: RowPlace) => pending(line, place, null, error),
    }),
    tokenizer: () => texts.loaded().tokenizer,
    atMost: limitOf(options).tokens,
    accept: collector.add,
    onProgress: options.onProgress,
  });
  return { ...collector.result(), digest, ...texts.loaded() };
}
