// The prompts of a run: read, checked, held against max_prompt_length and the model's context, split. Everything before the model.
import { join } from "node:path";
import {
  type ContentToken,
  type OnProgress,
  type Reject,
  type RowCounts,
  splitRows,
  type Tokenizer,
  UserError,
} from "@posttrain/data";
import { openModelFolder, type Qwen2Config } from "@posttrain/model";
import { readPrompts, type TextSide, textSide } from "@posttrain/rollout";
import { writeDurably } from "@posttrain/run";
import type { Unit } from "@posttrain/train";
import { type GrpoConfig, promptsPerEpisode } from "./config.js";
import type { GivenEpisodes } from "./given-episodes.js";

export interface Prompt {
  readonly id: string;
  readonly line: number;
  readonly ids: Int32Array;
  /** The row, with the columns that verifiers read. */
  readonly row: Readonly<Record<string, unknown>>;
  /** Its number in every draw's counter: its place in the file. */
  readonly place: number;
  /** Of a rollout: the response that is there. */
  readonly completionIds?: Int32Array;
}

/** What a run has read: everything before the model. */
export interface PromptData {
  /** What was read in place of `data`. */
  readonly file?: string;
  /** Of rollouts: the groups, and how they are dealt. */
  readonly given?: GivenEpisodes;
  readonly model: Qwen2Config;
  readonly tokenizer: Tokenizer;
  readonly trainRows: readonly Prompt[];
  readonly evalRows: readonly Prompt[];
  /** Every response of a pass: a prompt once for each of its responses, and for each time that they are trained on. */
  readonly units: readonly Unit<Prompt>[];
  /** Of the file `data`. */
  readonly counts: Omit<RowCounts, "trainedTokens" | "lostTrainedTokens" | "formats"> & {
    readonly formats: Readonly<Record<string, number>>;
  };
  readonly rejects: readonly Reject[];
  readonly evalRejects: readonly Reject[];
  readonly packing: undefined;
  readonly contentTokens: readonly ContentToken[];
  /** Most tokens of a prompt: max_prompt_length, or what max_completion_length leaves of the model's context. */
  readonly longestRow: number;
  readonly digests: Readonly<Record<string, string>> & { readonly data: string };
}

/**
 * Reads it all. `onBadRow`: end at the first bad row, or leave it out and go on, for a list of all. UserError naming file, line and field; `no_rows`
 * where none is left.
 */
export async function preparePrompts(
  config: GrpoConfig,
  onBadRow: "error" | "reject" = "error",
  onProgress?: OnProgress,
): Promise<PromptData> {
  const dir = config.model_name_or_path;
  const { config: model } = await openModelFolder(dir);
  const text = textSide(dir, model, config, onProgress);
  const data = await readFile(config.data, text, config, onBadRow);
  if (data.prompts.length === 0 && onBadRow === "error") {
    throw new UserError(
      "no_rows",
      `${config.data}: none of its ${data.counts.read} prompts has ${config.max_prompt_length} tokens or fewer. Raise max_prompt_length.`,
    );
  }
  const held =
    config.eval_data === undefined ? undefined : await readFile(config.eval_data, text, config, onBadRow);
  const byIds = data.prompts.map((prompt) => ({ ...prompt, inputIds: prompt.ids }));
  const split =
    held !== undefined || data.prompts.length === 0
      ? { train: data.prompts, validation: [] }
      : splitRows(byIds, config.val_size, config.seed);
  const tokenizer = await text.tokenizer();
  return {
    model,
    tokenizer,
    trainRows: split.train,
    evalRows: held?.prompts ?? split.validation,
    units: unitsOf(split.train, config),
    counts: data.counts,
    rejects: data.rejects,
    evalRejects: held?.rejects ?? [],
    packing: undefined,
    contentTokens: data.contentTokens,
    longestRow: longestPrompt(model, config),
    digests: {
      data: data.digest,
      tokenizer: tokenizer.digest,
      ...(text.usesTemplate() && { chat_template: (await text.template()).digest }),
      ...(held && { eval_data: held.digest }),
    },
  };
}

function unitsOf(prompts: readonly Prompt[], config: GrpoConfig): readonly Unit<Prompt>[] {
  const each = config.num_generations * config.num_iterations;
  return prompts.flatMap((prompt) => new Array<Unit<Prompt>>(each).fill([prompt]));
}

/** Episodes of a pass. */
export function episodesPerPass(
  config: GrpoConfig,
  { units, given }: Pick<PromptData, "units" | "given">,
): number {
  const prompts = units.length / (config.num_generations * config.num_iterations);
  return given?.episodes.length ?? prompts / promptsPerEpisode(config);
}

