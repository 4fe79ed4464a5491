/** The one way to read rows, whatever they are kept in: every command that takes `data` reads with this. */
import { createHash } from "node:crypto";
import { type BigIntStats, createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { type Mix, type MixOptions, type MixSource, mixOf } from "../mix-rows.js";
import { UserError } from "../user-error.js";
import { type Content, contentOf } from "./contents.js";
import type { Naming } from "./dataset-info.js";
import type { FileReader } from "./file-reader.js";
import { readJson } from "./json-array.js";
import { readJsonLines } from "./jsonl.js";
import { type Mixture, mixtureDigest, mixtureOf } from "./mixture.js";
import { unreadable } from "./packing-bytes.js";
import type { RowPlace } from "./place.js";
import { rowAdapter } from "./row-adapter.js";
import { openSource, type RowSource } from "./sources.js";

/** A value, and where it stands. */
export interface DataRow {
  /** Counted from 1 over all files of a dataset, by lines, or by what their kind has instead: no two rows have the same. */
  readonly line: number;
  readonly place: RowPlace;
  readonly value: unknown;
}

/** Told now and then how far data is read: its name, values so far, and the share of its bytes. */
export type OnProgress = (name: string, values: number, share: number) => void;

export interface ReadRowsOptions {
  /** Takes a row whose text holds no value, instead of ending with its error. */
  readonly onBadRow?: (error: UserError, line: number, place: RowPlace) => void;
  /** At the end of files that stayed as they were: SHA-256 of a file's bytes on disk, in hex; of several files, of theirs. */
  readonly onEnd?: (digest: string) => void;
  readonly onProgress?: OnProgress | undefined;
  /** What columns and roles are called, where a dataset_info.json does not say it. */
  readonly naming?: Naming | undefined;
  /** Goes on behind this row, which was read before. */
  readonly after?: Pick<RowPlace, "path" | "line"> | undefined;
}

/** CSV's and Parquet's are loaded when such a file comes: no other command waits for their libraries. */
const readers: Readonly<Record<Content, () => Promise<FileReader>>> = {
  jsonl: async () => readJsonLines,
  json: async () => readJson,
  csv: async () => (await import("./csv.js")).readCsv,
  parquet: async () => (await import("./parquet.js")).readParquet,
};

const progressRows = 64;

/**
 * Yields the values of a dataset in order (sources.ts says what `data` may name). Memory follows the longest row, of Parquet a row group, not the files.
 * Throws UserError: `missing_file`, `unreadable_file`, `empty_file`, `changed_file`, `bad_data`, or `bad_line` naming file, line (row, element) and column.
 */
export async function* readRows(
  data: string,
  options: ReadRowsOptions = {},
): AsyncGenerator<DataRow, void, undefined> {
  const { naming } = options;
  const mixture = mixtureOf(data);
  if (mixture !== undefined) return yield* readMixture(mixture, options);
  const source = await openSource(data);
  yield* readSource(naming === undefined ? source : { ...source, adapter: rowAdapter(naming) }, options);
}

/** The rows of several sources, as their mix has them: `line` is the place in the mix, `place` that of the file. */
async function* readMixture(
  mixture: Mixture,
  { naming, onEnd, after, ...options }: ReadRowsOptions,
): AsyncGenerator<DataRow, void, undefined> {
  if (after !== undefined)
    throw new UserError("bad_data", "A mix of sources cannot be gone on in: read it from its beginning.");
  const { rows, seed } = mixture;
  const sources = mixture.sources.map((source) => ({ ...(naming && { naming }), ...source }));
  const mix = await mixOf(sources, { rows, seed, ...options, read: readRows });
  let line = 0;
  for await (const { place, value } of mix.rows) yield { line: ++line, place, value };
  onEnd?.(mixtureDigest(mixture, mix.digests));
}

/** Several sources as one, interleaved by the seed; each is read once to be counted, and once more for each pass that is asked of it. */
export const mixRows = (sources: readonly MixSource[], options: Omit<MixOptions, "read">): Promise<Mix> =>
  mixOf(sources, { ...options, read: readRows });

async function* readSource(
  { name, files, adapter, most = Number.POSITIVE_INFINITY }: RowSource,
  { onBadRow, onEnd, onProgress, after }: ReadRowsOptions,
): AsyncGenerator<DataRow, void, undefined> {
  const stats = await Promise.all(files.map(statFile));
  const total = stats.reduce((sum, { size }) => sum + Number(size), 0);
  const resumed = after === undefined ? -1 : files.indexOf(after.path);
  if (after !== undefined && resumed < 0)
    throw new UserError("bad_data", `${name} has no file ${after.path} to go on in.`);
  const digests: string[] = [];
  let [read, rows, values, before] = [0, 0, 0, 0];
  for (const [number, path] of files.entries()) {
    const hash = onEnd === undefined ? undefined : createHash("sha256");
    const onBytes = (bytes: number): void => {
      read += bytes;
    };
    const skipped = number < resumed ? Number.POSITIVE_INFINITY : number === resumed ? after!.line : 0;
    let last = 0;
    const reader = await readers[contentOf(path) ?? "jsonl"]();
    for await (const some of reader(path, { hash, onBytes }, skipped)) {
      for (const { place, read: value } of some) {
        last = place.line;
        const line = before + last;
        if (++rows % progressRows === 0) onProgress?.(name, values, Math.min(1, read / total));
        if (last <= skipped || values >= most) continue;
        let found: unknown;
        try {
          found = value();
          if (found === undefined) continue;
          values++;
          if (adapter !== undefined) found = adapter(found, place);
        } catch (error) {
          if (onBadRow === undefined || !(error instanceof UserError)) throw error;
          values++;
          onBadRow(error, line, place);
          continue;
        }
        yield { line, place, value: found };
      }
    }
    refuseChanged(path, stats[number]!, await statFile(path));
    if (hash !== undefined) digests.push(hash.digest("hex"));
    before += last;
  }
  if (values === 0 && after === undefined) throw emptyError(name, files);
  onEnd?.(digestOf(digests));
}

function emptyError(name: string, files: readonly string[]): UserError {
  const isLines = files.length === 1 && (contentOf(name) ?? "jsonl") === "jsonl";
  return new UserError(
    "empty_file",
    `${name} holds no rows: expected ${isLines ? "one JSON object on each line" : "some"}.`,
  );
}

async function statFile(path: string): Promise<BigIntStats> {
  const stats = await stat(path, { bigint: true }).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  if (!stats.isFile()) {
    throw new UserError(
      "unreadable_file",
      `${path} is a pipe or a device: expected a file, which a resumed run can read again. Write it to disk first.`,
    );
  }
  return stats;
}

/** The inode tells a file that was put in this one's place, ctime one of the same size whose mtime was set back. */
function refuseChanged(path: string, before: BigIntStats, after: BigIntStats): void {
  const fields = ["size", "mtimeNs", "ctimeNs", "ino", "dev"] as const;
  if (fields.every((field) => after[field] === before[field])) return;
  throw new UserError(
    "changed_file",
    `${path} changed while it was read (${before.size} bytes before, ${after.size} after): ` +
      "let its writer finish, then start again.",
  );
}

/** What `onEnd` would be told. */
export async function dataDigest(data: string): Promise<string> {
  const mixture = mixtureOf(data);
  if (mixture !== undefined)
    return mixtureDigest(
      mixture,
      await Promise.all(mixture.sources.map((source) => dataDigest(source.data))),
    );
  const { files } = await openSource(data);
  const digests: string[] = [];
  for (const path of files) {
    const hash = createHash("sha256");
    try {
      for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
    } catch (error) {
      throw unreadable(path, error);
    }
    digests.push(hash.digest("hex"));
  }
  return digestOf(digests);
}

const digestOf = (files: readonly string[]): string =>
  files.length === 1 ? files[0]! : createHash("sha256").update(files.join("\n")).digest("hex");
