/**
 * The safetensors file format: headers read and checked, files written.
 *
 * Layout: 8 bytes little-endian n; n bytes of JSON {name: {dtype, shape, data_offsets: [begin, end]}}, which may
 * end in spaces; then the data, where every byte belongs to exactly one tensor. A header is not to be trusted:
 * nothing is allocated by a number in it before that number was held against the size of the file.
 * Format and byte order of a written file: github.com/huggingface/safetensors (Apache-2.0), README and tensor.rs.
 */
import { type FileHandle, open } from "node:fs/promises";
import { openRegularFile, placeholderBytes, refusePlaceholder, UserError } from "@posttrain/data";
import { replaceDurably } from "@posttrain/run";

/** Bytes of one value, in the order in which the reference writer sorts its tensors (widest last). */
const dtypeBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  F8_E8M0: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  C64: 8,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;

export type SafetensorsDtype = keyof typeof dtypeBytes;

/** Where a tensor lies: bytes begin (included) to end (excluded), counted from the start of the file. */
export interface SafetensorsEntry {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** A tensor to write. `bytes` are little-endian, row-major; chunks of an iterable may be cut anywhere. */
export interface TensorSource {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array | AsyncIterable<Uint8Array>;
}

const lengthBytes = 8;
/** The reference reader's limit. */
const maxHeaderBytes = 100_000_000;
const maxWriteBytes = 64 * 1024 * 1024;

/**
 * The tensors of a safetensors file, in file order, from its first bytes (at least the whole header).
 * `fileSize` is in bytes; `file` is for messages.
 * @throws UserError `bad_safetensors` for whatever breaks the format: truncation, a header that is too long, no
 * UTF-8 or no JSON, a name twice, offsets that overlap, leave holes, point outside or disagree with the shape.
 */
export function parseSafetensorsHeader(
  bytes: Uint8Array,
  fileSize: number,
  file: string,
): Map<string, SafetensorsEntry> {
  const headerEnd = lengthBytes + headerLength(bytes, fileSize, file);
  if (bytes.length < headerEnd) throw truncated(file, `its header ends at byte ${headerEnd}`, bytes.length);
  const header = parseJson(bytes.subarray(lengthBytes, headerEnd), file);

  const entries: [string, SafetensorsEntry][] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === "__metadata__") checkMetadata(value, file);
    else entries.push([name, parseEntry(name, value, headerEnd, file)]);
  }
  entries.sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let end = headerEnd;
  let before = "the header";
  for (const [name, entry] of entries) {
    if (entry.begin !== end) {
      const fault = entry.begin < end ? "overlaps" : "leaves a hole after";
      throw bad(
        file,
        `tensor ${quote(name)} ${fault} ${before}: it begins at byte ${entry.begin}, but ${before} ends at ${end}`,
      );
    }
    if (entry.end > fileSize)
      throw truncated(file, `tensor ${quote(name)} ends at byte ${entry.end}`, fileSize);
    end = entry.end;
    before = `tensor ${quote(name)}`;
  }
  if (end !== fileSize) {
    throw bad(file, `${fileSize - end} bytes at its end belong to no tensor (${before} ends at ${end})`);
  }
  return new Map(entries);
}

/**
 * {@link parseSafetensorsHeader} of a file on disk, of which only the header is read.
 * @throws UserError `cannot_read` when the file cannot be opened, else as above.
 */
export async function readSafetensorsHeader(path: string): Promise<Map<string, SafetensorsEntry>> {
  const handle = await openRegularFile(path).catch((cause: NodeJS.ErrnoException) => {
    throw cannotRead(path, cause.message, cause);
  });
  try {
    const stat = await handle.stat();
    const first = await readStart(handle, Math.min(placeholderBytes, stat.size));
    refusePlaceholder(path, first);
    const length = headerLength(first.subarray(0, lengthBytes), stat.size, path);
    return parseSafetensorsHeader(await readStart(handle, lengthBytes + length), stat.size, path);
  } finally {
    await handle.close();
  }
}