function longestPrompt(
  { maxPositionEmbeddings: context }: Qwen2Config,
  { max_prompt_length: most, max_completion_length: completion }: GrpoConfig,
): number {
  return Math.min(most, context - completion);
}

interface PromptFile {
  readonly prompts: readonly Prompt[];
  readonly counts: PromptData["counts"];
  readonly rejects: readonly Reject[];
  readonly contentTokens: readonly ContentToken[];
  readonly digest: string;
}

async function readFile(
  path: string,
  text: TextSide,
  config: GrpoConfig,
  onBadRow: "error" | "reject",
): Promise<PromptFile> {
  const file = await readPrompts(path, false, text, onBadRow);
  const most = longestPrompt(text.config, config);
  const prompts: Prompt[] = [];
  const long: Reject[] = [];
  for (const [place, { line, id, ids, columns }] of file.rows.entries()) {
    if (ids.length <= most) {
      prompts.push({ id, line, ids, row: columns, place });
      continue;
    }
    const remedy =
      ids.length > config.max_prompt_length
        ? `${ids.length} tokens, more than max_prompt_length ${config.max_prompt_length}: left out. Raise it, or shorten the prompt.`
        : `${ids.length} tokens leave no room for max_completion_length ${config.max_completion_length} in the model's context of ${text.config.maxPositionEmbeddings}: left out. Lower it, or shorten the prompt.`;
    long.push({ line, id, tokens: ids.length, reason: "dropped", remedy });
  }
  const dropped = long.length;
  return {
    prompts,
    digest: file.digest,
    contentTokens: file.contentTokens,
    rejects: [...file.rejects, ...long].sort((a, b) => a.line - b.line),
    counts: {
      ...{
        read: file.counts.read,
        rejected: file.counts.rejected,
        formats: { ...file.counts.formats } as Record<string, number>,
      },
      ...{ kept: prompts.length, overlong: dropped, dropped, truncated: 0, emptied: 0 },
      reasons: { ...reasonsOf(file.rejects), ...(dropped > 0 && { dropped }) },
      tokens: prompts.reduce((sum, { ids }) => sum + ids.length, 0),
    },
  };
}

function reasonsOf(rejects: readonly Reject[]): Record<string, number> {
  const reasons: Record<string, number> = {};
  for (const { reason } of rejects) reasons[reason] = (reasons[reason] ?? 0) + 1;
  return reasons;
}

/** Prompts without those that a sentence is said of: what nothing can grade, for a list of all. */
export function withoutBad(
  data: PromptData,
  bad: ReadonlyMap<Prompt, string>,
  config: GrpoConfig,
): PromptData {
  const isSound = (prompt: Prompt): boolean => !bad.has(prompt);
  const rejectsOf = (prompts: readonly Prompt[]): readonly Reject[] =>
    prompts.flatMap((prompt) => {
      const remedy = bad.get(prompt);
      const { line, id, ids } = prompt;
      return remedy === undefined ? [] : [{ line, id, tokens: ids.length, reason: "bad_question", remedy }];
    });
  const trainRows = data.trainRows.filter(isSound);
  const own = [
    ...rejectsOf(data.trainRows),
    ...(config.eval_data === undefined ? rejectsOf(data.evalRows) : []),
  ];
  const { counts } = data;
  return {
    ...data,
    trainRows,
    evalRows: data.evalRows.filter(isSound),
    units: data.units.filter((unit) => unit.every(isSound)),
    rejects: [...data.rejects, ...own].sort((a, b) => a.line - b.line),
    evalRejects: [...data.evalRejects, ...(config.eval_data === undefined ? [] : rejectsOf(data.evalRows))],
    counts: {
      ...counts,
      kept: counts.kept - own.length,
      rejected: counts.rejected + own.length,
      tokens: counts.tokens - own.reduce((sum, { tokens }) => sum + (tokens ?? 0), 0),
      reasons: { ...counts.reasons, ...(own.length > 0 && { bad_question: own.length }) },
    },
  };
}

/** prompts.jsonl of the run folder, which prompts train and which are held out, and rejects.jsonl, which were left out and why. */
export async function writePromptLists(
  dir: string,
  { trainRows, evalRows, rejects, evalRejects }: PromptData,
): Promise<void> {
  const list = (prompts: readonly Prompt[], split: string): readonly object[] =>
    prompts.map(({ id, line, ids }) => ({ line, id, tokens: ids.length, split }));
  const write = (name: string, rows: readonly object[]): Promise<void> =>
    writeDurably(join(dir, name), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  await write("prompts.jsonl", [...list(trainRows, "train"), ...list(evalRows, "eval")]);
  if (rejects.length > 0) await write("rejects.jsonl", rejects);
  if (evalRejects.length > 0) await write("eval_rejects.jsonl", evalRejects);
}
