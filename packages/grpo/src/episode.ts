// An episode: prompts from the queue, their groups, other prompts in place of those whose rewards do not differ, and what all of it is worth.
import { UserError } from "@posttrain/data";
import type { Model } from "@posttrain/model";
import { openJournal } from "@posttrain/run";
import { batchOf, type GrpoConfig, promptsPerEpisode, updatesOf } from "./config.js";
import type { GivenEpisodes } from "./given-episodes.js";
import { type Collected, collectGroups, type Group, type GroupSetting } from "./groups.js";
import { episodeJournal, prepassJournal } from "./journals.js";
import { differs, outcomeOf, scalesOf, type Valued, valueSamples, weightsOf } from "./outcome.js";
import type { Prompt } from "./prompts.js";
import { commit, draw, type QueueOptions, type QueueState } from "./queue.js";
import type { GrpoState } from "./state.js";
import { noStatistics, observe, type PromptStatistics } from "./statistics.js";
import { responseLogProbs, type StepRow } from "./step.js";

export function queueOptions(config: GrpoConfig): QueueOptions {
  const { order, queue_gamma, least_solved, most_solved, retire_after, revisit_after, seed } = config;
  return {
    order,
    gamma: queue_gamma,
    solveRates:
      least_solved === undefined && most_solved === undefined
        ? undefined
        : [least_solved ?? 0, most_solved ?? 1],
    retireAfter: retire_after,
    revisitAfter: revisit_after,
    seed,
  };
}

/** What an episode is sampled with, all but the prompts. */
export type EpisodeSetting = Pick<
  GroupSetting,
  "model" | "sampler" | "tokenizer" | "sources" | "onGraded"
> & {
  /** Of the run: journals lie in its episodes/. */
  readonly dir: string;
  /** What decides the policy's weights. */
  readonly weights: string;
  /** The policy that a KL term keeps near, where there is one. */
  readonly reference: Model | undefined;
};

/** Every prompt once, with random numbers of its own: what the first pass is ordered by. With the tokens of all responses. */
export async function prepass(
  state: GrpoState,
  prompts: readonly Prompt[],
  config: GrpoConfig,
  setting: EpisodeSetting,
): Promise<{ readonly state: GrpoState; readonly sampled: number }> {
  const journal = await openJournal(prepassJournal(setting.dir));
  try {
    const { groups } = await collectGroups(prompts, {
      ...setting,
      ...samplingOf(config),
      stream: "prepass",
      visit: 0,
      journal,
    });
    const scales = scalesOf(groups, setting.sources.length);
    const queue = commit(state.queue, observed(state.queue, groups, scales, config), queueOptions(config));
    return { state: { ...state, scales, queue }, sampled: tokensOf(groups) };
  } finally {
    await journal.close();
  }
}

export interface Episode {
  readonly groups: readonly Group[];
  readonly valued: Valued;
  /** What the updates train on, in the order of the groups. */
  readonly rows: readonly StepRow[];
  readonly refilled: number;
  /** Tokens of all responses that were sampled for it, those of groups that gave way to others among them. */
  readonly sampled: number;
  /** Groups without a difference that were taken all the same, as nothing better was found. */
  readonly even: number;
  readonly seconds: Pick<Collected, "generation" | "grading">;
  /** The run's state with all of it committed. */
  readonly state: GrpoState;
}

export async function sampleEpisode(
  before: GrpoState,
  prompts: ReadonlyMap<string, Prompt>,
  config: GrpoConfig,
  setting: EpisodeSetting,
): Promise<Episode> {
  const options = queueOptions(config);
  const wanted = promptsPerEpisode(config);
  const episode = before.episode + 1;
  const journal = await openJournal(episodeJournal(setting.dir, episode));
  try {
    let { queue } = before;
    const drawn = new Set<string>();
    const good: Group[] = [];
    const even: Group[] = [];
    const seconds = { generation: 0, grading: 0 };
    for (let round = 0; round <= config.max_refills && good.length < wanted; round++) {
      const next = draw(
        queue,
        wanted - good.length,
        options,
        episode * (config.max_refills + 1) + round,
        drawn,
      );
      if (next.ids.length === 0) break;
      queue = next.queue;
      for (const id of next.ids) drawn.add(id);
      const chosen = next.ids.map((id) => prompts.get(id) as Prompt);
      const sampling = { ...samplingOf(config), stream: "training", visit: episode, journal } as const;
      const collected = await collectGroups(chosen, { ...setting, ...sampling });
      seconds.generation += collected.generation;
      seconds.grading += collected.grading;
      for (const group of collected.groups) (differs(group, config) ? good : even).push(group);
    }
    const fill = even.slice(0, wanted - good.length);
    const groups = [...good, ...fill];
    if (groups.length < wanted) throw noPromptLeft(groups.length, wanted, config);
    const all = [...good, ...even];
    const scales = before.scales ?? scalesOf(all, setting.sources.length);
    const { valued, rows } = await worthOf(groups, config, setting.reference);
    const known = commit(queue, observed(queue, all, scales, config), options);
    return {
      ...{ groups, valued, rows, seconds },
      refilled: drawn.size - wanted,
      sampled: tokensOf(all),
      even: fill.length,
      state: { ...before, queue: known, scales, episode, updates: 0, rows },
    };
  } finally {
    await journal.close();
  }
}

