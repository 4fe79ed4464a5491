// The lines of metrics.jsonl, under TRL's names.
import type { Averaged, EvaluationLine, StepLine } from "@posttrain/train";
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

/** A training line. A prompt's tokens count with each of its two answers. */
export interface DpoMetrics extends PairMetrics, StepLine {}

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

type EvalPairMetrics = { readonly [Name in keyof PairMetrics as `eval_${Name}`]: number };

/** An evaluation's line: over all held-out pairs. */
export type DpoEvalMetrics = EvalPairMetrics & EvaluationLine;

export function evalMetrics(numbers: DpoNumbers): EvalPairMetrics {
  const named = Object.entries(pairMetrics(numbers)).map(([name, value]) => [`eval_${name}`, value]);
  return Object.fromEntries(named) as EvalPairMetrics;
}

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
