// The lines of metrics.jsonl, under TRL's names.
import type { Averaged } from "@posttrain/train";
import type { DpoNumbers, DpoStepResult } from "./step.js";

/** Of a step's pairs, before its update; of an evaluation with the prefix eval_. */
export interface PairMetrics {
  readonly loss: number;
  readonly "rewards/chosen": number;
  readonly "rewards/rejected": number;
  readonly "rewards/accuracies": number;
  readonly "rewards/margins": number;
  readonly "logps/chosen": number;
  readonly "logps/rejected": number;
  readonly "logits/chosen": number;
  readonly "logits/rejected": number;
  readonly entropy: number;
  readonly mean_token_accuracy: number;
}

/** A training line. */
export interface DpoMetrics extends PairMetrics {
  readonly step: number;
  readonly epoch: number;
  /** Global L2 norm of the gradient before clipping. */
  readonly grad_norm: number;
  readonly learning_rate: number;
  /** Tokens that went through the policy so far: a prompt counts with each of its two answers. */
  readonly num_tokens: number;
  readonly step_time: number;
  readonly tokens_per_second: number;
}

/** What a line averages over the steps since the line before. */
export const averagedMetrics: Averaged = {
  loss: "steps",
  "rewards/chosen": "steps",
  "rewards/rejected": "steps",
  "rewards/accuracies": "steps",
  "rewards/margins": "steps",
  "logps/chosen": "steps",
  "logps/rejected": "steps",
  "logits/chosen": "steps",
  "logits/rejected": "steps",
  entropy: "trained_tokens",
  mean_token_accuracy: "steps",
};

/** An evaluation's line: after `step` steps, over all held-out pairs. */
export type DpoEvalMetrics = {
  readonly [Name in keyof PairMetrics as `eval_${Name}`]: number;
} & { readonly step: number; readonly epoch: number; readonly eval_runtime: number };

export function pairMetrics(numbers: DpoNumbers | DpoStepResult): PairMetrics {
  const { loss, rewards, logps, logits, entropy, accuracy } = numbers;
  return {
    loss,
    "rewards/chosen": rewards.chosen,
    "rewards/rejected": rewards.rejected,
    "rewards/accuracies": rewards.accuracies,
    "rewards/margins": rewards.margins,
    "logps/chosen": logps.chosen,
    "logps/rejected": logps.rejected,
    "logits/chosen": logits.chosen,
    "logits/rejected": logits.rejected,
    entropy,
    mean_token_accuracy: accuracy,
  };
}
