/**
 * What came from outside the arithmetic (verdicts, replies of a teacher, labels of people): written down before it is used, and
 * read back by a run that resumes, so that an answer which would fall differently the second time changes nothing. The first
 * writer of a key wins.
 *
 * One JSON object a line, {"key", "value"}. A process killed while it appended leaves at most one torn line at the end; what
 * it held was not used yet, and it is cut off.
 */
import { createHash } from "node:crypto";
import { type FileHandle, open, truncate } from "node:fs/promises";
import {
  mostLogBytes,
  parseJson as parseLossless,
  readRegularFile,
  stringifyJson,
  UserError,
} from "@posttrain/data";
import { z } from "zod";
import { asCannotWrite, syncPath } from "./durable.js";

export interface Journal {
  /** Entries so far. */
  readonly size: number;
  /** The recorded value (plain JSON), undefined when there is none. */
  get(key: string): unknown;
  /** Records `value` unless the key has one already; resolves to what counts, once it is on disk. Throws UserError `cannot_write`. */
  record<T>(key: string, value: T): Promise<T>;
  close(): Promise<void>;
}

/** A key of entries of this kind, by what decides their value. */
export const journalKey = (kind: string, decides: unknown): string =>
  `${kind}:${createHash("sha256").update(stringifyJson(decides)).digest("hex")}`;

const entrySchema = z.strictObject({ key: z.string(), value: z.unknown() });

/** Opens or begins the journal at `path`. Throws UserError `bad_journal` for a line that is none, unless it is the torn last one. */
export async function openJournal(path: string): Promise<Journal> {
  const values = new Map<string, unknown>();
  const sound = await readEntries(path, values);
  const handle = await open(path, "a").catch((cause: unknown) => {
    throw asCannotWrite(path, cause);
  });
  if (sound !== undefined) {
    await truncate(path, sound);
    await syncPath(path);
  }
  return journalOn(handle, path, values);
}

/** Fills `values`; bytes of the sound lines when a torn one follows them. */
async function readEntries(path: string, values: Map<string, unknown>): Promise<number | undefined> {
  const bytes = await readRegularFile(path, mostLogBytes).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return Buffer.alloc(0);
    throw new UserError(
      "bad_journal",
      `${path} cannot be read (${error.message}). Move away what stands in its place, then start again.`,
      { cause: error },
    );
  });
  let start = 0;
  for (let line = 1; start < bytes.length; line++) {
    const end = bytes.indexOf(0x0a, start);
    if (end < 0) return start;
    const entry = entrySchema.safeParse(parseJson(bytes.toString("utf8", start, end)));
    if (!entry.success) {
      throw new UserError(
        "bad_journal",
        `${path}, line ${line} is no journal entry: expected {"key": ..., "value": ...}. The file was changed or damaged; put back a copy, ` +
          "or start a new run in another folder.",
      );
    }
    if (!values.has(entry.data.key)) values.set(entry.data.key, entry.data.value);
    start = end + 1;
  }
  return undefined;
}

function parseJson(text: string): unknown {
  try {
    return parseLossless(text);
  } catch {
    return undefined;
  }
}

function journalOn(handle: FileHandle, path: string, values: Map<string, unknown>): Journal {
  let waiting: string[] = [];
  /** The write under way, and the one that takes what waits; a write that failed fails every later one. */
  let current: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;
  const pending = new Map<string, Promise<void>>();

  /** Everything that waits goes to disk with one sync; what arrives meanwhile goes with the next. */
  const flush = async (): Promise<void> => {
    await current;
    const lines = waiting.join("");
    waiting = [];
    current = next ?? current;
    next = undefined;
    try {
      await handle.appendFile(lines);
      await handle.sync();
    } catch (cause) {
      throw asCannotWrite(path, cause);
    }
  };

  return {
    get size() {
      return values.size;
    },
    get: (key) => values.get(key),
    async record<T>(key: string, value: T): Promise<T> {
      if (!values.has(key)) {
        const line = `${stringifyJson({ key, value })}\n`;
        values.set(key, (parseLossless(line) as { value: unknown }).value);
        waiting.push(line);
        next ??= flush();
        pending.set(key, next);
      }
      // A failed write stays here: its value counts for nobody.
      await pending.get(key);
      pending.delete(key);
      return values.get(key) as T;
    },
    close: async () => {
      await Promise.allSettled([current, next]);
      await handle.close();
    },
  };
}
