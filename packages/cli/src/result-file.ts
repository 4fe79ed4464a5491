// Where result rows go: --output FILE, which appears complete or not at all, or standard output.
import { rmSync } from "node:fs";
import { type FileHandle, open, rename, stat } from "node:fs/promises";
import { stringifyJson, UserError } from "@posttrain/data";
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

/** Opened before the long work, so that a bad path costs nothing. UserError `output_used`, `cannot_write`. */
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

async function openFile(path: string): Promise<ResultFile> {
  if (await stat(path).catch(() => undefined)) {
    throw new UserError(
      "output_used",
      `output ${path} already exists. Remove it or give another name, so that no result is overwritten.`,
    );
  }
  const partial = `${path}.partial-${process.pid}`;
  const refuse = (cause: unknown): never => {
    throw new UserError(
      "cannot_write",
      `output ${path} cannot be written: ${(cause as Error).message}. Give a path in a folder that exists and is yours.`,
      { cause },
    );
  };
  const handle: FileHandle = await open(partial, "wx").catch(refuse);
  const removePartial = (): void => rmSync(partial, { force: true });
  process.once("exit", removePartial);
  let open_ = true;
  const close = async (): Promise<void> => {
    if (open_) await handle.close();
    open_ = false;
  };
  const writeText = async (text: string): Promise<void> => {
    await handle.appendFile(text).catch(refuse);
  };
  return {
    write: (row) => writeText(`${stringifyJson(row)}\n`),
    writeText,
    async commit() {
      try {
        await handle.sync();
        await close();
        await rename(partial, path);
      } catch (cause) {
        refuse(cause);
      }
    },
    async discard() {
      await close();
      removePartial();
      process.off("exit", removePartial);
    },
  };
}
