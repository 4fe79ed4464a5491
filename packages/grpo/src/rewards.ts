// Rewards of responses: sources by name and weight, each asked for the responses of one prompt together.
import { UserError, type Verdict } from "@posttrain/data";

/** A response as sources of rewards see it. */
export interface Sample {
  /** The prompt's row, with all its columns. */
  readonly row: Readonly<Record<string, unknown>>;
  /** Where the row stands in its file. */
  readonly line: number;
  readonly promptIds: Int32Array;
  readonly completionIds: Int32Array;
  /** Without special tokens. */
  readonly text: string;
  /** length: it was cut at the most tokens that there may be. */
  readonly finish: "stop" | "length";
}

/** What a source says of a response. */
export interface Scored {
  /** null: not applicable, or nobody could grade it. It is masked and counted, never taken for 0. */
  readonly value: number | null;
  readonly verdict?: Verdict;
  /** Why there is none, where a function of the user's failed. */
  readonly problem?: string;
}

/** The responses of one prompt to a reward each, in their order; or, in words, what a function of the user's gave that means nothing. */
export type Reward = (group: readonly Sample[]) => Promise<readonly Scored[] | { readonly unusable: string }>;

export interface RewardSource {
  /** In metrics: rewards/<name>/mean. */
  readonly name: string;
  readonly weight: number;
  readonly reward: Reward;
}

/** Asks a source, and does not believe it: UserError `bad_reward` for another number of rewards, or what is no number. */
export async function askSource(
  { name, reward }: Pick<RewardSource, "name" | "reward">,
  group: readonly Sample[],
): Promise<readonly Scored[]> {
  const scored = await reward(group);
  const line = group[0]?.line;
  const refuse = (what: string): UserError =>
    new UserError(
      "bad_reward",
      `The reward ${name}, asked for ${group.length} responses to the prompt on line ${line}, ${what}. A reward is a finite number for each response, or null where there is none.`,
    );
  if ("unusable" in scored) throw refuse(`gave ${scored.unusable}`);
  if (!Array.isArray(scored) || scored.length !== group.length) {
    throw refuse(`gave ${Array.isArray(scored) ? `${scored.length} values` : `a ${typeof scored}`}`);
  }
  for (const [i, one] of scored.entries()) {
    const value: unknown = one?.value;
    if (value !== null && (typeof value !== "number" || !Number.isFinite(value))) {
      throw refuse(`gave ${typeof value === "number" ? value : `a ${typeof value}`} for response ${i + 1}`);
    }
  }
  return scored;
}

/**
 * Qwen2.5-Math's reward of a score m and a verdict v of 0 or 1: sigmoid(m / 2) + v - 1 (arXiv 2409.12122). The right ones lie in (0, 1), the wrong
 * ones in (-1, 0): a score ranks among the right and among the wrong, and never lifts one over the other.
 */
export function shapedReward(score: number, verdict: number): number {
  return 1 / (1 + Math.exp(-0.5 * score)) + (verdict - 1);
}

/** Of a verdict, for learning: a pass is worth 1, what the response did wrong itself 0; what the grader could not do teaches nothing. */
export function verdictReward(verdict: Verdict): Scored {
  const value = verdict.outcome === "pass" ? 1 : verdict.outcome === "infrastructure-error" ? null : 0;
  return { value, verdict };
}
