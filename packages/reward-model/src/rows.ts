// The rows of a reward model's run: read, checked, split. Everything before the model.
import { createHash } from "node:crypto";
import {
  type ContentToken,
  findTokenizer,
  isJsonObject,
  loadChatTemplate,
  loadPreferenceRows,
  loadResponseRows,
  loadTokenizer,
  type OnProgress,
  type PreferenceFormat,
  parseLabels,
  placeText,
  type Reject,
  type ResponseFormat,
  type RowCounts,
  type RowPlace,
  readRows,
  splitPairs,
  splitRows,
  type Tokenizer,
  UserError,
} from "@posttrain/data";
import { openModelFolder, type Qwen2Config, readCompanions } from "@posttrain/model";
import { rowDigests, type Unit } from "@posttrain/train";
import { headsOf, type RewardConfig } from "./config.js";
import type { Labels } from "./loss.js";
import { choosePadding, type Padding } from "./padding.js";
import { withScore } from "./score.js";
import type { RewardRow } from "./step.js";

export interface RewardData {
  /** What is trained: the layers of the folder that the run starts from, and a score. */
  readonly model: Qwen2Config;
  readonly units: readonly Unit<RewardRow>[];
  readonly trainRows: readonly RewardRow[];
  readonly evalRows: readonly RewardRow[];
  /** Of the file `data`, with the rows that val_size keeps out of training. */
  readonly counts: Omit<RowCounts<PreferenceFormat | ResponseFormat>, "trainedTokens" | "lostTrainedTokens">;
  readonly rejects: readonly Reject[];
  readonly evalRejects: readonly Reject[];
  /** Rows are packed as they come: a micro-batch has no padding. */
  readonly packing: undefined;
  readonly contentTokens: readonly ContentToken[];
  readonly longestRow: number;
  readonly padding: Padding;
  /** Rows with labels of each criterion, of those that train. */
  readonly judged: Readonly<Record<string, number>>;
  readonly digests: Readonly<Record<string, string>> & { readonly data: string };
}

/** What of a config says how rows are read. */
export type RewardRowOptions = Pick<
  RewardConfig,
  | "model_name_or_path"
  | "data"
  | "data_format"
  | "eval_data"
  | "val_size"
  | "max_length"
  | "on_overlong"
  | "allow_beyond_context"
  | "special_tokens_in_content"
  | "template_date"
  | "seed"
  | "criteria"
  | "criteria_weights"
>;

/** Reads it all. `onBadRow`: end at the first bad row (as training does), or leave it out and go on, for a list of all. Throws UserError. */
export async function prepareRewardData(
  config: RewardRowOptions,
  onBadRow: "error" | "reject" = "error",
  onProgress?: OnProgress,
): Promise<RewardData> {
  const dir = config.model_name_or_path;
  const { config: folder } = await openModelFolder(dir, "either");
  const start = scoredConfig(folder, config);
  const longestRow = config.allow_beyond_context
    ? config.max_length
    : Math.min(config.max_length, start.maxPositionEmbeddings);
  const load = (path: string): Promise<Read> => loadData(path, config, start, onBadRow, onProgress);
  const data = await load(config.data);
  if (data.rows.length === 0 && onBadRow === "error") throw noRows(config, data);
  const held = config.eval_data === undefined ? undefined : await load(config.eval_data);
  const split =
    data.rows.length === 0 ? { train: [], validation: [] } : data.split(config.val_size, config.seed);
  const judged = Object.fromEntries(
    config.criteria.map((name) => [name, split.train.filter(({ criteria }) => criteria[name]).length]),
  );
  const unjudged = config.criteria.find((name) => judged[name] === 0);
  if (onBadRow === "error" && unjudged !== undefined) throw noLabels(config, unjudged, split.train.length);
  const tokenizer = data.tokenizer ?? (await findTokenizer(dir));
  const padding = choosePadding(start, tokenizer, await readCompanions(dir), sequencesOf(data, held));
  return {
    model: { ...start, padTokenId: padding.id },
    units: split.train.map((row) => [row]),
    trainRows: split.train,
    evalRows: held?.rows ?? split.validation,
    counts: withoutTrained(data.counts),
    rejects: data.rejects,
    evalRejects: held?.rejects ?? [],
    packing: undefined,
    contentTokens: data.contentTokens,
    longestRow,
    padding,
    judged,
    digests: rowDigests(data, held, config, longestRow),
  };
}

