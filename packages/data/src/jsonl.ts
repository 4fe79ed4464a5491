/**
 * JSON Lines as data files have them: one JSON value a line, UTF-8, `\n` or `\r\n`, a BOM at the start
 * allowed, blank lines skipped, gzip when the name ends in `.gz`. Streams: only one line is held at a time.
 * Strict where leniency would change text: a broken UTF-8 byte or half a surrogate pair is an error, never
 * U+FFFD.
 */
import { isUtf8 } from "node:buffer";
import { createHash, type Hash } from "node:crypto";
import { type BigIntStats, createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { refusePlaceholder } from "./placeholder.js";
import { parseStrictJson } from "./strict-json.js";
import { UserError } from "./user-error.js";

/** One value of a file and the line it stands on, counted from 1. */
export interface JsonlRecord {
  readonly line: number;
  readonly value: unknown;
}

const progressLines = 64;
const MAX_LINE_BYTES = 64 * 1024 * 1024;
/** Above these a gzip file is a bomb: rows of text shrink to a third, the same row over and over to 1 in 250. */
const MAX_GZIP_BYTES = 256 * 1024 * 1024;
const MAX_GZIP_RATIO = 300;

export interface JsonlOptions {
  /** Takes a line that is no JSON value, instead of ending with its error. */
  readonly onBadLine?: (error: UserError, line: number) => void;
  /** At the end of a file that stayed as it was: SHA-256 of its bytes on disk, in hex. */
  readonly onEnd?: (digest: string) => void;
  readonly onProgress?: OnProgress | undefined;
}

/** Told now and then how far a file is read: values so far, and the share of its bytes. */
export type OnProgress = (path: string, values: number, share: number) => void;

/**
 * Yields the values of a JSONL file in order.
 * Throws UserError: `missing_file`, `unreadable_file`, `empty_file`, `changed_file`, or `bad_line` naming
 * file, line and column.
 */
export async function* readJsonl(
  path: string,
  { onBadLine, onEnd, onProgress }: JsonlOptions = {},
): AsyncGenerator<JsonlRecord, void, undefined> {
  const before = await statFile(path);
  const hash = createHash("sha256");
  let line = 0;
  let values = 0;
  let read = 0;
  const onBytes = (bytes: number): void => {
    read += bytes;
  };
  for await (const bytes of linesOf(path, hash, onBytes)) {
    line++;
    if (line % progressLines === 0) onProgress?.(path, values, read / Number(before.size));
    let value: unknown;
    try {
      const text = decodeLine(path, line, bytes);
      if (text.trim() === "") continue;
      values++;
      value = parseLine(path, line, text);
    } catch (error) {
      if (!onBadLine || !(error instanceof UserError)) throw error;
      onBadLine(error, line);
      continue;
    }
    yield { line, value };
  }
  const after = await statFile(path);
  // The inode tells a file that was put in this one's place, ctime one of the same size whose mtime was set back.
  const changed = (["size", "mtimeNs", "ctimeNs", "ino", "dev"] as const).some(
    (field) => after[field] !== before[field],
  );
  if (changed) {
    throw new UserError(
      "changed_file",
      `${path} changed while it was read (${before.size} bytes before, ${after.size} after): ` +
        "let its writer finish, then start again.",
    );
  }
  if (values === 0) {
    throw new UserError("empty_file", `${path} holds no rows: expected one JSON object on each line.`);
  }
  onEnd?.(hash.digest("hex"));
}

async function statFile(path: string): Promise<BigIntStats> {
  const stats = await stat(path, { bigint: true }).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  if (stats.isDirectory()) {
    throw new UserError(
      "unreadable_file",
      `${path} is a folder: expected a JSONL file, name the file inside it.`,
    );
  }
  if (!stats.isFile()) {
    throw new UserError(
      "unreadable_file",
      `${path} is a pipe or a device: expected a file, which a resumed run can read again. Write it to disk first.`,
    );
  }
  return stats;
}

/**
 * Lines as bytes, without their line feed. A last line without one counts; nothing after the last feed does
 * not.
 */
async function* linesOf(
  path: string,
  hash: Hash,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Buffer, void, undefined> {
  const file = Readable.from(bytesOf(path, hash, onBytes), { objectMode: false });
  const gunzip = path.endsWith(".gz") ? createGunzip() : undefined;
  if (gunzip) file.on("error", (error) => gunzip.destroy(error)).pipe(gunzip);
  let parts: Buffer[] = [];
  let held = 0;
  let unpacked = 0;
  let line = 1;
  try {
    for await (const chunk of (gunzip ?? file) as AsyncIterable<Buffer>) {
      let start = 0;
      for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
        parts.push(chunk.subarray(start, end));
        yield parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
        parts = [];
        held = 0;
        line++;
        start = end + 1;
      }
      if (start < chunk.length) parts.push(chunk.subarray(start));
      held += chunk.length - start;
      unpacked += chunk.length;
      if (held > MAX_LINE_BYTES) {
        throw badLine(
          path,
          line,
          `is longer than ${MAX_LINE_BYTES} bytes: write one row a line, split at line feeds.`,
        );
      }
      if (gunzip && unpacked > Math.max(MAX_GZIP_BYTES, MAX_GZIP_RATIO * gunzip.bytesWritten)) {
        throw new UserError(
          "unreadable_file",
          `${path} grew to ${unpacked} bytes from ${gunzip.bytesWritten} up to line ${line}: more than rows of text can be packed. ` +
            "If it is what you mean to train on, unpack it and name the unpacked file.",
        );
      }
    }
  } catch (error) {
    throw error instanceof UserError ? error : unreadable(path, error, line);
  } finally {
    file.destroy();
    gunzip?.destroy();
  }
  if (held > 0) yield Buffer.concat(parts);
}

async function* bytesOf(
  path: string,
  hash: Hash,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Buffer, void, undefined> {
  let first = true;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    if (first) {
      refusePlaceholder(path, chunk);
      refuseOtherFormat(path, chunk);
    }
    first = false;
    hash.update(chunk);
    onBytes(chunk.length);
    yield chunk;
  }
}

/** Formats whose first bytes no JSON has, and what to do about them. */
const formats: readonly (readonly [start: string, name: string, remedy: string])[] = [
  ["1f8b", "gzip", "Name it .jsonl.gz, or unpack it (gunzip)."],
  ["28b52ffd", "zstd", "Unpack it (zstd -d)."],
  ["fd377a585a00", "xz", "Unpack it (xz -d)."],
  ["425a68", "bzip2", "Unpack it (bunzip2)."],
  ["04224d18", "lz4", "Unpack it (lz4 -d)."],
  ["504b0304", "a zip archive", "Unpack it and name the file inside it."],
  ["377abcaf271c", "a 7z archive", "Unpack it and name the file inside it."],
  [
    "50415231",
    "Parquet",
    "Convert it to JSON Lines: pandas.read_parquet(...).to_json(..., orient='records', lines=True).",
  ],
  ["4152524f5731", "Arrow", "Convert it to JSON Lines: datasets' to_json writes them."],
  ["ffffffff", "an Arrow stream", "Convert it to JSON Lines: datasets' to_json writes them."],
  ["4f626a01", "Avro", "Convert it to JSON Lines."],
  ["53514c69746520666f726d6174", "an SQLite database", "Convert it to JSON Lines."],
  ["89484446", "HDF5", "Convert it to JSON Lines."],
  ["25504446", "a PDF", "Expected one JSON object on each line."],
  ["8002", "a pickle", "Convert it to JSON Lines; a pickle runs code when it is read."],
  ["8003", "a pickle", "Convert it to JSON Lines; a pickle runs code when it is read."],
  ["8004", "a pickle", "Convert it to JSON Lines; a pickle runs code when it is read."],
  ["8005", "a pickle", "Convert it to JSON Lines; a pickle runs code when it is read."],
];

function refuseOtherFormat(path: string, chunk: Buffer): void {
  const isPacked = path.endsWith(".gz");
  const start = chunk.subarray(0, 16).toString("hex");
  if (isPacked && start.startsWith("1f8b")) return;
  const found = formats.find(([bytes]) => start.startsWith(bytes));
  if (found === undefined) return;
  throw new UserError(
    "unreadable_file",
    `${path} is ${found[1]}, not JSON Lines, as its first bytes say. ${found[2]}`,
  );
}

function decodeLine(path: string, line: number, bytes: Buffer): string {
  let start = 0;
  if (line === 1 && bytes.length >= 3 && bytes.readUIntBE(0, 3) === 0xefbbbf) start = 3;
  const end = bytes.length > start && bytes[bytes.length - 1] === 0x0d ? bytes.length - 1 : bytes.length;
  const body = bytes.subarray(start, end);
  const nul = body.indexOf(0);
  const utf16 = nul >= 0 || (line === 1 && (body[0] === 0xff || body[0] === 0xfe));
  if (nul >= 0 && isUtf8(body)) {
    throw badLine(
      path,
      line,
      `holds a NUL byte, the ${start + nul + 1}th of the line: the file is UTF-16, no text, or was torn when its machine stopped. ` +
        "Convert it (iconv -t UTF-8) or write it again.",
    );
  }
  if (isUtf8(body)) return body.toString("utf8");
  const at = firstInvalidByte(body);
  const byte = `0x${(body[at] ?? 0).toString(16).padStart(2, "0")}`;
  throw badLine(
    path,
    line,
    `is not UTF-8: byte ${start + at + 1} of the line is ${byte}. ${utf16 ? "It looks like UTF-16. " : ""}Convert the file, for example with iconv -t UTF-8.`,
  );
}

/** Decoding a prefix as a stream fails as soon as the prefix holds the first invalid byte: bisect for it. */
function firstInvalidByte(bytes: Buffer): number {
  let valid = 0;
  let invalid = bytes.length + 1;
  while (invalid - valid > 1) {
    const middle = (valid + invalid) >> 1;
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, middle), {
        stream: middle < bytes.length,
      });
      valid = middle;
    } catch {
      invalid = middle;
    }
  }
  return Math.min(invalid, bytes.length) - 1;
}

function parseLine(path: string, line: number, text: string): unknown {
  try {
    return parseStrictJson(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (!reason.startsWith("is not JSON")) throw badLine(path, line, reason, error);
    const remedy =
      line === 1 && text.trimStart().startsWith("[")
        ? "The file looks like one JSON array: write one object a line, for example with jq -c '.[]'."
        : "Expected one JSON object on one line.";
    throw badLine(path, line, `(${text.length} characters) ${reason}. ${remedy}`, error);
  }
}

function badLine(path: string, line: number, rest: string, cause?: unknown): UserError {
  return new UserError("bad_line", `${path}, line ${line} ${rest}`, { cause });
}

function unreadable(path: string, error: unknown, line?: number): UserError {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") {
    return new UserError(
      "missing_file",
      `${path} does not exist: check the path (it is taken from the current folder).`,
      { cause: error },
    );
  }
  const reason = error instanceof Error ? error.message : String(error);
  const packed = typeof code === "string" && code.startsWith("Z_");
  return new UserError(
    "unreadable_file",
    `${path} cannot be read${line === undefined ? "" : ` from line ${line} on`}: ${reason}.` +
      (packed ? " As gzip it is cut short or broken: copy or pack it again." : ""),
    { cause: error },
  );
}
