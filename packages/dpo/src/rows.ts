// The pairs of a run: read, checked, split. Everything before the model; `posttrain validate` shows what comes out.
import {
  type ContentToken,
  findTokenizer,
  IGNORED_LABEL,
  loadChatTemplate,
  loadPreferenceRows,
  loadTokenizer,
  type OnProgress,
  type PreferenceCounts,
  type PreferenceDataset,
  type Reject,
  splitPairs,
  type TokenizedPair,
  type TurnEnds,
  turnEndsOf,
  UserError,
} from "@posttrain/data";
import { modelDigest, openModelFolder, type Qwen2Config, readCompanions } from "@posttrain/model";
import { refuseOtherVocabulary, rowDigests, type Unit } from "@posttrain/train";
import type { DpoConfig } from "./config.js";

export interface DpoData {
  /** Of the folder that the run starts from: rows were held against it. */
  readonly model: Qwen2Config;
  /** Of the folder of another reference, where there is one. */
  readonly reference: Qwen2Config | undefined;
  /** What steps draw: single pairs. */
  readonly units: readonly Unit<TokenizedPair>[];
  readonly trainRows: readonly TokenizedPair[];
  readonly evalRows: readonly TokenizedPair[];
  /** Of the file `data`, with the rows that val_size keeps out of training. */
  readonly counts: PreferenceCounts;
  readonly rejects: readonly Reject[];
  readonly evalRejects: readonly Reject[];
  /** Pairs are not packed beyond a micro-batch. */
  readonly packing: undefined;
  /** Added tokens in what the conversations of `data` say. */
  readonly contentTokens: readonly ContentToken[];
  /** The longest side that is taken, with its prompt: max_length, or the model's context. */
  readonly longestRow: number;
  /** How chosen answers end: a checkpoint stops where they do. */
  readonly turnEnds: TurnEnds;
  /** What decides over rows beside the config. SHA-256 of what was read: data, and tokenizer, chat_template, eval_data and reference where they were. */
  readonly digests: Readonly<Record<string, string>> & { readonly data: string };
}

/** Reads it all. `onBadRow`: end at the first bad row (as training does), or leave it out and go on, for a list of all. Throws UserError. */
export async function prepareDpoData(
  config: DpoConfig,
  onBadRow: "error" | "reject" = "error",
  onProgress?: OnProgress,
): Promise<DpoData> {
  const dir = config.model_name_or_path;
  const { config: model } = await openModelFolder(dir);
  const { ref_model_name_or_path: other } = config;
  const reference = other === undefined ? undefined : await openReference(other, model, dir);
  const context = Math.min(
    model.maxPositionEmbeddings,
    reference?.maxPositionEmbeddings ?? Number.POSITIVE_INFINITY,
  );
  const longestRow = config.allow_beyond_context ? config.max_length : Math.min(config.max_length, context);
  const load = (path: string): Promise<PreferenceDataset> =>
    loadPreferenceRows(path, {
      tokenizer: () => loadTokenizer(dir),
      template: () => loadChatTemplate(dir),
      prompt: "required",
      maxLength: config.max_length,
      context: config.allow_beyond_context ? undefined : context,
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
      `${config.data}: none of its ${data.counts.read} rows is a pair after cutting to ${longestRow < config.max_length ? `the model's context of ${longestRow}; shorten the rows.` : `max_length ${config.max_length}; raise max_length.`}`,
    );
  }
  const held = config.eval_data === undefined ? undefined : await load(config.eval_data);
  const split =
    data.rows.length === 0
      ? { train: [], validation: [] }
      : splitPairs(data.rows, config.val_size, config.seed);
  const tokenizer = data.tokenizer ?? (await findTokenizer(dir));
  return {
    model,
    reference,
    units: split.train.map((pair) => [pair]),
    trainRows: split.train,
    evalRows: held?.rows ?? split.validation,
    counts: data.counts,
    rejects: data.rejects,
    evalRejects: held?.rejects ?? [],
    packing: undefined,
    contentTokens: data.contentTokens,
    longestRow,
    turnEnds: turnEndsOf(split.train.map(chosenOf), tokenizer, data.template),
    digests: {
      ...rowDigests(data, held, config, longestRow),
      ...(other !== undefined && { reference: await modelDigest(other) }),
    },
  };
}

/** Both sequences of a pair; labels of -100 where the prompt is. */
export function sequencesOf({ promptIds, chosenIds, rejectedIds }: Omit<TokenizedPair, "id" | "line">) {
  const sequence = (name: string, answer: Int32Array) => ({
    name,
    inputIds: Int32Array.from([...promptIds, ...answer]),
    labels: Int32Array.from([...promptIds.map(() => IGNORED_LABEL), ...answer]),
  });
  return [sequence("chosen", chosenIds), sequence("rejected", rejectedIds)] as const;
}

const chosenOf = (pair: TokenizedPair) => sequencesOf(pair)[0];

/** The config of another reference model, which reads the same ids. */
async function openReference(dir: string, model: Qwen2Config, start: string): Promise<Qwen2Config> {
  const { config } = await openModelFolder(dir);
  if (config.vocabSize !== model.vocabSize) {
    throw new UserError(
      "reference_of_other_vocabulary",
      `ref_model_name_or_path ${dir} has a vocabulary of ${config.vocabSize} ids (vocab_size), ${start} one of ${model.vocabSize}: log-probabilities of different ` +
        "tokens cannot be compared. Give a reference of the same family, or none: then it is the model to start from.",
    );
  }
  refuseOtherVocabulary(start, await readCompanions(start), dir, await readCompanions(dir));
  return config;
}