/**
 * Writes `tensors` to `path` with the metadata {format: "pt"}: under a temporary name beside it, synced, then
 * renamed, so that `path` is complete or untouched. The bytes are those of the reference writer: tensors sorted
 * by dtype (widest first), then by name; `bytes` are asked for in that order, one tensor at a time.
 * @throws UserError `cannot_write` when the disk refuses; Error when bytes, shape or names contradict each other.
 */
export async function writeSafetensors(path: string, tensors: Iterable<TensorSource>): Promise<void> {
  const ranks = Object.keys(dtypeBytes);
  const sorted = [...tensors].sort(
    (a, b) =>
      ranks.indexOf(b.dtype) - ranks.indexOf(a.dtype) ||
      Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
  );
  const header = safetensorsHeader(sorted);
  await replaceDurably(path, async (partial) => {
    const handle = await open(partial, "wx");
    try {
      await writeAll(handle, header);
      for (const tensor of sorted) await writeTensor(handle, tensor);
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

function headerLength(start: Uint8Array, fileSize: number, file: string): number {
  if (start.length < lengthBytes)
    throw truncated(file, `its header's length alone takes ${lengthBytes}`, fileSize);
  const length = new DataView(start.buffer, start.byteOffset, lengthBytes).getBigUint64(0, true);
  if (length > maxHeaderBytes) {
    throw bad(file, `it claims a header of ${length} bytes, above the format's limit of ${maxHeaderBytes}`);
  }
  const end = lengthBytes + Number(length);
  if (end > fileSize) throw truncated(file, `its header ends at byte ${end}`, fileSize);
  return Number(length);
}

function parseJson(bytes: Uint8Array, file: string): Readonly<Record<string, unknown>> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw bad(file, "its header is not UTF-8", cause);
  }
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (cause) {
    throw bad(file, "its header is not JSON", cause);
  }
  if (!text.startsWith("{") || !isRecord(header)) throw bad(file, "its header is not a JSON object");
  const twice = repeatedKey(text);
  if (twice !== null) throw bad(file, `its header names ${quote(twice)} twice`);
  return header;
}

/** The first key that an object of valid JSON `text` holds twice: JSON.parse would keep the last without a word. */
function repeatedKey(text: string): string | null {
  const objects: Set<string>[] = [];
  for (let at = 0; at < text.length; at++) {
    const start = at;
    if (text[at] === "{") objects.push(new Set());
    else if (text[at] === "}") objects.pop();
    if (text[at] !== '"') continue;
    do at += text[at] === "\\" ? 2 : 1;
    while (text[at] !== '"');
    let next = at + 1;
    while (/\s/.test(text[next] ?? "")) next++;
    if (text[next] !== ":") continue;
    const key: string = JSON.parse(text.slice(start, at + 1));
    const keys = objects.at(-1);
    if (keys?.has(key)) return key;
    keys?.add(key);
  }
  return null;
}

function checkMetadata(value: unknown, file: string): void {
  if (!isRecord(value) || Object.values(value).some((text) => typeof text !== "string")) {
    throw bad(file, "__metadata__ in its header is not an object of strings");
  }
}

function parseEntry(name: string, value: unknown, dataStart: number, file: string): SafetensorsEntry {
  const fail = (text: string) => bad(file, `tensor ${quote(name)} ${text}`);
  if (!isRecord(value)) throw fail("is not described by a JSON object");
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isDtype(dtype)) {
    throw fail(
      typeof dtype === "string"
        ? `has the unknown dtype ${quote(dtype)}`
        : "has a dtype that is not a string",
    );
  }
  if (!Array.isArray(shape) || !shape.every(isSize)) throw fail("has a shape that is not a list of sizes");
  const [begin, end, ...rest]: unknown[] = Array.isArray(offsets) ? offsets : [];
  if (!isSize(begin) || !isSize(end) || rest.length > 0) {
    throw fail("has data_offsets that are not two byte positions");
  }
  if (end < begin) throw fail(`has data_offsets that run backwards, from ${begin} to ${end}`);
  const shapeText = `[${quote(shape.slice(0, 8).join(", ") + (shape.length > 8 ? ", ..." : "")).slice(1, -1)}]`;
  const size = byteSize(dtype, shape);
  if (size === null) throw fail(`has the shape ${shapeText}, which is larger than any file`);
  if (size !== end - begin) {
    throw fail(
      `takes ${end - begin} bytes by its data_offsets, but ${size} by its shape ${shapeText} in ${dtype}`,
    );
  }
  return { dtype, shape, begin: dataStart + begin, end: dataStart + end };
}

/** Bytes of a tensor; null where a product on the way passes 2^53. */
function byteSize(dtype: SafetensorsDtype, shape: readonly number[]): number | null {
  let size: number = dtypeBytes[dtype];
  for (const n of shape) {
    size *= n;
    if (!Number.isSafeInteger(size)) return null;
  }
  return size;
}

/** Length and JSON, padded with spaces to a multiple of 8 so that the data is aligned. */
function safetensorsHeader(tensors: readonly TensorSource[]): Uint8Array {
  const header = new Map<string, unknown>([["__metadata__", { format: "pt" }]]);
  let offset = 0;
  for (const { name, dtype, shape } of tensors) {
    if (header.has(name)) throw new Error(`writeSafetensors: two tensors are named ${quote(name)}`);
    const size = shape.every(isSize) ? byteSize(dtype, shape) : null;
    if (size === null)
      throw new Error(`writeSafetensors: ${name} has the impossible shape [${shape.join(", ")}]`);
    header.set(name, { dtype, shape, data_offsets: [offset, offset + size] });
    offset += size;
  }
  // Not Object.fromEntries: an object would move names that look like numbers to the front.
  const json = [...header]
    .map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
    .join(",");
  const text = Buffer.from(`{${json}}`);
  const bytes = Buffer.alloc(lengthBytes + Math.ceil(text.length / 8) * 8, " ");
  bytes.writeBigUInt64LE(BigInt(bytes.length - lengthBytes));
  bytes.set(text, lengthBytes);
  return bytes;
}

async function writeTensor(handle: FileHandle, { name, dtype, shape, bytes }: TensorSource): Promise<void> {
  let written = 0;
  for await (const chunk of bytes instanceof Uint8Array ? [bytes] : bytes) {
    await writeAll(handle, chunk);
    written += chunk.length;
  }
  const size = byteSize(dtype, shape);
  if (written !== size) {
    throw new Error(
      `writeSafetensors: ${name} brought ${written} bytes, but [${shape.join(", ")}] in ${dtype} takes ${size}`,
    );
  }
}

export async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, Math.min(bytes.length - done, maxWriteBytes));
    done += bytesWritten;
  }
}

async function readStart(handle: FileHandle, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, length - done, done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}

const isDtype = (value: unknown): value is SafetensorsDtype =>
  typeof value === "string" && Object.hasOwn(dtypeBytes, value);
const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
/** As JSON, so that no control character of a hostile name reaches a terminal; long names are cut. */
const quote = (name: string) => JSON.stringify(name.length > 120 ? `${name.slice(0, 120)}...` : name);

function bad(file: string, text: string, cause?: unknown): UserError {
  return new UserError(
    "bad_safetensors",
    `${file} is not a sound safetensors file: ${text}. Download or write the file again.`,
    { cause },
  );
}

function truncated(file: string, text: string, size: number): UserError {
  return bad(file, `${text}, but the file has ${size} bytes; it was cut short, or its header lies`);
}

function cannotRead(path: string, text: string, cause?: unknown): UserError {
  return new UserError(
    "cannot_read",
    `${path}: cannot be read (${text}). Check the path and its permissions.`,
    {
      cause,
    },
  );
}
