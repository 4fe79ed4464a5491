// Rollouts that are there already, from another run or another program: read, checked, put into groups. A line is a response: the token ids of
// its prompt and its own, the log-probability that each of its tokens had when it was drawn, its rewards, and which group it belongs to. The files
// that a run writes (rollouts/step-<n>.jsonl) are of this form.
import {
  isJsonObject,
  type OnProgress,
  openBooks,
  type Reject,
  type RowPlace,
  readRows,
  type Tokenizer,
  UserError,
  type Verdict,
  withDoubles,
} from "@posttrain/data";
import type { Qwen2Config } from "@posttrain/model";
import type { GradedSample, Group } from "./groups.js";
import type { Prompt } from "./prompts.js";
import type { Origin } from "./staleness.js";

/** How programs name a column; the first that a row has. */
const names = {
  prompt: ["prompt_ids", "prompt_token_ids"],
  completion: ["completion_ids", "completion_token_ids", "response_ids"],
  logProbs: [
    "logprobs",
    "log_probs",
    "sampling_logps",
    "sampling_per_token_logps",
    "old_per_token_logps",
    "old_log_probs",
    "rollout_log_probs",
  ],
  group: ["prompt_id", "group_id", "group", "uid"],
  rewards: ["rewards", "reward", "score"],
} as const;

/** A response as it is given. */
export interface GivenSample extends GradedSample {
  readonly id: string;
  readonly origin: Origin;
}

export interface GivenGroup extends Group {
  readonly samples: readonly GivenSample[];
}

export interface GivenRollouts {
  /** In the order of their first lines. */
  readonly groups: readonly GivenGroup[];
  /** Names of the rewards, in the order in which they come. */
  readonly sources: readonly string[];
  readonly read: number;
  readonly rejects: readonly Reject[];
  readonly digest: string;
}

interface GivenRow {
  readonly line: number;
  readonly place: RowPlace;
  readonly promptIds: Int32Array;
  readonly completionIds: Int32Array;
  readonly logProbs: Float32Array;
  readonly rewards: Readonly<Record<string, number | null>>;
  readonly group: string;
  readonly finish: "stop" | "length";
  readonly text: string;
  readonly verdict: Verdict | undefined;
  readonly origin: Origin;
  readonly row: Readonly<Record<string, unknown>>;
}

/**
 * Reads a file of rollouts. UserError `bad_rollout`, `id_out_of_range`, `row_too_long`, `other_tokenizer`, `group_of_one` naming file and line;
 * `onBadRow: reject` lists them.
 */
export async function readRollouts(
  path: string,
  side: { readonly model: Qwen2Config; readonly tokenizer: Tokenizer },
  onBadRow: "error" | "reject",
  onProgress?: OnProgress,
): Promise<GivenRollouts> {
  const books = openBooks<"rollout">(path, { onBadRow });
  const rows: GivenRow[] = [];
  const bad = (place: RowPlace, error: unknown): void => books.bad({ place, id: null }, error);
  let digest = "";
  const lines = readRows(path, {
    onEnd: (sha256) => {
      digest = sha256;
    },
    ...(onBadRow === "reject" && {
      onBadRow: (error: UserError, _: number, place: RowPlace) => bad(place, error),
    }),
    onProgress,
  });
  for await (const { line, place, value } of lines) {
    books.counts.read++;
    try {
      rows.push({ ...rowOf(withDoubles(value), side), line, place });
    } catch (error) {
      bad(place, error);
    }
  }
  const sources = [...new Set(rows.flatMap(({ rewards }) => Object.keys(rewards)))];
  const members = new Map<string, GivenRow[]>();
  for (const row of rows) members.set(row.group, [...(members.get(row.group) ?? []), row]);
  const groups: GivenGroup[] = [];
  for (const own of members.values()) {
    const [first] = own as [GivenRow];
    if (own.length > 1) {
      groups.push(groupOf(own, sources, groups.length));
      continue;
    }
    const what = `its group has no other response, and an advantage is a difference within a group. Give at least two responses to a prompt, with the same ${names.group.join(", ")}, or the same ${names.prompt[0]}.`;
    bad(first.place, new UserError("group_of_one", what));
  }
  const { rejects } = books.result();
  return { groups, sources, read: books.counts.read, rejects, digest };
}

function groupOf(rows: readonly GivenRow[], sources: readonly string[], place: number): GivenGroup {
  const [{ line, promptIds: ids, row, group: id }] = rows as [GivenRow];
  const prompt: Prompt = { id, line, ids, row, place };
  return {
    prompt,
    samples: rows.map(({ rewards, verdict, group: _, place: __, ...sample }, i) => ({
      ...sample,
      id: `${id}:${i}`,
      scored: sources.map((name, source) => ({
        value: rewards[name] ?? null,
        ...(source === 0 && verdict && { verdict }),
      })),
    })),
  };
}

