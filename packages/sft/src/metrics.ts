// The lines of metrics.jsonl, under TRL's names.
import type { Averaged, EvaluationLine, StepLine } from "@posttrain/train";

/** A training line. Its loss: minus the mean log-probability of a step's trained tokens. */
export interface SftMetrics extends StepLine {
  /** Mean entropy (nats) at these tokens, and the share of them that are the most likely one, however they are cut into micro-batches. */
  readonly entropy: number;
  readonly mean_token_accuracy: number;
}

/** What a line averages: TRL takes entropy and accuracy over micro-batches, which weighs a short one as much as a long one. */
export const averagedMetrics: Averaged = {
  loss: "steps",
  entropy: "trained_tokens",
  mean_token_accuracy: "trained_tokens",
};

/** An evaluation's line: means over all trained tokens of the held-out rows. */
export interface SftEvalMetrics extends EvaluationLine {
  readonly eval_entropy: number;
  readonly eval_mean_token_accuracy: number;
}
