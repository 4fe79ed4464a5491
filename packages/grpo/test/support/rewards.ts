// Prompts for the tiny policy, and rewards that need no grader.
import { writeFileSync } from "node:fs";
import type { RewardSource, Sample } from "../../src/rewards.js";

export function writePrompts(path: string, count: number): string {
  const rows = Array.from({ length: count }, (_, i) => `${JSON.stringify({ prompt: `question ${i}` })}\n`);
  writeFileSync(path, rows.join(""));
  return path;
}

/** What a function of the response says, with a verdict: more than a half passes. */
export function rewardBy(of: (sample: Sample) => number | null, name = "verifier"): RewardSource {
  return {
    name,
    weight: 1,
    reward: async (group) =>
      group.map((sample) => {
        const value = of(sample);
        return {
          value,
          verdict: {
            outcome: value === null ? "infrastructure-error" : value > 0.5 ? "pass" : "fail",
            evidence: "",
          },
        };
      }),
  };
}

/** The share of a response's tokens below 128: half of them for a model that knows nothing. */
export const lowTokens = ({ completionIds }: Sample): number =>
  completionIds.filter((id) => id < 128).length / completionIds.length;
