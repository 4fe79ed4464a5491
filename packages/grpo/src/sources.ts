// The sources of reward that a config names: verifiers, a reward model's score, the punishment of length. Opened before a token is sampled, so
// that a row without what its verifier needs is an error first.
import { availableParallelism } from "node:os";
import { basename } from "node:path";
import { UserError } from "@posttrain/data";
import type { Jobs } from "@posttrain/jobs";
import type { Model, Qwen2Config } from "@posttrain/model";
import {
  type ChosenVerifiers,
  gradeSaid,
  isModulePath,
  type OwnReward,
  openChosenVerifiers,
  openOwnReward,
  type Verifiers,
  withResponse,
} from "@posttrain/verify";
import type { GrpoConfig, rewardNames } from "./config.js";
import { overlongPunishment } from "./overlong.js";
import type { Prompt } from "./prompts.js";
import { askSource, type Reward, type RewardSource, type Sample, verdictReward } from "./rewards.js";

/** Scores of whole sequences of tokens; null where one cannot be scored. Of @posttrain/reward-model, which no stage may import. */
export type Score = (sequences: readonly Int32Array[]) => Promise<readonly (number | null)[]>;

export interface RewardSources extends AsyncDisposable {
  /** In the order of reward_funcs. */
  readonly sources: readonly RewardSource[];
  /**
   * Whether rows have what grades their responses, and whether these graders hold (canaries): the names of those that were proven. UserError `bad_question`
   * naming file and line where a row has nothing; with `onBad` it is told in its place.
   */
  check(
    files: readonly { readonly path: string; readonly prompts: readonly Prompt[] }[],
    onBad?: (prompt: Prompt, problem: string) => void,
  ): Promise<readonly string[]>;
  /** SHA-256 of the user's own modules: other functions make another run. */
  readonly digests?: Readonly<Record<string, string>>;
  /** The reward model, where it computes on the run's device. */
  readonly rewardModel?: RewardModel | undefined;
}

/** A reward model beside the policy: its shape, and how it scores. */
export interface RewardModel {
  readonly config: Qwen2Config;
  readonly scorer: (model: Model) => Score;
}

/**
 * `score`: of the reward model, where reward_funcs has it; `workers` give verdicts in place of this process. Whoever stops a run waits for the rewards of the step at hand: a
 * reward that was not waited for would train the policy otherwise. UserError `unknown_verifier`, `bad_verifier`.
 */
export async function openRewardSources(
  config: GrpoConfig,
  score: Score | undefined,
  {
    rewardModel,
    workers,
  }: { readonly rewardModel?: RewardModel | undefined; readonly workers?: Jobs | undefined } = {},
): Promise<RewardSources> {
  const chosen = config.reward_funcs.includes("verifier")
    ? await openChosenVerifiers(config, undefined, workers)
    : undefined;
  const own = new Map<string, OwnReward>();
  const close = async (): Promise<void> => {
    await Promise.all([chosen?.close(), ...[...own.values()].map((reward) => reward.close())]);
  };
  try {
    for (const path of config.reward_funcs.filter(isModulePath)) {
      const processes = config.concurrency ?? availableParallelism();
      own.set(
        path,
        await openOwnReward(path, { concurrency: processes, timeoutSeconds: config.timeout_seconds }),
      );
    }
  } catch (error) {
    await close();
    throw error;
  }
  const sourceOf = (name: string): Pick<RewardSource, "name" | "reward"> => {
    const reward = own.get(name);
    return reward === undefined
      ? { name, reward: rewards[name as (typeof rewardNames)[number]]() }
      : { name: nameOf(name, own), reward: ownReward(reward) };
  };
  const rewards: Readonly<Record<(typeof rewardNames)[number], () => Reward>> = {
    verifier: () => verifierReward((chosen as ChosenVerifiers).verifiers),
    reward_model: () => scoreReward(score as Score),
    overlong: () => async (group) =>
      group.map(({ completionIds: { length } }) => ({
        value: overlongPunishment(length, config.max_completion_length, config.overlong_buffer),
      })),
  };
  const sources = config.reward_funcs.map((name, i) => ({
    ...sourceOf(name),
    weight: config.reward_weights?.[i] ?? 1,
  }));
  return {
    sources,
    rewardModel,
    digests: Object.fromEntries(
      [...own].map(([path, { digest }]) => [`reward ${nameOf(path, own)}`, digest]),
    ),
    check: async (files, onBad) => {
      await tryOut(
        sources.filter((_, i) => own.has(config.reward_funcs[i] as string)),
        files.flatMap(({ prompts }) => prompts)[0],
        config.num_generations,
      );
      if (chosen === undefined) return [];
      const names = new Set<string>();
      for (const { path, prompts } of files) {
        for (const prompt of prompts) {
          const { row, line } = prompt;
          const asked = withResponse(row, "x");
          const problem = chosen.verifiers.problemOf(asked);
          if (problem !== undefined) {
            const sentence = `${path}, line ${line}: ${problem}`;
            if (onBad === undefined) throw new UserError("bad_question", sentence);
            onBad(prompt, sentence);
            continue;
          }
          names.add(chosen.verifiers.verifierOf(asked)?.name as string);
        }
      }
      await chosen.prove(names);
      return [...names];
    },
    [Symbol.asyncDispose]: close,
  };
}

/** The function's name; with its file's where two have the same. */
function nameOf(path: string, own: ReadonlyMap<string, OwnReward>): string {
  const { name } = own.get(path) as OwnReward;
  const same = [...own.values()].filter((reward) => reward.name === name).length;
  return same === 1 ? name : `${basename(path.replace(/#.*$/s, ""))}#${name}`;
}

/** Calls functions of the user's with responses that nobody has sampled: what they cannot do is known before a token is spent. */
async function tryOut(
  sources: readonly RewardSource[],
  prompt: Prompt | undefined,
  responses: number,
): Promise<void> {
  if (prompt === undefined) return;
  const { row, line, ids } = prompt;
  const trial: Sample = {
    row,
    line,
    promptIds: ids,
    completionIds: ids.slice(-1),
    text: "x",
    finish: "stop",
  };
  for (const source of sources) {
    const scored = await askSource(source, new Array<Sample>(responses).fill(trial));
    const problem = scored.find((one) => one.problem !== undefined)?.problem;
    if (problem === undefined) continue;
    throw new UserError(
      "bad_reward",
      `The reward ${source.name}, tried out with ${responses} responses "x" to the prompt on line ${line}, did not come back: ${problem}. A reward is a finite number for each response; return 0 for what is wrong, and null where there is none.`,
    );
  }
}

function ownReward(own: OwnReward): Reward {
  return (group) =>
    own.score(
      group.map(({ row, text, completionIds, promptIds }) => ({ row, text, promptIds, ids: completionIds })),
    );
}

function verifierReward(verifiers: Verifiers): Reward {
  return (group) =>
    Promise.all(
      group.map(async ({ row, text, finish }) =>
        verdictReward(await gradeSaid(verifiers, withResponse(row, text), { text, finish })),
      ),
    );
}

function scoreReward(score: Score): Reward {
  return async (group) => {
    const sequences = group.map(({ promptIds, completionIds }) =>
      Int32Array.from([...promptIds, ...completionIds]),
    );
    const scores = await score(sequences);
    return scores.map((value) => ({ value }));
  };
}
