/** Rows through the real Qwen2.5 tokenizer and template, which are loaded once for the tests of a file. */
import { join } from "node:path";
import { beforeAll } from "vitest";
import {
  type ChatTemplate,
  type LossOn,
  loadChatTemplate,
  loadSftRows,
  loadTokenizer,
  type SftDatasetOptions,
  type Tokenizer,
} from "../../src/index.js";
import { folderWith, QWEN25_DIR } from "./qwen25.js";

export let tokenizer: Tokenizer;
let template: ChatTemplate;
beforeAll(async () => {
  tokenizer = await loadTokenizer(QWEN25_DIR);
  template = await loadChatTemplate(QWEN25_DIR);
});

export const PLACE = { path: "rows.jsonl", line: 7 };
export const user = (content: string) => ({ role: "user", content });
export const assistant = (content: string) => ({ role: "assistant", content });

/** Loads a file of this one row. */
export async function load(row: unknown, options: Partial<SftDatasetOptions> = {}) {
  const folder = await folderWith({ "rows.jsonl": `${JSON.stringify(row)}\n` });
  return loadSftRows(join(folder, "rows.jsonl"), {
    tokenizer,
    template,
    lossOn: "assistant",
    maxLength: 1000,
    onOverlong: "error",
    ...options,
  });
}

/** The row's text with the trained tokens in brackets. */
export async function marked(row: unknown, lossOn: LossOn = "assistant"): Promise<string> {
  const { inputIds, labels } = (await load(row, { lossOn })).rows[0]!;
  const pieces: { trained: boolean; ids: number[] }[] = [];
  for (const [i, id] of inputIds.entries()) {
    const trained = labels[i] === id;
    if (pieces.at(-1)?.trained !== trained) pieces.push({ trained, ids: [] });
    pieces.at(-1)!.ids.push(id);
  }
  return pieces
    .map(({ trained, ids }) => (trained ? `[${tokenizer.decode(ids)}]` : tokenizer.decode(ids)))
    .join("");
}
