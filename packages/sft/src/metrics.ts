// The lines of metrics.jsonl, under TRL's names.
import type { Averaged } from "@posttrain/train";

/** A training line. */
export interface SftMetrics {
  readonly step: number;
  readonly epoch: number;
  /** Minus the mean log-probability of a step's trained tokens, before its update. */
  readonly loss: number;
  /** Global L2 norm of the gradient before clipping. */
  readonly grad_norm: number;
  readonly learning_rate: number;
  /** Mean entropy (nats) at these tokens, and the share of them that are the most likely one, however they are cut into micro-batches. */
  readonly entropy: number;
  readonly mean_token_accuracy: number;
  /** Tokens that went through the model so far. */
  readonly num_tokens: number;
  readonly step_time: number;
  readonly tokens_per_second: number;
}

/** What a line averages: TRL takes entropy and accuracy over micro-batches, which weighs a short one as much as a long one. */
export const averagedMetrics: Averaged = {
  loss: "steps",
  entropy: "trained_tokens",
  mean_token_accuracy: "trained_tokens",
};

/** An evaluation's line: after `step` steps, means over all trained tokens of the held-out rows. */
export interface SftEvalMetrics {
  readonly step: number;
  readonly epoch: number;
  readonly eval_loss: number;
  readonly eval_entropy: number;
  readonly eval_mean_token_accuracy: number;
  readonly eval_runtime: number;
}
