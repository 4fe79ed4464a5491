// The lines of metrics.jsonl, under TRL's names.
import type { Averaged, EvaluationLine, StepLine } from "@posttrain/train";
import type { RewardNumbers, RewardStepResult } from "./step.js";

/** A training line. Its loss: the mean over a step's rows. */
export interface RewardMetrics extends StepLine {
  /** The share of pairs whose better response scores higher (a tie is none), and the mean of its lead. */
  readonly accuracy: number;
  readonly margin: number;
  /** Over all responses of a step, however they are cut into micro-batches. */
  readonly min_reward: number;
  readonly mean_reward: number;
  readonly max_reward: number;
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

/** An evaluation's line: `eval_accuracy/NAME` of each head that has labels there. */
export interface RewardEvalMetrics extends EvaluationLine {
  readonly eval_accuracy: number;
  readonly eval_margin: number;
  readonly eval_min_reward: number;
  readonly eval_mean_reward: number;
  readonly eval_max_reward: number;
  readonly [head: `eval_accuracy/${string}`]: number;
}

export function stepMetrics(numbers: RewardStepResult) {
  return {
    loss: numbers.loss,
    accuracy: numbers.accuracy,
    margin: numbers.margin,
    min_reward: numbers.minReward,
    mean_reward: numbers.meanReward,
    max_reward: numbers.maxReward,
  };
}

export function evalMetrics(
  numbers: RewardNumbers,
): Omit<RewardEvalMetrics, Exclude<keyof EvaluationLine, "eval_loss">> {
  const heads = Object.entries(numbers.headAccuracy).filter(([, accuracy]) => !Number.isNaN(accuracy));
  return {
    eval_loss: numbers.loss,
    eval_accuracy: numbers.accuracy,
    eval_margin: numbers.margin,
    eval_min_reward: numbers.minReward,
    eval_mean_reward: numbers.meanReward,
    eval_max_reward: numbers.maxReward,
    ...Object.fromEntries(heads.map(([name, accuracy]) => [`eval_accuracy/${name}`, accuracy])),
  };
}
