/**
 * Parquet by hyparquet: a row group at a time, or by pages where the file has an index of them. What a column holds becomes the JSON that says
 * the same (parquet-values.ts); a page that cannot be read names its row group and column.
 */
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import {
  type AsyncBuffer,
  type Compressors,
  type FileMetaData,
  parquetMetadataAsync,
  parquetRead,
  parquetSchema,
} from "hyparquet";
import { compressors as others } from "hyparquet-compressors";
import { refusePlaceholder } from "../placeholder.js";
import { UserError } from "../user-error.js";
import type { FileReader, RawRow } from "./file-reader.js";
import { unreadable } from "./packing-bytes.js";
import { type ColumnReader, parsers, plainColumns } from "./parquet-values.js";
import { rowError } from "./place.js";

/** Row groups beyond this are read by pages, where the file says where these are. */
const MAX_GROUP_BYTES = 64 * 1024 * 1024;
const rowsAtOnce = 1000;

const compressors: Compressors = {
  ...others,
  GZIP: (input, length) => gunzipSync(input, { maxOutputLength: length }),
  BROTLI: (input, length) => brotliDecompressSync(input, { maxOutputLength: length }),
};

export const readParquet: FileReader = async function* (path, watch, after) {
  if (path.endsWith(".gz") || path.endsWith(".zst")) {
    throw new UserError(
      "unreadable_file",
      `${path} is a packed Parquet file, which cannot be read from its end. Unpack it: its pages are packed already.`,
    );
  }
  const handle = await open(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  try {
    const { size } = await handle.stat();
    const file = bufferOf(handle, size);
    const metadata = await openMetadata(path, file);
    const columns = plainColumns(metadata, path);
    let start = 0;
    for (const [number, group] of metadata.row_groups.entries()) {
      const rows = Number(group.num_rows);
      const end = start + rows;
      if (end > after) {
        const bytes = group.columns.reduce(
          (sum, column) => sum + Number(column.meta_data?.total_uncompressed_size ?? 0),
          0,
        );
        const hasIndex = group.columns.every(({ offset_index_offset }) => offset_index_offset !== undefined);
        const step =
          hasIndex && bytes > MAX_GROUP_BYTES
            ? Math.max(1, Math.floor((rows * MAX_GROUP_BYTES) / bytes))
            : rows;
        for (let from = start; from < end; from += step) {
          const to = Math.min(end, from + step);
          const read = { file, metadata, compressors, parsers, utf8: false, useOffsetIndex: hasIndex };
          const values = await readRange(read, from, to, path, number);
          for (let at = 0; at < values.length; at += rowsAtOnce)
            yield rowsOf(path, values.slice(at, at + rowsAtOnce), from + at, columns);
        }
      }
      // What was read before still counts.
      else if (rows > 0) yield [{ place: { path, line: end, unit: "row" }, read: () => undefined }];
      watch.onBytes(size / metadata.row_groups.length);
      start = end;
    }
    if (watch.hash !== undefined)
      for await (const chunk of createReadStream(path)) watch.hash.update(chunk as Buffer);
  } finally {
    await handle.close();
  }
};

function bufferOf(handle: FileHandle, byteLength: number): AsyncBuffer {
  return {
    byteLength,
    slice: async (start, end = byteLength) => {
      const bytes = new Uint8Array(Math.max(0, end - start));
      let length = 0;
      while (length < bytes.length) {
        const { bytesRead } = await handle.read(bytes, length, bytes.length - length, start + length);
        if (bytesRead === 0) break;
        length += bytesRead;
      }
      return bytes.buffer;
    },
  };
}

async function openMetadata(path: string, file: AsyncBuffer): Promise<FileMetaData> {
  const start = Buffer.from(await file.slice(0, Math.min(512, file.byteLength)));
  if (file.byteLength === 0) throw new UserError("empty_file", `${path} holds no rows: it has no bytes.`);
  refusePlaceholder(path, start);
  if (start.subarray(0, 4).toString("latin1") === "PARE") {
    throw new UserError(
      "unreadable_file",
      `${path} is encrypted Parquet, which cannot be read. Write it again without encryption.`,
    );
  }
  if (start.subarray(0, 4).toString("latin1") !== "PAR1") {
    throw new UserError(
      "unreadable_file",
      `${path} is not Parquet: it does not begin with PAR1. Name it by what it is, or copy it again.`,
    );
  }
  try {
    const metadata = await parquetMetadataAsync(file, { geoparquet: false });
    const root = parquetSchema(metadata);
    if (root.children.length === 0) throw new Error("its schema has no columns");
    return metadata;
  } catch (error) {
    throw new UserError(
      "unreadable_file",
      `${path} is no whole Parquet file: its footer cannot be read (${(error as Error).message}). It is cut short, or still being written: copy or write it again.`,
      { cause: error },
    );
  }
}

type Read = Omit<
  Parameters<typeof parquetRead>[0],
  "rowStart" | "rowEnd" | "onComplete" | "rowFormat" | "columns"
>;

async function readRange(read: Read, rowStart: number, rowEnd: number, path: string, group: number) {
  try {
    return await readObjects({ ...read, rowStart, rowEnd });
  } catch (error) {
    const { metadata } = read;
    for (const { element } of parquetSchema(metadata!).children) {
      const columns = [element.name];
      const own = await readObjects({ ...read, rowStart, rowEnd, columns }).catch(
        (reason: unknown) => reason,
      );
      if (!(own instanceof Error)) continue;
      const codec = metadata!.row_groups[group]?.columns.find(
        ({ meta_data: meta }) => meta?.path_in_schema[0] === element.name,
      )?.meta_data?.codec;
      throw new UserError(
        "unreadable_file",
        `${path}, row group ${group}, column ${element.name} (${codec ?? "no codec"}) cannot be read: ${own.message}. Write the file again, packed as snappy, gzip, zstd, brotli or lz4 if it was with another codec.`,
        { cause: own },
      );
    }
    throw unreadable(path, error);
  }
}

function readObjects(
  options: Read & { readonly rowStart: number; readonly rowEnd: number; readonly columns?: string[] },
): Promise<Record<string, unknown>[]> {
  return new Promise((resolve, reject) => {
    parquetRead({ ...options, rowFormat: "object", onComplete: resolve }).catch(reject);
  });
}

function* rowsOf(
  path: string,
  values: readonly Record<string, unknown>[],
  before: number,
  columns: readonly ColumnReader[],
): Generator<RawRow> {
  for (const [i, value] of values.entries()) {
    const place = { path, line: before + i + 1, unit: "row" };
    yield {
      place,
      read: () => {
        const row: Record<string, unknown> = {};
        for (const [name, read, isAbsent] of columns) {
          if (isAbsent && (value[name] ?? null) === null) continue;
          try {
            row[name] = read(value[name]);
          } catch (error) {
            throw rowError("bad_line", place, `column ${name} ${(error as Error).message}`, error);
          }
        }
        return row;
      },
    };
  }
}
