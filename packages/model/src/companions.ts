// What belongs to a model beside its weights and configs, tokenizer, chat template and licence: read once and held by a run, so that every checkpoint gets
// the bytes that its rows were made with, whatever becomes of the folder meanwhile.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import {
  maxTokenizerBytes,
  namedTemplates,
  readRegularFile,
  refusePlaceholder,
  UserError,
} from "@posttrain/data";

const companionFiles = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "chat_template.jinja",
  "chat_template.json",
  "LICENSE",
] as const;

/** Bytes by the name of the file. */
export type Companions = Readonly<Record<string, Uint8Array>>;

/** Those that the model folder `dir` has. Throws UserError `cannot_read` or `not_fetched`. */
export async function readCompanions(dir: string): Promise<Companions> {
  const found: Record<string, Uint8Array> = {};
  const templates = await readdir(join(dir, namedTemplates)).catch(() => []);
  for (const name of [...companionFiles, ...templates.sort().map((file) => join(namedTemplates, file))]) {
    const path = join(dir, name);
    try {
      const bytes = await readRegularFile(path, maxTokenizerBytes);
      refusePlaceholder(path, bytes);
      found[name] = bytes;
    } catch (cause) {
      if (cause instanceof UserError) throw cause;
      const { code, message } = cause as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "ENOTDIR") continue;
      throw new UserError("cannot_read", `${path} cannot be read (${message}).`, { cause });
    }
  }
  return found;
}

/** After all that reads them was made: they are still those that are held. Throws UserError `changed_file`. */
export async function checkCompanions(dir: string, held: Companions): Promise<void> {
  const now = await readCompanions(dir);
  const changed = [...new Set([...Object.keys(held), ...Object.keys(now)])].find((name) => {
    const [before, after] = [held[name], now[name]];
    return before === undefined || after === undefined
      ? before !== after
      : Buffer.compare(before, after) !== 0;
  });
  if (changed === undefined) return;
  throw new UserError("changed_file", `${join(dir, changed)} changed while it was read: start again.`);
}