function rowOf(
  value: unknown,
  { model, tokenizer }: { readonly model: Qwen2Config; readonly tokenizer: Tokenizer },
): Omit<GivenRow, "line" | "place"> {
  if (!isJsonObject(value)) throw bad("a line", "an object with the columns of a response", value);
  const tokens = (which: "prompt" | "completion"): Int32Array => {
    const [name, ids] = columnOf(value, names[which]);
    if (!isListOf(ids, (id) => Number.isInteger(id) && id >= 0) || ids.length === 0) {
      throw bad(
        name,
        `a list of token ids, which this trains on as they are (or ${names[which].join(", ")})`,
        ids,
      );
    }
    const known = Math.min(tokenizer.size, model.vocabSize);
    const foreign = ids.findIndex((id) => id >= known);
    if (foreign >= 0) {
      throw new UserError(
        "id_out_of_range",
        `${name}[${foreign}] is ${ids[foreign]}, but the model's tokenizer has the ids 0 to ${known - 1}: another tokenizer wrote this file. Give rollouts of a model with this one's vocabulary.`,
      );
    }
    return Int32Array.from(ids);
  };
  const promptIds = tokens("prompt");
  const completionIds = tokens("completion");
  const total = promptIds.length + completionIds.length;
  if (total > model.maxPositionEmbeddings) {
    throw new UserError(
      "row_too_long",
      `prompt and response have ${promptIds.length} + ${completionIds.length} tokens, and the model's context holds ${model.maxPositionEmbeddings} (max_position_embeddings). Leave the row out.`,
    );
  }
  refuseOtherTokenizer(value, promptIds, tokenizer);
  const [logName, logProbs] = columnOf(value, names.logProbs);
  if (!isListOf(logProbs, (logProb) => logProb <= 0)) {
    throw bad(
      logName,
      `the log-probability of each token when it was drawn, at most 0 each (or ${names.logProbs.join(", ")}): ratios are held against them`,
      logProbs,
    );
  }
  if (logProbs.length !== completionIds.length) {
    throw new UserError(
      "bad_rollout",
      `${logName} has ${logProbs.length} numbers, and the response ${completionIds.length} tokens: expected one for each.`,
    );
  }
  const [, group] = columnOf(value, names.group);
  const { step, weights, finish, completion, verdict } = value;
  return {
    promptIds,
    completionIds,
    logProbs: Float32Array.from(logProbs),
    rewards: rewardsOf(value),
    // The same prompt of another step is another group.
    group: JSON.stringify([group ?? [...promptIds], step ?? null]),
    finish: finish === "length" ? "length" : "stop",
    text: typeof completion === "string" ? completion : tokenizer.decode([...completionIds]),
    verdict: isJsonObject(verdict) ? (verdict as unknown as Verdict) : undefined,
    origin: {
      ...(typeof weights === "string" && { weights }),
      ...(typeof step === "number" && { step }),
    },
    row: value,
  };
}

function rewardsOf(value: Readonly<Record<string, unknown>>): Readonly<Record<string, number | null>> {
  const [name, given] = columnOf(value, names.rewards);
  const entries = isJsonObject(given) ? Object.entries(given) : [["reward", given] as const];
  if (given === undefined || entries.length === 0) {
    throw bad(
      name,
      `a number, or an object of them by name (or ${names.rewards.join(", ")}); null: nobody could grade it`,
      given,
    );
  }
  for (const [source, reward] of entries) {
    if (reward !== null && (typeof reward !== "number" || !Number.isFinite(reward))) {
      throw bad(
        isJsonObject(given) ? `${name}.${source}` : name,
        "a finite number, or null where nobody could grade it",
        reward,
      );
    }
  }
  return Object.fromEntries(entries as readonly (readonly [string, number | null])[]);
}

/** What says that other words were meant: the digest of a tokenizer that is not this one, or a prompt whose tokens spell another text. */
function refuseOtherTokenizer(
  { tokenizer: digest, schema, prompt }: Readonly<Record<string, unknown>>,
  promptIds: Int32Array,
  tokenizer: Tokenizer,
): void {
  const spelt =
    schema === "rollout@1" && typeof prompt === "string" ? tokenizer.decode([...promptIds]) : undefined;
  const other = typeof digest === "string" && digest !== tokenizer.digest;
  if (!other && (spelt === undefined || spelt === prompt)) return;
  const why = other
    ? `its tokenizer is ${String(digest).slice(0, 12)}..., the model's ${tokenizer.digest.slice(0, 12)}...`
    : `the tokens of its prompt spell ${JSON.stringify(spelt?.slice(0, 60))} by the model's tokenizer, and it says ${JSON.stringify(String(prompt).slice(0, 60))}`;
  throw new UserError(
    "other_tokenizer",
    `${why}: the ids mean other words. Give rollouts of a model with this one's tokenizer.`,
  );
}

/** The first of these columns that the row has, and its value; else the usual name. */
function columnOf(
  row: Readonly<Record<string, unknown>>,
  of: readonly string[],
): readonly [name: string, value: unknown] {
  const name = of.find((one) => Object.hasOwn(row, one)) ?? (of[0] as string);
  return [name, row[name]];
}

function isListOf(value: unknown, fits: (item: number) => boolean): value is readonly number[] {
  return Array.isArray(value) && value.every((item) => typeof item === "number" && fits(item));
}

function bad(name: string, expected: string, came: unknown): UserError {
  const text = came === undefined ? "nothing" : JSON.stringify(came)?.slice(0, 60);
  return new UserError("bad_rollout", `${name}: expected ${expected}, came ${text}.`);
}
