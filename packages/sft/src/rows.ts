// The rows of a fine-tuning run: read, checked, split, packed. Everything before the model; `posttrain validate` shows what comes out.
import {
  type ContentToken,
  findTokenizer,
  loadChatTemplate,
  loadSftRows,
  loadTokenizer,
  type OnProgress,
  type Packing,
  packBestFit,
  type Reject,
  type SftCounts,
  type SftDataset,
  splitRows,
  type TokenizedRow,
  type TurnEnds,
  turnEndsOf,
  UserError,
} from "@posttrain/data";
import { openModelFolder, type Qwen2Config } from "@posttrain/model";
import { rowDigests, type Unit } from "@posttrain/train";
import type { SftConfig } from "./config.js";

export interface SftData {
  /** Of the folder that the run starts from: rows were held against it. */
  readonly model: Qwen2Config;
  /** What steps draw: single rows, or packs of them. */
  readonly units: readonly Unit<TokenizedRow>[];
  readonly trainRows: readonly TokenizedRow[];
  readonly evalRows: readonly TokenizedRow[];
  /** Of the file `data`, with the rows that val_size keeps out of training. */
  readonly counts: SftCounts;
  readonly rejects: readonly Reject[];
  readonly evalRejects: readonly Reject[];
  /** Undefined without packing. */
  readonly packing: Packing | undefined;
  /** Added tokens in what the conversations of `data` say. */
  readonly contentTokens: readonly ContentToken[];
  /** The longest row that is taken: max_length, or the model's context. */
  readonly longestRow: number;
  /** How trained turns end: a checkpoint stops where they do. */
  readonly turnEnds: TurnEnds;
  /** What decides over rows beside the config. SHA-256 of what was read: data, and tokenizer, chat_template and eval_data where they were. */
  readonly digests: Readonly<Record<string, string>> & { readonly data: string };
}

/** What of a config says how rows are read. */
export type SftRowOptions = Pick<
  SftConfig,
  | "model_name_or_path"
  | "data"
  | "data_format"
  | "eval_data"
  | "val_size"
  | "loss_on"
  | "max_length"
  | "on_overlong"
  | "allow_beyond_context"
  | "special_tokens_in_content"
  | "packing"
  | "template_date"
  | "seed"
>;

/** Reads it all. `onBadRow`: end at the first bad row (as training does), or leave it out and go on, for a list of all. Throws UserError. */
export async function prepareSftData(
  config: SftRowOptions,
  onBadRow: "error" | "reject" = "error",
  onProgress?: OnProgress,
): Promise<SftData> {
  const dir = config.model_name_or_path;
  const { config: model } = await openModelFolder(dir);
  const longestRow = config.allow_beyond_context
    ? config.max_length
    : Math.min(config.max_length, model.maxPositionEmbeddings);
  const load = (path: string): Promise<SftDataset> =>
    loadSftRows(path, {
      tokenizer: () => loadTokenizer(dir),
      template: () => loadChatTemplate(dir),
      lossOn: config.loss_on,
      maxLength: config.max_length,
      context: config.allow_beyond_context ? undefined : model.maxPositionEmbeddings,
      onOverlong: config.on_overlong,
      onBadRow,
      format: config.data_format,
      vocabSize: model.vocabSize,
      now: config.template_date,
      specialTokens: config.special_tokens_in_content,
      onProgress,
    });
  const data = await load(config.data);
  if (data.rows.length === 0 && onBadRow === "error") {
    throw new UserError(
      "no_rows",
      `${config.data}: none of its ${data.counts.read} rows has anything to train after cutting to ${longestRow < config.max_length ? `the model's context of ${longestRow}; shorten the rows.` : `max_length ${config.max_length}; raise max_length.`}`,
    );
  }
  const held = config.eval_data === undefined ? undefined : await load(config.eval_data);
  const split =
    data.rows.length === 0
      ? { train: [], validation: [] }
      : splitRows(data.rows, config.val_size, config.seed);
  const trainRows = split.train;
  const packing = config.packing
    ? packBestFit(
        trainRows.map(({ inputIds }) => inputIds.length),
        config.max_length,
      )
    : undefined;
  return {
    model,
    units: packing
      ? packing.bins.map((bin) => bin.map((row) => trainRows[row] as TokenizedRow))
      : trainRows.map((row) => [row]),
    trainRows,
    evalRows: held?.rows ?? split.validation,
    counts: data.counts,
    rejects: data.rejects,
    evalRejects: held?.rejects ?? [],
    packing,
    contentTokens: data.contentTokens,
    longestRow,
    turnEnds: turnEndsOf(trainRows, data.tokenizer ?? (await findTokenizer(dir)), data.template),
    digests: rowDigests(data, held, config, longestRow),
  };
}
