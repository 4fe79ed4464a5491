// Rows into a new file, of JSON Lines or Parquet by its name, which appears complete or not at all.
import { stat } from "node:fs/promises";
import { createParquetFile, UserError } from "@posttrain/data";
import { replaceDurably } from "@posttrain/run";
import { openResultFile } from "./result-file.js";

type Row = Readonly<Record<string, unknown>>;

export interface RowFile {
  /** Takes the rows of `read`, which is asked for twice where all must be looked at before the first is written; `isCounted` once. */
  writeAll(read: (isCounted: boolean) => AsyncIterable<Row>): Promise<void>;
  discard(): Promise<void>;
}

/** Opened before the long work. UserError `output_used`, `output_locked`, `cannot_write`. */
export async function openRowFile(path: string): Promise<RowFile> {
  if (!path.endsWith(".parquet")) {
    const file = await openResultFile(path);
    return {
      writeAll: async (read) => {
        for await (const row of read(true)) await file.write(row);
        await file.commit();
      },
      discard: file.discard,
    };
  }
  if (await stat(path).catch(() => undefined)) {
    throw new UserError(
      "output_used",
      `output ${path} already exists. Remove it or give another name, so that no result is overwritten.`,
    );
  }
  return {
    writeAll: async (read) => {
      const parquet = createParquetFile();
      for await (const row of read(false)) parquet.observe(row);
      await replaceDurably(path, async (partial) => {
        const file = await parquet.open(partial);
        for await (const row of read(true)) file.write(row);
        file.end();
      });
    },
    discard: async () => undefined,
  };
}
