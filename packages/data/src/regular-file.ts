/**
 * Files that are read whole, and nothing else: a named pipe, a device, a socket in a file's place would hang the program or never end, a
 * file without measure take its memory. Opening never waits; what was opened is looked at, not what the path was a moment ago.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { byteText } from "./byte-text.js";

/** What a config, an index, a manifest or a template has at most, in bytes: the largest that we know of have 1 % of it. */
const mostTextBytes = 32 * 1024 * 1024;
/** What Node can hold as one text. */
export const mostLogBytes = 500 * 1024 * 1024;

/** Opens a file for reading. Throws what the system refuses, and errors of its kind (`code`, `syscall`) for what is no regular file. */
export async function openRegularFile(path: string): Promise<FileHandle> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY).catch(
    (cause: NodeJS.ErrnoException) => {
      throw cause.code === "ENXIO" ? refusal("ENXIO", `${path} is a socket, expected a file`, cause) : cause;
    },
  );
  const stats = await handle.stat();
  if (stats.isFile()) return handle;
  await handle.close();
  if (stats.isDirectory()) throw refusal("EISDIR", `${path} is a folder, expected a file`);
  throw refusal("ENXIO", `${path} is a ${stats.isFIFO() ? "named pipe" : "device"}, expected a file`);
}

/** The bytes of a file. Throws as {@link openRegularFile}, and for a file of more than `most` bytes. */
export async function readRegularFile(path: string, most = mostTextBytes): Promise<Buffer> {
  const handle = await openRegularFile(path);
  try {
    const pieces: Buffer[] = [];
    const { size } = await handle.stat();
    let length = 0;
    for (let end = false; !end && length <= most && size <= most; ) {
      // One byte more than it says tells a file that has grown.
      const piece = Buffer.allocUnsafe(Math.max(size - length, 4096) + 1);
      const { bytesRead } = await handle.read(piece, 0, piece.length, null);
      pieces.push(piece.subarray(0, bytesRead));
      length += bytesRead;
      end = bytesRead === 0;
    }
    if (Math.max(size, length) > most) {
      throw refusal(
        "EFBIG",
        `${path} has ${byteText(Math.max(size, length))}, more than the ${byteText(most)} that such a file has at most`,
      );
    }
    return pieces.length === 2 ? pieces[0]! : Buffer.concat(pieces, length);
  } finally {
    await handle.close();
  }
}

function refusal(code: string, message: string, cause?: unknown): NodeJS.ErrnoException {
  return Object.assign(new Error(message, { cause }), { code, syscall: "open" });
}
