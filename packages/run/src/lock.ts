/**
 * One writer for a folder or a file: a lock that the kernel keeps for an open file and lets go when its process is gone, however
 * it ended and in whatever container it ran. What the file says of its holder is for people; nothing is decided by it.
 *
 * The lock belongs to the open file description (fcntl's F_OFD_SETLK, from fs-native-extensions, since Node has no locks), which
 * programs that we start do not get: Node opens with O_CLOEXEC. Who ends takes the file away while it still has the lock, so
 * whoever gets the lock of a file that is no longer at its path starts over.
 */
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from "node:fs";
import { readdir, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { z } from "zod";
import { asCannotWrite } from "./durable.js";

const holderSchema = z.object({ pid: z.int(), host: z.string(), since: z.string() });

export interface RunLock {
  /**
   * Before something is written into a folder that was locked long ago: it is still there and ours. Takes the lock again when
   * somebody has deleted its file. Throws UserError `run_moved`, `run_locked`.
   */
  check(): Promise<void>;
  release(): Promise<void>;
}

/** An open file that this process alone has locked. */
export interface FileLock {
  readonly descriptor: number;
  /** Whether `path` still leads to it. */
  isInPlace(): Promise<boolean>;
  /** Lets go; the file stays. */
  close(): void;
}

const lockName = ".lock";
/** What earlier versions made locks from, left by those that were killed. */
const draftName = /^\.lock\.[0-9a-f]{24}$/;

/**
 * Takes the lock of `dir`, an existing folder. Throws UserError `cannot_write`, `no_locks`, and what `refuse` makes of the holder ("by
 * process 7 on host, since ...") when another has it: `run_locked`.
 */
export async function lockRun(
  dir: string,
  refuse: (holder: string) => UserError = (holder) => runLocked(dir, holder),
): Promise<RunLock> {
  const path = join(dir, lockName);
  const take = async (): Promise<FileLock> => {
    const found = await lockFile(path);
    if ("holder" in found) throw refuse(found.holder);
    try {
      describe(found.descriptor);
      for (const name of await readdir(dir)) {
        if (draftName.test(name)) await rm(join(dir, name), { force: true });
      }
      return found;
    } catch (cause) {
      found.close();
      throw asCannotWrite(path, cause);
    }
  };
  let lock = await take();
  const folder = await identityOf(dir);
  return {
    check: async () => {
      if ((await identityOf(dir)) !== folder) {
        throw new UserError(
          "run_moved",
          `${dir} is no longer the folder that this run was begun in: it was moved, replaced or deleted meanwhile. Nothing was written into what is there ` +
            "now. Move the folder back, or resume the run with the output_dir where it is.",
        );
      }
      if (await lock.isInPlace()) return;
      const lost = lock;
      lock = await take();
      lost.close();
    },
    release: async () => {
      // What stays when the disk refuses locks nothing; and the error that ended the run is the one to tell.
      if (await lock.isInPlace()) await rm(path, { force: true }).catch(() => undefined);
      lock.close();
    },
  };
}

/** Opens or makes the file `path` and locks it; or says who has the lock. Throws UserError `cannot_write`, `no_locks`. */
export async function lockFile(path: string): Promise<FileLock | { readonly holder: string }> {
  const tryLock = await loadTryLock();
  for (let tries = 0; tries < 1000; tries++) {
    const descriptor = openForLock(path);
    const close = (): void => closeSync(descriptor);
    const own = fstatSync(descriptor, { bigint: true });
    let isLocked: boolean;
    try {
      if (!own.isFile()) throw new UserError("cannot_write", `${path} is no regular file: remove it.`);
      isLocked = tryLock(descriptor);
    } catch (cause) {
      close();
      throw cause instanceof UserError ? cause : noLocks(path, (cause as Error).message);
    }
    if (!isLocked) {
      const holder = holderIn(descriptor);
      close();
      return { holder };
    }
    const isInPlace = async (): Promise<boolean> => (await identityOf(path)) === identity(own);
    if (await isInPlace()) return { descriptor, isInPlace, close };
    close();
  }
  throw noLocks(path, "a file just made is another one each time");
}

function openForLock(path: string): number {
  try {
    return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK, 0o666);
  } catch (cause) {
    throw asCannotWrite(path, cause);
  }
}

async function loadTryLock(): Promise<(descriptor: number) => boolean> {
  try {
    return (await import("fs-native-extensions")).tryLock;
  } catch (cause) {
    throw new UserError(
      "no_locks",
      `Files cannot be locked on ${process.platform}-${process.arch}: fs-native-extensions has no build for it (${(cause as Error).message}).`,
      { cause },
    );
  }
}

const identity = ({ dev, ino }: BigIntStats): string => `${dev}:${ino}`;

/** Which file or folder a path leads to; undefined: none that can be reached. */
const identityOf = (path: string): Promise<string | undefined> =>
  stat(path, { bigint: true }).then(identity, () => undefined);

function describe(descriptor: number): void {
  const own: z.infer<typeof holderSchema> = {
    pid: process.pid,
    host: hostname(),
    since: new Date().toISOString(),
  };
  ftruncateSync(descriptor);
  writeSync(descriptor, `${JSON.stringify(own)}\n`, 0);
}

function holderIn(descriptor: number): string {
  const text = Buffer.alloc(1024);
  try {
    const { pid, host, since } = holderSchema.parse(
      JSON.parse(text.toString("utf8", 0, readSync(descriptor, text))),
    );
    return `by process ${pid} on ${host}, since ${since}`;
  } catch {
    return "by another process";
  }
}

function noLocks(path: string, reason: string): UserError {
  return new UserError(
    "no_locks",
    `${path} cannot be locked (${reason}): its file system has no locks, and two writers at once would destroy what they write. Take a folder on another ` +
      "one: a local disk, or a network file system that is mounted with locks (Lustre: -o flock; NFS: without nolock).",
  );
}

function runLocked(dir: string, holder: string): UserError {
  return new UserError(
    "run_locked",
    `${dir} is being written ${holder}. Two writers would destroy the run: wait for it, stop it, or give another output_dir. ` +
      "The lock goes with its process, so there is nothing to delete.",
  );
}
