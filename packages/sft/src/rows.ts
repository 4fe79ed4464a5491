// The rows of a fine-tuning run: read, checked, split, packed. Everything before the model; `posttrain validate` shows what comes out.
import { join } from "node:path";
import {
  loadChatTemplate,
  loadSftRows,
  loadTokenizer,
  type SftCounts,
  type TokenizedRow,
  UserError,
} from "@posttrain/data";
import { openModelFolder } from "@posttrain/model";
import { fileDigest, writeDurably } from "@posttrain/run";
import type { Unit } from "./batches.js";
import type { SftConfig } from "./config.js";

export interface SftData {
  /** What steps draw: single rows, or packs of them. */
  readonly units: readonly Unit[];
  readonly evalRows: readonly TokenizedRow[];
  readonly counts: SftCounts;
  /** SHA-256 of what was read: data, eval_data, tokenizer, chat_template. */
  readonly digests: Readonly<Record<string, string>> & { readonly data: string };
}

export async function prepareSftData(config: SftConfig): Promise<SftData> {
  const dir = config.model_name_or_path;
  const { config: model } = await openModelFolder(dir);
  const options = {
    tokenizer: () => loadTokenizer(dir),
    template: () => loadChatTemplate(dir),
    lossOn: config.loss_on,
    maxLength: config.max_length,
    onOverlong: config.on_overlong,
    vocabSize: model.vocabSize,
  };
  const { rows, counts } = await loadSftRows(config.data, options);
  if (rows.length === 0) {
    throw new UserError(
      "no_rows",
      `${config.data}: none of its ${counts.read} rows has anything to train after cutting to max_length ${config.max_length}; raise max_length.`,
    );
  }
  const evalRows = config.eval_data === undefined ? [] : (await loadSftRows(config.eval_data, options)).rows;
  return {
    units: rows.map((row) => [row]),
    evalRows,
    counts,
    digests: { data: await fileDigest(config.data) },
  };
}

/** rows.jsonl of the run folder: which lines of the data are trained on, with their ids. */
export async function writeRowLists(dir: string, data: SftData): Promise<void> {
  const lines = data.units
    .flat()
    .map(({ id, line, inputIds }) => JSON.stringify({ line, id, tokens: inputIds.length }));
  await writeDurably(join(dir, "rows.jsonl"), `${lines.join("\n")}\n`);
}
