/**
 * The books of a file of rows, whatever its rows are: every row that was read is in `counts` once as kept, dropped, emptied or rejected, and
 * each that was left out or cut is in `rejects`; nothing goes missing without a number.
 */
import type { SpecialTokensInContent, TokenInContent } from "./content-tokens.js";
import { withDoubles } from "./lossless-json.js";
import type { ModelTextSources } from "./model-texts.js";
import { type RowPlace, rowError } from "./reading/place.js";
import type { OnProgress } from "./reading/read-rows.js";
import { FULL_REMEDIES, type Reject, type RejectPlace } from "./rejects.js";
import type { LengthOptions } from "./row-limit.js";
import { UserError } from "./user-error.js";

/** What readers of files of rows are told, whatever their rows are. */
export interface RowFileOptions<Format extends string> extends ModelTextSources, LengthOptions {
  /** `truncate` keeps the start. */
  readonly onOverlong: "error" | "drop" | "truncate";
  /** `error` (default) ends at the first row that is bad; `reject` leaves it out and goes on. */
  readonly onBadRow?: "error" | "reject" | undefined;
  /** How the rows are written, if it shall not be told from each row's columns. */
  readonly format?: Format | undefined;
  /** Rows of the model's embedding: an id at or above it is an error. */
  readonly vocabSize?: number | undefined;
  /** What the template's `strftime_now` reads. */
  readonly now?: string | undefined;
  /** What happens to special tokens that stand in the text of a conversation. Default: `token`. */
  readonly specialTokens?: SpecialTokensInContent | undefined;
  /** Told after each batch of rows. */
  readonly onProgress?: OnProgress | undefined;
}

export interface RowCounts<Format extends string = string> {
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
  readonly formats: Readonly<Partial<Record<Format, number>>>;
  /** Tokens of the returned rows. */
  readonly tokens: number;
  /** Of these, the ones that are trained. */
  readonly trainedTokens: number;
  /** Trained tokens lost to `drop` and `truncate`; at least, where a row is so long that its end was not tokenised. */
  readonly lostTrainedTokens: number;
}

export interface ContentToken {
  readonly token: string;
  readonly special: boolean;
  /** Rows that have it. */
  readonly rows: number;
  /** The first few places. */
  readonly examples: readonly (RejectPlace & { readonly field: string })[];
}

/** Places of a token in content that are told. */
const CONTENT_EXAMPLES = 5;

interface BookedRow {
  readonly place: RowPlace;
  readonly id: string | null;
}

type Counts = { -readonly [Key in keyof Omit<RowCounts, "reasons" | "formats">]: number };

export function openBooks<Format extends string>(
  path: string,
  { onBadRow }: Pick<RowFileOptions<Format>, "onBadRow">,
) {
  const rejects: Reject[] = [];
  const reasons: Record<string, number> = {};
  const formats: Partial<Record<Format, number>> = {};
  const counts: Counts = {
    read: 0,
    kept: 0,
    overlong: 0,
    dropped: 0,
    truncated: 0,
    emptied: 0,
    rejected: 0,
    tokens: 0,
    trainedTokens: 0,
    lostTrainedTokens: 0,
  };
  const contentTokens = new Map<
    string,
    { special: boolean; rows: number; examples: ContentToken["examples"][number][] }
  >();
  const firstPlaces = new Map<string, string>();
  /** How a place is told, of several files with its own. */
  const told = ({ path: file, line, unit }: RowPlace): RejectPlace => ({
    ...(file !== path && { file }),
    line,
    ...(unit !== undefined && { unit }),
  });
  const reject = ({ place, id }: BookedRow, reason: string, tokens: number | null, remedy: string): void => {
    const count = (reasons[reason] ?? 0) + 1;
    reasons[reason] = count;
    if (count === 1) {
      const { path: file, line, unit = "line" } = place;
      firstPlaces.set(reason, `${file === path ? "" : `${file}, `}${unit} ${line}`);
    }
    const same = `As ${firstPlaces.get(reason)}.`;
    rejects.push({ ...told(place), id, reason, tokens, remedy: count > FULL_REMEDIES ? same : remedy });
  };
  return {
    counts,
    reject,
    /** A row that is bad: throws the error, with its place, or rejects the row. What is no UserError is thrown as it is. */
    bad: (row: BookedRow, error: unknown, tokens: number | null = null): void => {
      if (!(error instanceof UserError)) throw error;
      const placed = atPlace(error, row.place);
      if (onBadRow !== "reject") throw placed;
      counts.rejected++;
      reject(row, placed.code, tokens, placed.message);
    },
    /** A row that could be read, whatever then happens to it. */
    note: ({ place }: BookedRow, format: Format, found: readonly TokenInContent[] = []): void => {
      formats[format] = (formats[format] ?? 0) + 1;
      const seen = new Set<string>();
      for (const { token, special, field } of found) {
        const entry = contentTokens.get(token) ?? { special, rows: 0, examples: [] };
        contentTokens.set(token, entry);
        if (!seen.has(token)) entry.rows++;
        seen.add(token);
        if (entry.examples.length < CONTENT_EXAMPLES) entry.examples.push({ ...told(place), field });
      }
    },
    result: () => ({
      counts: { ...counts, reasons, formats } satisfies RowCounts<Format>,
      rejects,
      contentTokens: [...contentTokens].map(([token, entry]): ContentToken => ({ token, ...entry })),
    }),
  };
}

/** Says in which row something failed, where the error does not yet. */
function atPlace(error: UserError, place: RowPlace): UserError {
  return error.place === undefined ? rowError(error.code, place, error.message, error) : error;
}

/** UserError `id_out_of_range` for the first of `ids` that the model does not know. */
export function checkIds(column: string, ids: readonly number[], vocabSize = 2 ** 31, place: RowPlace): void {
  let at = 0;
  while (at < ids.length && ids[at]! < vocabSize) at++;
  if (at === ids.length) return;
  throw rowError(
    "id_out_of_range",
    place,
    `${column}[${at}] is ${ids[at]}, but the model knows the ids 0 to ${vocabSize - 1}. The row was made with another tokenizer: tokenise it again.`,
  );
}

/** What a row has of the columns that were asked for, with doubles. */
export function keptColumns(
  value: unknown,
  columns: readonly string[] = [],
): { readonly columns?: Readonly<Record<string, unknown>> } {
  const given = value as Readonly<Record<string, unknown>>;
  const own = columns.flatMap((column) => {
    const content = Object.hasOwn(given, column) ? given[column] : null;
    return content === null ? [] : [[column, withDoubles(content)] as const];
  });
  return own.length === 0 ? {} : { columns: Object.fromEntries(own) };
}
