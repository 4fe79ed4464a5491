/**
 * Rows on their way through the tokenizer: many go together, one batch is with its threads while the next is read and rendered, and
 * all come out in the file's order, errors too: the first bad row is the one that is reported.
 */
import type { RowPlace } from "./reading/place.js";
import { type DataRow, type OnProgress, readRows } from "./reading/read-rows.js";
import type { TextStart, Tokenizer } from "./tokenizer.js";
import type { UserError } from "./user-error.js";

/** A row that waits for the ids of its texts. */
export interface PlannedRow {
  readonly texts: readonly string[];
  /** Nothing behind it is read: it is an error, which `accept` throws. */
  readonly last?: boolean;
}

export interface TokenBatchOptions<Row extends PlannedRow> {
  /** Asked for when there are texts. */
  tokenizer(): Tokenizer | undefined | Promise<Tokenizer>;
  /** Tokens of a text beyond which it need not be read. */
  readonly atMost: number;
  /** Takes every row in order. May throw, which ends the reading. */
  accept(row: Row, starts: readonly TextStart[]): void;
}

export interface TokenRowReader<Row extends PlannedRow> extends TokenBatchOptions<Row> {
  /** The rows of a row: one, or those that were packed into it. May throw: what comes before it is accepted first. */
  plan(row: DataRow): Promise<readonly Row[]>;
  /** What a row that holds no value becomes; without it, it ends the reading. */
  readonly planBadRow?: (error: UserError, line: number, place: RowPlace) => Row;
  readonly onProgress?: OnProgress | undefined;
}

/** Rows and characters that go to the tokenizer together: enough to keep its threads busy, little to hold. */
const batchRows = 512;
const batchCharacters = 1 << 20;

export interface TokenBatches<Row extends PlannedRow> {
  /** true: enough for a batch. */
  add(row: Row): boolean;
  /** Hands what was added to the tokenizer, and accepts the batch before it. */
  flush(): Promise<void>;
  /** Accepts all that were added. */
  end(): Promise<void>;
}

/** Rows of any source in batches: two are held at most, where `flush` follows each full one. */
export function createTokenBatches<Row extends PlannedRow>({
  tokenizer,
  atMost,
  accept,
}: TokenBatchOptions<Row>): TokenBatches<Row> {
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
    encoding = { rows, starts: encodeTogether(tokenizer, rows, atMost) };
    // Whoever collects it sees the error; until then it is not unhandled.
    encoding.starts.catch(() => undefined);
  };
  return {
    add: (row) => {
      batch.push(row);
      for (const text of row.texts) characters += text.length;
      return batch.length >= batchRows || characters >= batchCharacters;
    },
    flush,
    end: async () => {
      await flush();
      await collect();
    },
  };
}

/** Returns the SHA-256 of what was read, "" where a row ended the reading. Throws UserError. */
export async function readTokenRows<Row extends PlannedRow>(
  data: string,
  { plan, planBadRow, onProgress, ...options }: TokenRowReader<Row>,
): Promise<string> {
  const batches = createTokenBatches(options);
  let digest = "";
  const rows = readRows(data, {
    onEnd: (sha256) => {
      digest = sha256;
    },
    ...(planBadRow && {
      onBadRow: (...bad: Parameters<typeof planBadRow>) => void batches.add(planBadRow(...bad)),
    }),
    onProgress,
  });
  try {
    reading: for await (const read of rows) {
      for (const row of await plan(read)) {
        const isFull = batches.add(row);
        if (row.last) break reading;
        if (isFull) await batches.flush();
      }
    }
  } catch (error) {
    // A row before the one that could not be read may be bad: it comes first.
    await batches.end();
    throw error;
  }
  await batches.end();
  return digest;
}

async function encodeTogether(
  tokenizer: () => Tokenizer | undefined | Promise<Tokenizer>,
  rows: readonly PlannedRow[],
  atMost: number,
): Promise<TextStart[][]> {
  const all = rows.flatMap(({ texts }) => texts);
  const starts = all.length > 0 ? await (await tokenizer())!.encodeStarts(all, atMost) : [];
  let next = 0;
  return rows.map(({ texts }) => {
    next += texts.length;
    return starts.slice(next - texts.length, next);
  });
}
