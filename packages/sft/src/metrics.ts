// The lines of metrics.jsonl, under TRL's names. With logging_steps above 1 a line covers the steps since the line before: its loss is the mean
// of their losses, as transformers and TRL log it; its entropy and accuracy are over all their trained tokens, where TRL takes the mean over
// micro-batches; everything else is that of its step. What has been summed up so far is part of a checkpoint: a resumed run logs the same lines.
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
  /** Mean entropy (nats) at these tokens, and the share of them that are the most likely one, however they are cut into micro-batches. */
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

/** Sums since the last line: losses over steps, entropy and accuracy over their trained tokens. */
export const unloggedSums = z
  .strictObject({
    steps: z.int().positive(),
    loss: z.number(),
    trained_tokens: z.int().nonnegative().default(0),
    entropy: z.number(),
    mean_token_accuracy: z.number(),
  })
  // Checkpoints had sums of means over micro-batches, without the number of tokens: they count for the loss alone.
  .transform((sums) => (sums.trained_tokens > 0 ? sums : { ...sums, entropy: 0, mean_token_accuracy: 0 }));
export type UnloggedSums = z.infer<typeof unloggedSums>;

const nothing = { steps: 0, loss: 0, trained_tokens: 0, entropy: 0, mean_token_accuracy: 0 };

export function addStep(sums: UnloggedSums | undefined, metrics: SftMetrics, trained: number): UnloggedSums {
  const before = sums ?? nothing;
  return {
    steps: before.steps + 1,
    loss: before.loss + metrics.loss,
    trained_tokens: before.trained_tokens + trained,
    entropy: before.entropy + metrics.entropy * trained,
    mean_token_accuracy: before.mean_token_accuracy + metrics.mean_token_accuracy * trained,
  };
}

/** The line of a step, whose own values are in `sums` already. */
export function loggedLine(metrics: SftMetrics, sums: UnloggedSums): SftMetrics {
  if (sums.steps === 1) return metrics;
  return {
    ...metrics,
    loss: sums.loss / sums.steps,
    entropy: sums.entropy / sums.trained_tokens,
    mean_token_accuracy: sums.mean_token_accuracy / sums.trained_tokens,
  };
}
