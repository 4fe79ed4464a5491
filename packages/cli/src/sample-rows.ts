// Where samples go: rows of a result file, or for a person at a terminal their text alone.
import { openResultFile, type ResultFile } from "./result-file.js";
import { visible } from "./visible.js";

export interface SampleRow {
  readonly id: string;
  readonly line: number;
  readonly sample: number;
  readonly text: string;
  readonly [column: string]: unknown;
}

export interface SampleRows extends Pick<ResultFile, "commit" | "discard"> {
  /** One of `total`. */
  write(row: SampleRow, total: number): Promise<void>;
}

export async function openSampleRows(path: string | undefined, json: boolean): Promise<SampleRows> {
  const results = await openResultFile(path);
  const isForEyes = path === undefined && process.stdout.isTTY && !json;
  return {
    ...results,
    write: async (row, total) => {
      if (!isForEyes) return results.write(row);
      if (total > 1) console.log(`--- line ${row.line}, sample ${row.sample}`);
      console.log(visible(row.text));
    },
  };
}