/** Scores are learnt here, not tokens. */
function withoutTrained({
  trainedTokens: _,
  lostTrainedTokens: __,
  ...counts
}: Read["counts"]): RewardData["counts"] {
  return counts;
}

/** The folder's config with one score, and heads where the config asks for them. UserError where a reward model has others. */
function scoredConfig(folder: Qwen2Config, config: RewardRowOptions): Qwen2Config {
  const heads = headsOf(config);
  const { score } = folder;
  if (score === null) return withScore(folder, heads);
  const dir = config.model_name_or_path;
  if (score.labels.length !== 1) {
    throw new UserError(
      "wrong_kind_of_model",
      `${dir} is a classifier with ${score.labels.length} labels (${score.labels.slice(0, 5).join(", ")}): a reward model has one score. Start from a language model, or from a model with one label.`,
    );
  }
  const same =
    heads.length === score.heads.length &&
    heads.every(({ name, weight }, i) => name === score.heads[i]?.name && weight === score.heads[i]?.weight);
  if (same) return folder;
  const found = score.heads.map(({ name, weight }) => `${name} (${weight})`).join(", ");
  throw new UserError(
    "other_heads",
    `${dir} is a reward model with ${found === "" ? "one head" : `the heads ${found}`}, and criteria asks for ${heads.map(({ name, weight }) => `${name} (${weight})`).join(", ") || "one head"}. ` +
      "Give it the criteria and criteria_weights that it has, or start from a language model.",
  );
}

interface Read {
  readonly rows: readonly RewardRow[];
  readonly split: (
    size: number,
    seed: number,
  ) => { readonly train: readonly RewardRow[]; readonly validation: readonly RewardRow[] };
  readonly counts: RowCounts<PreferenceFormat | ResponseFormat>;
  readonly rejects: readonly Reject[];
  readonly digest: string;
  readonly tokenizer: Tokenizer | undefined;
  readonly template: { readonly digest: string } | undefined;
  readonly contentTokens: readonly ContentToken[];
}

const criteriaColumn = "criteria";

async function loadData(
  path: string,
  config: RewardRowOptions,
  model: Qwen2Config,
  onBadRow: "error" | "reject",
  onProgress: OnProgress | undefined,
): Promise<Read> {
  const dir = config.model_name_or_path;
  const { data_format: format = await formatOf(path) } = config;
  const options = {
    tokenizer: () => loadTokenizer(dir),
    template: () => loadChatTemplate(dir),
    maxLength: config.max_length,
    context: config.allow_beyond_context ? undefined : model.maxPositionEmbeddings,
    onOverlong: config.on_overlong,
    onBadRow,
    vocabSize: model.vocabSize,
    now: config.template_date,
    specialTokens: config.special_tokens_in_content,
    columns: config.criteria.length > 0 ? [criteriaColumn] : [],
    onProgress,
  };
  if (format === "responses") {
    const { rows, ...rest } = await loadResponseRows(path, { ...options, format, use: "ranked" });
    const ranked = rows.map((row) => {
      const { id, line, parents, sequences, labels = [], columns, promptKey } = row;
      const place = { path, line };
      return {
        promptKey,
        row: {
          ...{ id, line, ...(parents && { parents }), sequences, labels, margin: 0 },
          criteria: listCriteria(columns?.[criteriaColumn], config.criteria, sequences.length, place),
        } satisfies RewardRow,
      };
    });
    const split = (size: number, seed: number) =>
      unwrapped(
        splitRows(
          // Rows that answer one prompt stay together.
          ranked.map(({ promptKey, row }) => ({ id: row.id, inputIds: keyIds(promptKey), row })),
          size,
          seed,
        ),
      );
    return { ...rest, rows: ranked.map(({ row }) => row), split };
  }
  const { rows, ...rest } = await loadPreferenceRows(path, { ...options, format, prompt: "optional" });
  const pairs = rows.map((pair) => {
    const { id, line, parents, promptIds, chosenIds, rejectedIds, margin = 0, columns } = pair;
    const whole = (ids: Int32Array): Int32Array => {
      const all = new Int32Array(promptIds.length + ids.length);
      all.set(promptIds);
      all.set(ids, promptIds.length);
      return all;
    };
    const row: RewardRow = {
      ...{ id, line, ...(parents && { parents }), margin },
      sequences: [whole(chosenIds), whole(rejectedIds)],
      labels: [true, false],
      criteria: pairCriteria(columns?.[criteriaColumn], config.criteria, { path, line }),
    };
    return { ...pair, row };
  });
  return {
    ...rest,
    rows: pairs.map(({ row }) => row),
    split: (size, seed) => unwrapped(splitPairs(pairs, size, seed)),
  };
}

