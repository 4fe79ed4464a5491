// The lines of metrics.jsonl, under TRL's names.
import type { Averaged } from "@posttrain/train";
import type { RewardNumbers } from "./step.js";

/** A training line. */
export interface RewardMetrics {
  readonly step: number;
  readonly epoch: number;
  /** The mean over a step's rows, before its update. */
  readonly loss: number;
  /** Global L2 norm of the gradient before clipping. */
  readonly grad_norm: number;
  readonly learning_rate: number;
  /** The share of pairs whose better response scores higher (a tie is none), and the mean of its lead. */
  readonly accuracy: number;
  readonly margin: number;
  /** Over all responses of a step, however they are cut into micro-batches. */
  readonly min_reward: number;
  readonly mean_reward: number;
  readonly max_reward: number;
  /** Tokens that went through the model so far. */
  readonly num_tokens: number;
  readonly step_time: number;
  readonly tokens_per_second: number;
}

/** What a line averages, over rows or, as TRL does with extremes, over steps. */
export const averagedMetrics: Averaged = {
  loss: "steps",
  accuracy: "trained_tokens",
  margin: "trained_tokens",
  min_reward: "steps",
  mean_reward: "trained_tokens",
  max_reward: "steps",
};

/** An evaluation's line: after `step` steps, over the held-out rows; `eval_accuracy/NAME` of each head that has labels there. */
export interface RewardEvalMetrics {
  readonly step: number;
  readonly epoch: number;
  readonly eval_loss: number;
  readonly eval_accuracy: number;
  readonly eval_margin: number;
  readonly eval_min_reward: number;
  readonly eval_mean_reward: number;
  readonly eval_max_reward: number;
  readonly eval_runtime: number;
  readonly [head: `eval_accuracy/${string}`]: number;
}

export function evalMetrics(
  { step, epoch, seconds }: { readonly step: number; readonly epoch: number; readonly seconds: number },
  numbers: RewardNumbers,
): RewardEvalMetrics {
  const heads = Object.entries(numbers.headAccuracy).filter(([, accuracy]) => !Number.isNaN(accuracy));
  return {
    step,
    epoch,
    eval_loss: numbers.loss,
    eval_accuracy: numbers.accuracy,
    eval_margin: numbers.margin,
    eval_min_reward: numbers.minReward,
    eval_mean_reward: numbers.meanReward,
    eval_max_reward: numbers.maxReward,
    eval_runtime: seconds,
    ...Object.fromEntries(heads.map(([name, accuracy]) => [`eval_accuracy/${name}`, accuracy])),
  };
}
