// The lines of metrics.jsonl, under TRL's names. With logging_steps above 1 a line has the means of loss, entropy and accuracy over the steps
// since the line before, as transformers and TRL log them; everything else is that of its step. What has been summed up so far is part of
// a checkpoint: a resumed run logs the same lines.
import { z } from "zod";

/** A training line. */
export interface SftMetrics {
  readonly step: number;
  readonly epoch: number;
  /** Minus the mean log-probability of a step's trained tokens, before its update. */
  readonly loss: number;
  /** Global L2 norm of the gradient before clipping. */
  readonly grad_norm: number;
  readonly learning_rate: number;
  /** Mean entropy (nats) at trained tokens, and share of them that are the most likely one: means over micro-batches. */
  readonly entropy: number;
  readonly mean_token_accuracy: number;
  /** Tokens that went through the model so far. */
  readonly num_tokens: number;
  readonly step_time: number;
  readonly tokens_per_second: number;
}

/** An evaluation's line: after `step` steps, means over all trained tokens of the held-out rows. */
export interface SftEvalMetrics {
  readonly step: number;
  readonly epoch: number;
  readonly eval_loss: number;
  readonly eval_entropy: number;
  readonly eval_mean_token_accuracy: number;
  readonly eval_runtime: number;
}

/** Sums over the steps since the last line. */
export const unloggedSums = z.strictObject({
  steps: z.int().positive(),
  loss: z.number(),
  entropy: z.number(),
  mean_token_accuracy: z.number(),
});
export type UnloggedSums = z.infer<typeof unloggedSums>;

export function addStep(sums: UnloggedSums | undefined, metrics: SftMetrics): UnloggedSums {
  const { steps, loss, entropy, mean_token_accuracy } = sums ?? {
    steps: 0,
    loss: 0,
    entropy: 0,
    mean_token_accuracy: 0,
  };
  return {
    steps: steps + 1,
    loss: loss + metrics.loss,
    entropy: entropy + metrics.entropy,
    mean_token_accuracy: mean_token_accuracy + metrics.mean_token_accuracy,
  };
}

/** The line of a step, whose own values are in `sums` already. */
export function loggedLine(metrics: SftMetrics, { steps, ...sums }: UnloggedSums): SftMetrics {
  return {
    ...metrics,
    loss: sums.loss / steps,
    entropy: sums.entropy / steps,
    mean_token_accuracy: sums.mean_token_accuracy / steps,
  };
}
