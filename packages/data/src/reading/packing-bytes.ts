/**
 * A file's bytes as they are on disk or, where its name ends in .gz or .zst, unpacked; in order, a chunk at a time. Node 20 has no zstd:
 * fzstd reads its streams, of several frames too.
 */
import type { Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { refusePlaceholder } from "../placeholder.js";
import { UserError } from "../user-error.js";
import { refuseOtherContent } from "./contents.js";

/** Above these a packed file is a bomb: rows of text shrink to a third, the same row over and over to 1 in 250. */
const MAX_UNPACKED_BYTES = 256 * 1024 * 1024;
const MAX_RATIO = 300;

export interface ByteWatch {
  /** Takes the bytes on disk. */
  readonly hash: Hash | undefined;
  readonly onBytes: (bytes: number) => void;
}

/** Throws what the system and the unpackers throw, and {@link Bomb}: {@link unreadable} makes a UserError of it. */
export async function* bytesOf(path: string, watch: ByteWatch): AsyncGenerator<Buffer, void, undefined> {
  let packed = 0;
  const onDisk = diskBytes(path, {
    ...watch,
    onBytes: (bytes) => {
      packed += bytes;
      watch.onBytes(bytes);
    },
  });
  const unpack = path.endsWith(".gz") ? gunzipped : path.endsWith(".zst") ? unzstd : undefined;
  if (unpack === undefined) {
    yield* onDisk;
    return;
  }
  let unpacked = 0;
  for await (const chunk of unpack(onDisk)) {
    yield chunk;
    unpacked += chunk.length;
    if (unpacked > Math.max(MAX_UNPACKED_BYTES, MAX_RATIO * packed)) throw new Bomb(unpacked, packed);
  }
}

/** More than rows of text can be packed. */
class Bomb extends Error {
  constructor(
    readonly unpacked: number,
    readonly packed: number,
  ) {
    super("a bomb");
  }
}

async function* diskBytes(path: string, { hash, onBytes }: ByteWatch): AsyncGenerator<Buffer> {
  let first = true;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    if (first) {
      refusePlaceholder(path, chunk);
      refuseOtherContent(path, chunk);
    }
    first = false;
    hash?.update(chunk);
    onBytes(chunk.length);
    yield chunk;
  }
}

async function* gunzipped(packed: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const file = Readable.from(packed, { objectMode: false });
  const gunzip = createGunzip();
  file.on("error", (error) => gunzip.destroy(error)).pipe(gunzip);
  try {
    yield* gunzip as AsyncIterable<Buffer>;
  } finally {
    file.destroy();
    gunzip.destroy();
  }
}

async function* unzstd(packed: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const { Decompress } = await import("fzstd");
  let ready: Buffer[] = [];
  const stream = new Decompress((chunk) => {
    if (chunk.length > 0) ready.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
  });
  const push = (chunk: Uint8Array, isLast: boolean): void => {
    try {
      stream.push(chunk, isLast);
    } catch (cause) {
      throw Object.assign(new Error((cause as Error).message, { cause }), { code: "Z_ZSTD" });
    }
  };
  for await (const chunk of packed) {
    push(chunk, false);
    yield* ready;
    ready = [];
  }
  push(new Uint8Array(0), true);
  yield* ready;
}

/** What cannot be read, as a UserError. `line`: where reading was. */
export function unreadable(path: string, error: unknown, line?: number): UserError {
  if (error instanceof UserError) return error;
  if (error instanceof Bomb) {
    return new UserError(
      "unreadable_file",
      `${path} grew to ${error.unpacked} bytes from ${error.packed} up to line ${line ?? 1}: more than rows of text can be packed. ` +
        "If it is what you mean to train on, unpack it and name the unpacked file.",
    );
  }
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
      (packed
        ? ` As ${path.endsWith(".zst") ? "zstd" : "gzip"} it is cut short or broken: copy or pack it again.`
        : ""),
    { cause: error },
  );
}
