/** A file of rows, JSON Lines, that appears complete or not at all. */
import { type FileHandle, open, rm } from "node:fs/promises";
import { stringifyJson } from "@posttrain/data";
import { asCannotWrite, renameDurably } from "./durable.js";

export interface RowFile {
  write(row: object): Promise<void>;
  /** Gives the file its name, in place of what had it. */
  commit(): Promise<void>;
  /** Removes what was written, unless it was committed. */
  discard(): Promise<void>;
}

/** Written as `partial`, in place of what a killed process left there. Throws UserError `cannot_write` naming `path`. */
export async function openRowFile(partial: string, path: string): Promise<RowFile> {
  const refuse = (cause: unknown): never => {
    throw asCannotWrite(path, cause);
  };
  const handle: FileHandle = await open(partial, "w").catch(refuse);
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (isOpen) await handle.close();
    isOpen = false;
  };
  return {
    write: async (row) => {
      await handle.appendFile(`${stringifyJson(row)}\n`).catch(refuse);
    },
    commit: async () => {
      try {
        await handle.sync();
        await close();
        await renameDurably(partial, path);
      } catch (cause) {
        refuse(cause);
      }
    },
    discard: async () => {
      await close();
      await rm(partial, { force: true });
    },
  };
}
