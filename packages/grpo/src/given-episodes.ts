// Given rollouts as a run takes them: dealt into episodes in their order, whole groups each, pass after pass.
import { loadTokenizer, type OnProgress, type Reject, type RowCounts, UserError } from "@posttrain/data";
import { openModelFolder } from "@posttrain/model";
import { batchOf, type GrpoConfig } from "./config.js";
import { type GivenGroup, type GivenSample, readRollouts } from "./given.js";
import { type Prompt, type PromptData, preparePrompts } from "./prompts.js";

export interface GivenEpisodes {
  readonly episodes: readonly (readonly GivenGroup[])[];
  /** Names of the rewards. */
  readonly sources: readonly string[];
}

/** Reads `rollouts`, and the held-out prompts of eval_data. UserError naming file and line; `no_rows` where nothing is left. */
export async function prepareGiven(
  config: GrpoConfig,
  onBadRow: "error" | "reject" = "error",
  onProgress?: OnProgress,
): Promise<PromptData> {
  const { rollouts: path = "", model_name_or_path: dir, eval_data } = config;
  const { config: model } = await openModelFolder(dir);
  const tokenizer = await loadTokenizer(dir);
  const { groups, sources, read, rejects, digest } = await readRollouts(
    path,
    { model, tokenizer },
    onBadRow,
    onProgress,
  );
  if (groups.length === 0 && onBadRow === "error") {
    throw new UserError("no_rows", `${path}: there is no group of responses in it to train on.`);
  }
  if (config.reward_weights !== undefined && config.reward_weights.length !== sources.length) {
    throw new UserError(
      "bad_option",
      `reward_weights has ${config.reward_weights.length} numbers, and the rewards of ${path} are ${sources.join(", ")}: expected one for each.`,
    );
  }
  const held =
    eval_data === undefined
      ? undefined
      : await preparePrompts({ ...config, data: eval_data, eval_data: undefined, val_size: 0 }, onBadRow);
  const rows = groups.flatMap(({ prompt, samples }) => samples.map((sample) => answered(prompt, sample)));
  return {
    model,
    tokenizer,
    file: path,
    trainRows: rows,
    evalRows: held?.trainRows ?? [],
    units: rows.flatMap((row) => new Array<readonly Prompt[]>(config.num_iterations).fill([row])),
    counts: countsOf(rows, read, rejects),
    rejects,
    evalRejects: held?.rejects ?? [],
    packing: undefined,
    contentTokens: [],
    longestRow: model.maxPositionEmbeddings,
    digests: { data: digest, tokenizer: tokenizer.digest, ...(held && { eval_data: held.digests.data }) },
    given: { episodes: episodesOf(groups, config, path), sources },
  };
}

function answered(prompt: Prompt, { id, line, completionIds }: GivenSample): Required<Prompt> {
  return { ...prompt, id, line, completionIds };
}

function countsOf(
  rows: readonly Required<Prompt>[],
  read: number,
  rejects: readonly Reject[],
): PromptData["counts"] {
  const reasons: RowCounts["reasons"] = Object.fromEntries(
    [...new Set(rejects.map(({ reason }) => reason))].map((reason) => [
      reason,
      rejects.filter((one) => one.reason === reason).length,
    ]),
  );
  const tokens = rows.reduce((sum, { ids, completionIds }) => sum + ids.length + completionIds.length, 0);
  return {
    ...{
      read,
      kept: rows.length,
      rejected: rejects.length,
      reasons,
      tokens,
      formats: { rollouts: rows.length },
    },
    ...{ overlong: 0, dropped: 0, truncated: 0, emptied: 0 },
  };
}

/** Whole groups, as many as the responses of an episode hold. UserError for a group that is larger. */
function episodesOf(
  groups: readonly GivenGroup[],
  config: GrpoConfig,
  path: string,
): GivenEpisodes["episodes"] {
  const size = config.episode_size ?? batchOf(config);
  const episodes: GivenGroup[][] = [];
  let room = 0;
  for (const group of groups) {
    const { length } = group.samples;
    if (length > size) {
      throw new UserError(
        "group_too_large",
        `${path}, line ${group.prompt.line}: its group has ${length} responses, and an episode ${size}. Raise per_device_train_batch_size, gradient_accumulation_steps or episode_size.`,
      );
    }
    if (length > room) {
      episodes.push([]);
      room = size;
    }
    episodes.at(-1)?.push(group);
    room -= length;
  }
  return episodes;
}