function unwrapped({
  train,
  validation,
}: {
  readonly train: readonly { readonly row: RewardRow }[];
  readonly validation: readonly { readonly row: RewardRow }[];
}) {
  return { train: train.map(({ row }) => row), validation: validation.map(({ row }) => row) };
}

function keyIds(promptKey: string): Int32Array {
  const digest = createHash("sha256").update(promptKey).digest();
  return Int32Array.from({ length: digest.length / 4 }, (_, i) => digest.readInt32LE(4 * i));
}

/** By the columns of the first row: lists of responses, or pairs, whose loader tells their forms apart. */
async function formatOf(path: string): Promise<"responses" | undefined> {
  for await (const { value } of readRows(path)) {
    const lists = ["responses", "completions", "responses_ids"];
    const given = isJsonObject(value) ? Object.keys(value) : [];
    return lists.some((column) => given.includes(column)) ? "responses" : undefined;
  }
  return undefined;
}

/** `criteria` of a pair: the side that is better by each, or "tie". */
function pairCriteria(value: unknown, names: readonly string[], place: RowPlace): RewardRow["criteria"] {
  return criteriaOf(value, names, place, (name, winner) => {
    if (winner === "tie") return undefined;
    if (winner === "chosen" || winner === "rejected") return [winner === "chosen", winner === "rejected"];
    throw badCriteria(
      place,
      `criteria.${name}: expected "chosen", "rejected" or "tie", came ${text(winner)}.`,
    );
  });
}

/** `criteria` of a list of responses: labels for each. */
function listCriteria(
  value: unknown,
  names: readonly string[],
  count: number,
  place: RowPlace,
): RewardRow["criteria"] {
  return criteriaOf(value, names, place, (name, labels) => {
    const own = parseLabels(`criteria.${name}`, labels, count, place);
    return own.includes(true) && own.includes(false) ? own : undefined;
  });
}

function criteriaOf(
  value: unknown,
  names: readonly string[],
  place: RowPlace,
  labels: (name: string, value: unknown) => Labels | undefined,
): RewardRow["criteria"] {
  if (value === undefined) return {};
  if (!isJsonObject(value)) {
    throw badCriteria(place, `criteria: expected an object of names and labels, came ${text(value)}.`);
  }
  const given = value as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    names.flatMap((name) => {
      const own = given[name] ?? undefined;
      const found = own === undefined ? undefined : labels(name, own);
      return found === undefined ? [] : [[name, found]];
    }),
  );
}

const text = (value: unknown): string => JSON.stringify(value)?.slice(0, 60) ?? String(value);

function badCriteria(place: RowPlace, problem: string): UserError {
  return new UserError("bad_row", `${placeText(place)}: ${problem}`);
}

function noRows({ data, max_length }: RewardRowOptions, { counts }: Pick<Read, "counts">): UserError {
  const reasons = Object.entries(counts.reasons).map(([reason, count]) => `${reason} ${count}`);
  return new UserError(
    "no_rows",
    `${data}: none of its ${counts.read} rows has a better and a worse response to learn from${reasons.length > 0 ? ` (${reasons.join(", ")})` : ""}. ` +
      `Give rows whose responses differ in their labels${counts.overlong > 0 ? `, or raise max_length (${max_length})` : ""}.`,
  );
}

function noLabels({ data }: RewardRowOptions, name: string, rows: number): UserError {
  return new UserError(
    "no_labels",
    `${data}: none of its ${rows} rows has a label for the criterion ${name}, so its head would stay as it was drawn. Rows name the better side of each: ` +
      `"criteria": {"${name}": "chosen"} (or "rejected", "tie"); of lists of responses, a list of labels. Or leave ${name} out of criteria.`,
  );
}

function* sequencesOf(...files: readonly (Pick<Read, "rows"> | undefined)[]): Generator<Int32Array> {
  for (const file of files) for (const { sequences } of file?.rows ?? []) yield* sequences;
}