function tokensOf(groups: readonly Group[]): number {
  return groups.reduce(
    (sum, { samples }) => samples.reduce((own, { completionIds }) => own + completionIds.length, sum),
    0,
  );
}

/** What groups are worth, and what of them is trained. */
async function worthOf(
  groups: readonly Group[],
  config: GrpoConfig,
  policyAtStart: Model | undefined,
): Promise<Pick<Episode, "valued" | "rows">> {
  const samples = groups.flatMap((group) => group.samples);
  const reference =
    config.beta > 0 && policyAtStart !== undefined
      ? await logProbsOf(policyAtStart, samples, config)
      : undefined;
  const kl = samples.map(({ logProbs }, i) => difference(logProbs, reference?.[i]));
  const valued = valueSamples(groups, kl, config);
  const rows = samples.map(
    ({ promptIds, completionIds, logProbs, line }, i): StepRow => ({
      ...{ line, promptIds, completionIds },
      oldLogProbs: logProbs,
      ...(reference && { referenceLogProbs: reference[i] as Float32Array }),
      advantage: valued.advantages[i] as number,
      weight: valued.weights[i] as number,
    }),
  );
  return { valued, rows };
}

/** An episode of rollouts that are given: the next of their file, from its beginning when it is through. */
export async function givenEpisode(
  before: GrpoState,
  { episodes, sources }: GivenEpisodes,
  config: GrpoConfig,
  reference: Model | undefined,
): Promise<Episode> {
  const groups = episodes[before.episode % episodes.length] as GivenEpisodes["episodes"][number];
  const { valued, rows } = await worthOf(groups, { ...config, reward_funcs: [...sources] }, reference);
  const state = { ...before, episode: before.episode + 1, updates: 0, rows };
  return {
    groups,
    valued,
    rows,
    refilled: 0,
    sampled: 0,
    even: 0,
    seconds: { generation: 0, grading: 0 },
    state,
  };
}

/** UserError: fewer prompts take part than an episode has. */
export function noPromptLeft(left: number, wanted: number, config: GrpoConfig): UserError {
  const { least_solved: least = 0, most_solved: most = 1 } = config;
  return new UserError(
    "no_prompt_left",
    `${left} prompts are solved between least_solved ${least} and most_solved ${most} of the time, and an episode takes ${wanted}. Widen the range, or take prompts that are nearer to what the model can do.`,
  );
}

/** The rows of update `update` (from 0) of an episode, in micro-batches. */
export function updateRows(
  rows: readonly StepRow[],
  update: number,
  config: GrpoConfig,
): readonly (readonly StepRow[])[] {
  const batch = batchOf(config);
  const micro = config.per_device_train_batch_size;
  const from = (update % updatesOf(config).perPass) * batch;
  const own = rows.slice(from, from + batch);
  const batches: (readonly StepRow[])[] = [];
  for (let at = 0; at < own.length; at += micro) batches.push(own.slice(at, at + micro));
  return batches;
}

/** Log-probabilities of responses, a micro-batch at a time, which changes no bit of them. */
export async function logProbsOf(
  model: Model,
  responses: readonly Pick<StepRow, "promptIds" | "completionIds">[],
  {
    per_device_train_batch_size: micro,
    temperature,
  }: Pick<GrpoConfig, "per_device_train_batch_size" | "temperature">,
): Promise<readonly Float32Array[]> {
  const all: Float32Array[] = [];
  for (let at = 0; at < responses.length; at += micro) {
    all.push(...(await responseLogProbs(model, responses.slice(at, at + micro), temperature)));
  }
  return all;
}

function samplingOf(
  config: GrpoConfig,
): Pick<GroupSetting, "samples" | "temperature" | "maxNewTokens" | "seed"> {
  const { num_generations, temperature, max_completion_length, seed } = config;
  return { samples: num_generations, temperature, maxNewTokens: max_completion_length, seed };
}

function observed(
  queue: QueueState,
  groups: readonly Group[],
  scales: Parameters<typeof outcomeOf>[1],
  config: GrpoConfig,
): ReadonlyMap<string, PromptStatistics> {
  const weights = weightsOf(config);
  return new Map(
    groups.map((group) => {
      const known = queue.prompts.get(group.prompt.id) ?? noStatistics;
      return [group.prompt.id, observe(known, outcomeOf(group, scales, weights), config.queue_decay)];
    }),
  );
}

function difference(sampled: Float32Array, reference: Float32Array | undefined): number {
  if (reference === undefined) return 0;
  return sampled.reduce((sum, logProb, t) => sum + logProb - (reference[t] as number), 0);
}
