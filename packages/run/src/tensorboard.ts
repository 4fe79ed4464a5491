/**
 * TensorBoard event files: TFRecord frames (length, masked CRC-32C of it, bytes, masked CRC-32C of them) around
 * protocol-buffer Events. A resumed run begins a new file with a SessionLog START at its step: TensorBoard then leaves out
 * what an earlier file has at or after that step. Formats: tensorflow/core/util/event.proto,
 * tensorflow/core/framework/summary.proto, tensorflow/core/lib/io/record_writer.h.
 */
import { crc32c } from "./crc32c.js";

/** The first record of every file. */
export function versionRecord(seconds: number): Uint8Array {
  return record([double(1, seconds), text(3, "brain.Event:2")]);
}

/** A session begins: what other files have from `step` on is void. */
export function sessionStartRecord(seconds: number, step: number): Uint8Array {
  return record([double(1, seconds), varint(2, step), message(7, [varint(1, 1)])]);
}

/** One point for each scalar. */
export function scalarsRecord(
  seconds: number,
  step: number,
  scalars: Readonly<Record<string, number>>,
): Uint8Array {
  const values = Object.entries(scalars).map(([tag, value]) => message(1, [text(1, tag), float(2, value)]));
  return record([double(1, seconds), varint(2, step), message(5, values)]);
}

function record(fields: readonly Uint8Array[]): Uint8Array {
  const data = Buffer.concat(fields);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(data.length));
  return Buffer.concat([length, maskedCrc(length), data, maskedCrc(data)]);
}

/** A CRC of bytes that hold their own CRC says little: TFRecord rotates it and adds a constant. */
function maskedCrc(bytes: Uint8Array): Uint8Array {
  const crc = crc32c(bytes);
  const masked = Buffer.alloc(4);
  masked.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0);
  return masked;
}

// Protocol buffers: a field is its number and wire type, then 0 a varint, 1 eight bytes, 2 a length and bytes, 5 four bytes.

function varintBytes(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low | 0x80 : low);
  } while (rest > 0);
  return Uint8Array.from(bytes);
}

const key = (field: number, wireType: number): Uint8Array => varintBytes(field * 8 + wireType);

function varint(field: number, value: number): Uint8Array {
  return Buffer.concat([key(field, 0), varintBytes(value)]);
}

function double(field: number, value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return Buffer.concat([key(field, 1), bytes]);
}

function float(field: number, value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([key(field, 5), bytes]);
}

function bytesField(field: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([key(field, 2), varintBytes(bytes.length), bytes]);
}

const text = (field: number, value: string): Uint8Array => bytesField(field, Buffer.from(value));
const message = (field: number, fields: readonly Uint8Array[]): Uint8Array =>
  bytesField(field, Buffer.concat(fields));
