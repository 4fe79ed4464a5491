/**
 * Files that survive a power cut: written under another name, synced, renamed, their folder synced. A reader sees
 * the old content or the new one, never a part.
 */
import { createHash, randomBytes } from "node:crypto";
import { open, rename, rm, writeFile } from "node:fs/promises";
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

/** Gives a file or folder that is complete and synced its name. */
export async function renameDurably(partial: string, path: string): Promise<void> {
  await rename(partial, path);
  await syncPath(dirname(path));
}

/**
 * Makes or replaces `path`, a file or a folder, as a whole: `make` makes it, synced, under another name. Throws UserError `cannot_write`
 * when the disk refuses; `path` is then as it was.
 */
export async function replaceDurably(path: string, make: (partial: string) => Promise<void>): Promise<void> {
  const partial = `${path}.partial-${randomBytes(6).toString("hex")}`;
  try {
    await make(partial);
    await renameDurably(partial, path);
  } catch (cause) {
    await rm(partial, { recursive: true, force: true }).catch(() => undefined); // the first error is the one to tell
    throw asCannotWrite(path, cause);
  }
}

/** A file that is written as a whole, or piece by piece. */
export type Content = string | Uint8Array | Iterable<string>;

/** A new file, synced. */
export async function writeSynced(path: string, content: Content): Promise<void> {
  const handle = await open(path, "wx");
  try {
    await writeFile(handle, content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes or replaces `path` as a whole, as {@link replaceDurably}. */
export function writeDurably(path: string, content: Content): Promise<void> {
  return replaceDurably(path, (partial) => writeSynced(partial, content));
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
