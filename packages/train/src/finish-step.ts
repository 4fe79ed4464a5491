// The end of an optimizer step, once its micro-batches have gone backwards: the norm, clipping, the update; or nothing of it, where loss or
// norm are no numbers.
import { stringifyJson, UserError } from "@posttrain/data";
import type { Model } from "@posttrain/model";
import { writeDurably } from "@posttrain/run";
import { gradientNorm, type Optimizer, optimizerStep, shareParameters } from "./optimizer.js";

export interface StepOptions {
  readonly learningRate: number;
  readonly maxGradNorm: number;
  readonly activationCheckpointing: boolean;
}

/** The loss or the gradient norm is no number. The weights are as they were before the step. */
export class Diverged extends UserError {
  constructor(step: number, loss: number, norm: number, rows: readonly { readonly line: number }[]) {
    const named = rows.slice(0, 8).map(({ line }) => `line ${line}`);
    super(
      "diverged",
      `The loss is ${loss} and the gradient norm ${norm} at step ${step}; the weights were left as they were before it. Rows of this step: ` +
        `${named.join(", ")}${rows.length > named.length ? ", ..." : ""}. Lower learning_rate, or look at these rows.`,
    );
  }
}

/** Returns the global L2 norm of the gradient before clipping. Throws Diverged rather than touch the weights with what is not a number. */
export async function finishStep(
  model: Model,
  optimizer: Optimizer,
  loss: number,
  rows: readonly { readonly line: number }[],
  { learningRate, maxGradNorm }: Pick<StepOptions, "learningRate" | "maxGradNorm">,
): Promise<number> {
  const norm = await gradientNorm(model, optimizer);
  if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
    throw new Diverged(optimizer.step + 1, loss, norm, rows);
  }
  optimizerStep(model, optimizer, { learningRate, maxGradNorm, norm });
  await shareParameters(model, optimizer);
  return norm;
}

/** Writes the rows of a step that diverged to `file`, one object a line, for a look at them, and says where they and the weights are. */
export async function quarantine(
  error: Diverged,
  file: string,
  rows: readonly object[],
  checkpoint: string,
  look: string,
): Promise<Diverged> {
  await writeDurably(file, rows.map((row) => `${stringifyJson(row)}\n`).join(""));
  error.message += ` They are in ${file}, the weights before the step in ${checkpoint}. To look at them: ${look}`;
  return error;
}
