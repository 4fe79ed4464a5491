// Files of lines that grow while they are read. A torn last line is waited for; a file that was cut back or replaced is read again.
import type { FileHandle } from "node:fs/promises";
import { openRegularFile, UserError } from "@posttrain/data";

/** Where a line lies in its file, in bytes, without its line feed. */
export interface LineAt {
  readonly start: number;
  readonly bytes: number;
}

const pieceBytes = 1024 * 1024;
const mostLineBytes = 64 * 1024 * 1024;
const lineFeed = 0x0a;

/** Calls `onLine` for every whole line from byte `from` on, which begins one; returns where the last of them ends. UserError `line_too_long`. */
export async function readLines(
  handle: FileHandle,
  path: string,
  from: number,
  onLine: (text: string, at: LineAt) => void,
): Promise<number> {
  let start = from;
  let torn: Buffer[] = [];
  let tornBytes = 0;
  for (let at = from; ; ) {
    const piece = Buffer.allocUnsafe(pieceBytes);
    const { bytesRead } = await handle.read(piece, 0, piece.length, at);
    if (bytesRead === 0) return start;
    at += bytesRead;
    let begin = 0;
    for (;;) {
      const end = piece.subarray(0, bytesRead).indexOf(lineFeed, begin);
      if (end < 0) break;
      const line = Buffer.concat([...torn, piece.subarray(begin, end)]);
      torn = [];
      tornBytes = 0;
      onLine(line.toString("utf8"), { start, bytes: line.length });
      start += line.length + 1;
      begin = end + 1;
    }
    torn.push(piece.subarray(begin, bytesRead));
    tornBytes += bytesRead - begin;
    if (tornBytes > mostLineBytes) {
      throw new UserError(
        "line_too_long",
        `${path} has a line of more than ${mostLineBytes} bytes at byte ${start}: it is no file of a run. Move it away.`,
      );
    }
  }
}

export async function readLineAt(path: string, { start, bytes }: LineAt): Promise<string> {
  const handle = await openRegularFile(path);
  try {
    const line = Buffer.alloc(bytes);
    const { bytesRead } = await handle.read(line, 0, bytes, start);
    return line.toString("utf8", 0, bytesRead);
  } finally {
    await handle.close();
  }
}

export interface LineTaker {
  line(text: string, at: LineAt): void;
  /** What was taken so far is void: the file begins again, or is gone. */
  restart(): void;
}

const tailBytes = 256;

/** Returns a function that takes in what the file has gained since it was called last; a file that is not there has no lines. */
export function followLines(path: string, taker: LineTaker): () => Promise<void> {
  let known: { readonly inode: number; readonly end: number; readonly tail: Buffer } | undefined;
  let running: Promise<void> | undefined;
  const take = async (): Promise<void> => {
    const handle = await openRegularFile(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    try {
      if (known !== undefined && !(handle && (await goesOn(handle, known)))) {
        known = undefined;
        taker.restart();
      }
      if (handle === undefined) return;
      const { ino: inode } = await handle.stat();
      const end = await readLines(handle, path, known?.end ?? 0, (text, at) => taker.line(text, at));
      known = { inode, end, tail: await before(handle, end) };
    } finally {
      await handle?.close();
    }
  };
  return () => {
    running ??= take().finally(() => {
      running = undefined;
    });
    return running;
  };
}

/** Whether the file still has what was read of it, by its inode, its length and the last bytes before `end`. */
async function goesOn(
  handle: FileHandle,
  { inode, end, tail }: { readonly inode: number; readonly end: number; readonly tail: Buffer },
): Promise<boolean> {
  const { ino, size } = await handle.stat();
  return ino === inode && size >= end && (await before(handle, end)).equals(tail);
}

async function before(handle: FileHandle, end: number): Promise<Buffer> {
  const length = Math.min(tailBytes, end);
  const tail = Buffer.alloc(length);
  await handle.read(tail, 0, length, end - length);
  return tail;
}
