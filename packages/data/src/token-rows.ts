/**
 * A file's rows on their way through the tokenizer: many go together, one batch is with its threads while the next is read and rendered, and
 * all come out in the file's order, errors too: the first bad row is the one that is reported.
 */
import { type OnProgress, readJsonl } from "./jsonl.js";
import type { RowPlace } from "./row-check.js";
import type { TextStart, Tokenizer } from "./tokenizer.js";
import type { UserError } from "./user-error.js";

/** A row that waits for the ids of its texts. */
export interface PlannedRow {
  readonly texts: readonly string[];
  /** Nothing behind it is read: it is an error, which `accept` throws. */
  readonly last: boolean;
}

export interface TokenRowReader<Row extends PlannedRow> {
  /** The rows of a line: one, or those that were packed into it. */
  plan(value: unknown, place: RowPlace): Promise<readonly Row[]>;
  /** What a line that is no JSON becomes; without it, it ends the reading. */
  readonly planBadLine?: (error: UserError, line: number) => Row;
  /** Loaded by the time a row has texts. */
  tokenizer(): Tokenizer | undefined;
  /** Tokens of a text beyond which it need not be read. */
  readonly atMost: number;
  /** Takes every row in order. May throw, which ends the reading. */
  accept(row: Row, starts: readonly TextStart[]): void;
  readonly onProgress?: OnProgress | undefined;
}

/** Rows and characters that go to the tokenizer together: enough to keep its threads busy, little to hold. */
const batchRows = 512;
const batchCharacters = 1 << 20;

/** Returns the SHA-256 of the file, "" where a row ended the reading. Throws UserError. */
export async function readTokenRows<Row extends PlannedRow>(
  path: string,
  { plan, planBadLine, tokenizer, atMost, accept, onProgress }: TokenRowReader<Row>,
): Promise<string> {
  let batch: Row[] = [];
  let characters = 0;
  let encoding: { readonly rows: readonly Row[]; readonly starts: Promise<TextStart[][]> } | undefined;
  const collect = async (): Promise<void> => {
    const { rows, starts } = encoding ?? { rows: [], starts: [] };
    encoding = undefined;
    for (const [i, own] of (await starts).entries()) accept(rows[i]!, own);
  };
  const flush = async (): Promise<void> => {
    const rows = batch;
    batch = [];
    characters = 0;
    await collect();
    encoding = { rows, starts: encodeTogether(tokenizer(), rows, atMost) };
    // Whoever collects it sees the error; until then it is not unhandled.
    encoding.starts.catch(() => undefined);
  };
  let digest = "";
  const lines = readJsonl(path, {
    onEnd: (sha256) => {
      digest = sha256;
    },
    ...(planBadLine && {
      onBadLine: (error: UserError, line: number) => batch.push(planBadLine(error, line)),
    }),
    onProgress,
  });
  try {
    reading: for await (const { line, value } of lines) {
      for (const row of await plan(value, { path, line })) {
        batch.push(row);
        for (const text of row.texts) characters += text.length;
        if (row.last) break reading;
        if (batch.length >= batchRows || characters >= batchCharacters) await flush();
      }
    }
  } catch (error) {
    // A row before the line that could not be read may be bad: it comes first.
    await flush();
    await collect();
    throw error;
  }
  await flush();
  await collect();
  return digest;
}

async function encodeTogether(
  tokenizer: Tokenizer | undefined,
  rows: readonly PlannedRow[],
  atMost: number,
): Promise<TextStart[][]> {
  const all = rows.flatMap(({ texts }) => texts);
  const starts = all.length > 0 ? await tokenizer!.encodeStarts(all, atMost) : [];
  let next = 0;
  return rows.map(({ texts }) => {
    next += texts.length;
    return starts.slice(next - texts.length, next);
  });
}
