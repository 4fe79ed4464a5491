// Where result rows go: --output FILE, which appears complete or not at all, or standard output.
import { appendFile, fsync, ftruncateSync, rmSync } from "node:fs";
import { stat } from "node:fs/promises";
import { promisify } from "node:util";
import { stringifyJson, UserError } from "@posttrain/data";
import { lockFile, renameDurably } from "@posttrain/run";
import { writeResult } from "./standard-streams.js";
import { visibleJson } from "./visible.js";

export interface ResultFile {
  write(row: object): Promise<void>;
  writeText(text: string): Promise<void>;
  /** Gives the file its name. */
  commit(): Promise<void>;
  /** Removes what was written, unless it was committed. */
  discard(): Promise<void>;
}

/** Opened before the long work, so that a bad path costs nothing. UserError `output_used`, `output_locked`, `cannot_write`. */
export async function openResultFile(path: string | undefined): Promise<ResultFile> {
  return path === undefined ? standardOutput : openFile(path);
}

const standardOutput: ResultFile = {
  write: (row) => {
    const json = stringifyJson(row);
    return standardOutput.writeText(`${process.stdout.isTTY ? visibleJson(json) : json}\n`);
  },
  writeText: writeResult,
  commit: async () => undefined,
  discard: async () => undefined,
};

const write = promisify(appendFile);
const sync = promisify(fsync);

/** Written as PATH.partial, which is locked: what a killed command left is written over, a second writer is refused. */
async function openFile(path: string): Promise<ResultFile> {
  const partial = `${path}.partial`;
  const refuse = (cause: unknown): never => {
    throw new UserError(
      "cannot_write",
      `output ${path} cannot be written: ${(cause as Error).message}. Give a path in a folder that exists and is yours.`,
      { cause },
    );
  };
  await refuseUsed(path);
  const lock = await lockFile(partial).catch((error: unknown) =>
    error instanceof UserError && error.cause !== undefined ? refuse(error.cause) : Promise.reject(error),
  );
  if ("holder" in lock) {
    throw new UserError(
      "output_locked",
      `output ${path} is being written by another process. Wait for it, stop it, or give another name.`,
    );
  }
  const { descriptor } = lock;
  const removePartial = (): void => rmSync(partial, { force: true });
  process.once("exit", removePartial);
  let isOpen = true;
  const end = (): void => {
    if (!isOpen) return;
    isOpen = false;
    process.off("exit", removePartial);
    lock.close();
  };
  const discard = async (): Promise<void> => {
    if (isOpen) removePartial();
    end();
  };
  try {
    await refuseUsed(path); // whoever had the lock before may have been done
    ftruncateSync(descriptor);
  } catch (error) {
    await discard();
    throw error;
  }
  const writeText = (text: string): Promise<void> => write(descriptor, text).catch(refuse);
  return {
    write: (row) => writeText(`${stringifyJson(row)}\n`),
    writeText,
    async commit() {
      await refuseUsed(path);
      try {
        await sync(descriptor);
        await renameDurably(partial, path);
        end();
      } catch (cause) {
        refuse(cause);
      }
    },
    discard,
  };
}

async function refuseUsed(path: string): Promise<void> {
  if (!(await stat(path).catch(() => undefined))) return;
  throw new UserError(
    "output_used",
    `output ${path} already exists. Remove it or give another name, so that no result is overwritten.`,
  );
}
