// When a run had better stop and be looked at. Each alarm says what is wrong, and what to try.
import type { GrpoConfig } from "./config.js";

export interface Alarm {
  readonly name: "entropy" | "kl" | "ratio" | "ungraded" | "truncated" | "goodhart";
  readonly text: string;
}

/** Of the step at hand, means over its tokens or responses. */
export interface Watched {
  readonly entropy: number;
  readonly kl: number | undefined;
  readonly ratio: number;
  readonly ungraded: number;
  readonly truncated: number;
}

/** What is compared with. */
export interface Remembered {
  /** Of the first episode. */
  readonly entropy: number | undefined;
  /** Held-out accuracy, and the mean reward of the steps before it, evaluation by evaluation. */
  readonly evaluations: readonly { readonly accuracy: number; readonly reward: number }[];
}

type Limits = Pick<
  GrpoConfig,
  "least_entropy" | "most_kl" | "most_ratio" | "most_ungraded" | "most_truncated"
>;

const percent = (part: number): string => `${(100 * part).toFixed(0)} %`;

export function alarmsOf(now: Watched, before: Remembered, limits: Limits): readonly Alarm[] {
  const alarms: Alarm[] = [];
  if (before.entropy !== undefined && now.entropy < limits.least_entropy * before.entropy) {
    alarms.push({
      name: "entropy",
      text: `Entropy fell to ${now.entropy.toPrecision(3)} nats a token, under ${percent(limits.least_entropy)} of the first episode's ${before.entropy.toPrecision(3)}: the policy has stopped to explore. Try a lower learning_rate, a larger epsilon_high, or beta above 0.`,
    });
  }
  if (now.kl !== undefined && now.kl > limits.most_kl) {
    alarms.push({
      name: "kl",
      text: `The policy is ${now.kl.toPrecision(3)} nats a token from the reference, above most_kl ${limits.most_kl}. Try a lower learning_rate or a larger beta.`,
    });
  }
  if (now.ratio > limits.most_ratio || now.ratio < 1 / limits.most_ratio) {
    alarms.push({
      name: "ratio",
      text: `The mean importance ratio is ${now.ratio.toPrecision(3)}, beyond most_ratio ${limits.most_ratio}: the responses are no longer the policy's. Try fewer num_iterations, a smaller episode_size or a lower learning_rate.`,
    });
  }
  if (now.ungraded > limits.most_ungraded) {
    alarms.push({
      name: "ungraded",
      text: `${percent(now.ungraded)} of the responses could not be graded, above most_ungraded ${percent(limits.most_ungraded)}. Look at the verdicts of this step: a verifier, its sandbox or its server is broken.`,
    });
  }
  if (now.truncated > limits.most_truncated) {
    alarms.push({
      name: "truncated",
      text: `${percent(now.truncated)} of the responses were cut at max_completion_length, above most_truncated ${percent(limits.most_truncated)}. Raise max_completion_length, add overlong to reward_funcs, or look whether the model's stop ids are right.`,
    });
  }
  return alarms;
}

/** Evaluations in a row over which reward rises while held-out accuracy falls. */
const drifts = 3;

/** What pays and what is right have come apart: the reward is being gamed. */
export function driftAlarm({ evaluations }: Remembered): Alarm | undefined {
  const last = evaluations.slice(-drifts - 1);
  if (last.length <= drifts) return undefined;
  const rises = last.every(({ reward }, i) => i === 0 || reward > (last[i - 1]?.reward ?? 0));
  const falls = last.every(({ accuracy }, i) => i === 0 || accuracy < (last[i - 1]?.accuracy ?? 0));
  if (!rises || !falls) return undefined;
  const [from, to] = [last[0], last.at(-1)];
  return {
    name: "goodhart",
    text: `Over the last ${drifts} evaluations the reward rose from ${from?.reward.toPrecision(3)} to ${to?.reward.toPrecision(3)} while held-out accuracy fell from ${from?.accuracy.toFixed(3)} to ${to?.accuracy.toFixed(3)}: what is rewarded is no longer what is wanted. Look at the best-rewarded responses of this step.`,
  };
}
