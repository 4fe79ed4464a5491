/**
 * Files that survive a power cut: written under another name, synced, renamed, their folder synced. A reader sees
 * the old content or the new one, never a part.
 */
import { createHash, randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { openRegularFile, UserError } from "@posttrain/data";

/** Makes a file's content, or the names in a folder, durable. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes or replaces `path` as a whole. Throws UserError `cannot_write` when the disk refuses; `path` is then as it was. */
export async function writeDurably(path: string, content: string | Uint8Array): Promise<void> {
  const partial = `${path}.partial-${randomBytes(6).toString("hex")}`;
  try {
    const handle = await open(partial, "wx");
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(partial, path);
    await syncPath(dirname(path));
  } catch (cause) {
    await rm(partial, { force: true }).catch(() => undefined); // the first error is the one to tell
    throw asCannotWrite(path, cause);
  }
}

/** A file system's refusal (full disk, no permission) as the user's to mend; anything else as it came. */
export function asCannotWrite(path: string, cause: unknown): unknown {
  if (!(cause instanceof Error) || !("syscall" in cause)) return cause;
  return new UserError(
    "cannot_write",
    `${path}: cannot be written (${cause.message}). Nothing was left under this name; check the free space and the ` +
      "permissions of its folder, then try again.",
    { cause },
  );
}

/** SHA-256 of a file's bytes, as hex. */
export async function fileDigest(path: string): Promise<string> {
  const hash = createHash("sha256");
  const piece = Buffer.alloc(1 << 20); // one for the whole file: a stream's pieces wait for the garbage collector
  const handle = await openRegularFile(path);
  try {
    for (let read = 1; read > 0; ) {
      read = (await handle.read(piece)).bytesRead;
      hash.update(piece.subarray(0, read));
    }
  } finally {
    await handle.close();
  }
  return hash.digest("hex");
}
