// Supervised fine-tuning, read top to bottom: load, then for each step: forward, loss, backward for every micro-batch; clip; AdamW; log; and a
// Hugging Face folder at the end. Rows of a micro-batch are packed one after the other, without padding and without attention across.
//
// Run: posttrain sft --model_name_or_path DIR --data rows.jsonl --output_dir RUN
import { appendFile, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  loadChatTemplate,
  loadSftRows,
  loadTokenizer,
  type SftCounts,
  type TokenizedRow,
  UserError,
} from "@posttrain/data";
import { backward, type Device, Tape } from "@posttrain/kernels";
import { forward, loadModel, type Model, predict, saveModel } from "@posttrain/model";
import {
  createOptimizer,
  gradientNorm,
  learningRateAt,
  type Optimizer,
  optimizerStep,
} from "@posttrain/train";
import { type MicroBatch, planSteps, stepBatches } from "./batches.js";
import type { SftConfig } from "./config.js";
import { sftLoss } from "./loss.js";

/** One line of metrics.jsonl; TRL's names and meanings. */
export interface SftMetrics {
  readonly step: number;
  readonly epoch: number;
  /** Minus the mean log-probability of the step's trained tokens, before the update. */
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

export interface SftReport {
  readonly onStart?: (run: {
    readonly model: Model;
    readonly counts: SftCounts;
    readonly totalSteps: number;
  }) => void;
  readonly onStep?: (metrics: SftMetrics, totalSteps: number) => void;
}

export interface SftResult {
  readonly checkpoint: string;
  readonly steps: number;
  readonly counts: SftCounts;
  readonly last: SftMetrics;
}

/** Runs the stage. UserError for what is wrong with model, data or output folder; nothing is written before all of it is read. */
export async function runSft(config: SftConfig, device: Device, report: SftReport = {}): Promise<SftResult> {
  await refuseUsedFolder(config.output_dir);
  const dir = config.model_name_or_path;
  const model = await loadModel(device, dir);
  try {
    const { rows, counts } = await loadSftRows(config.data, {
      tokenizer: () => loadTokenizer(dir),
      template: () => loadChatTemplate(dir),
      lossOn: config.loss_on,
      maxLength: config.max_length,
      onOverlong: "truncate",
      vocabSize: model.config.vocabSize,
    });
    if (rows.length === 0) {
      throw new UserError(
        "no_rows",
        `${config.data}: none of its ${counts.read} rows has anything to train after cutting to max_length ${config.max_length}; raise max_length.`,
      );
    }
    await mkdir(config.output_dir, { recursive: true });
    await writeFile(join(config.output_dir, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
    const last = await train(config, model, rows, counts, report);
    const checkpoint = join(config.output_dir, `checkpoint-${last.step}`);
    await saveModel(model, checkpoint, { copyFrom: dir });
    return { checkpoint, steps: last.step, counts, last };
  } finally {
    model.scope.end();
  }
}

async function train(
  config: SftConfig,
  model: Model,
  rows: readonly TokenizedRow[],
  counts: SftCounts,
  report: SftReport,
): Promise<SftMetrics> {
  const plan = planSteps(rows.length, config.per_device_train_batch_size, config.gradient_accumulation_steps);
  const totalSteps = config.max_steps ?? Math.ceil(config.num_train_epochs * plan.stepsPerEpoch);
  const optimizer = createOptimizer(model, {
    beta1: config.adam_beta1,
    beta2: config.adam_beta2,
    eps: config.adam_epsilon,
    weightDecay: config.weight_decay,
  });
  report.onStart?.({ model, counts, totalSteps });
  let tokens = 0;
  for (let step = 1; ; step++) {
    const started = performance.now();
    const batches = stepBatches(rows, plan, config.seed, step);
    const learningRate = learningRateAt(
      {
        type: config.lr_scheduler_type,
        peak: config.learning_rate,
        floor: config.min_lr,
        warmupSteps: config.warmup_steps,
        totalSteps,
      },
      step,
    );
    const done = await sftStep(model, optimizer, batches, {
      learningRate,
      maxGradNorm: config.max_grad_norm,
      activationCheckpointing: config.gradient_checkpointing,
    });
    tokens += done.tokens;
    const seconds = (performance.now() - started) / 1000;
    const metrics: SftMetrics = {
      step,
      epoch: step / plan.stepsPerEpoch,
      loss: done.loss,
      grad_norm: done.gradNorm,
      learning_rate: learningRate,
      entropy: done.entropy,
      mean_token_accuracy: done.accuracy,
      num_tokens: tokens,
      step_time: seconds,
      tokens_per_second: done.tokens / seconds,
    };
    if (step % config.logging_steps === 0 || step === totalSteps) {
      await appendFile(join(config.output_dir, "metrics.jsonl"), `${JSON.stringify(metrics)}\n`);
    }
    report.onStep?.(metrics, totalSteps);
    if (step === totalSteps) return metrics;
  }
}

export interface SftStepOptions {
  readonly learningRate: number;
  readonly maxGradNorm: number;
  readonly activationCheckpointing: boolean;
}

export interface SftStepResult {
  readonly loss: number;
  readonly gradNorm: number;
  readonly entropy: number;
  readonly accuracy: number;
  readonly tokens: number;
}

/** One optimizer step over micro-batches. Refuses to touch the weights with a loss or gradient that is not a number. */
export async function sftStep(
  model: Model,
  optimizer: Optimizer,
  batches: readonly MicroBatch[],
  options: SftStepOptions,
): Promise<SftStepResult> {
  const trained = batches.reduce((n, { predictions }) => n + predictions.targets.length, 0);
  let loss = 0;
  let entropy = 0;
  let accuracy = 0;
  let tokens = 0;
  for (const { batch, predictions } of batches) {
    const tape = new Tape();
    await model.device.run(async (scope) => {
      const hidden = forward(scope, model, batch, options);
      const predicted = predict(scope, model, hidden, predictions);
      const [logProbs, entropies, argmax] = await Promise.all([
        predicted.logProb.read(),
        predicted.entropy.read(),
        predicted.argmax.read(),
      ]);
      const part = sftLoss(logProbs as Float32Array, trained);
      backward(scope, tape, [{ tensor: predicted.logProb, gradient: scope.from(part.gradient) }]);
      loss += part.loss;
      entropy += mean(entropies, (x) => x);
      accuracy += mean(argmax, (id, i) => (id === predictions.targets[i] ? 1 : 0));
      tokens += batch.ids.length;
    }, tape);
  }
  const norm = await gradientNorm(model);
  if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
    const ids = batches.flatMap(({ rows }) => rows.map((row) => `line ${row.line}`));
    throw new UserError(
      "diverged",
      `The loss is ${loss} and the gradient norm ${norm} at step ${optimizer.step + 1}; the weights were left as they were. Rows of this step: ${ids.slice(0, 8).join(", ")}${ids.length > 8 ? ", ..." : ""}. Lower learning_rate, or look at these rows.`,
    );
  }
  optimizerStep(model, optimizer, { ...options, norm });
  return {
    loss,
    gradNorm: norm,
    entropy: entropy / batches.length,
    accuracy: accuracy / batches.length,
    tokens,
  };
}

function mean(values: ArrayLike<number>, of: (value: number, index: number) => number): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += of(values[i] as number, i);
  return values.length === 0 ? 0 : sum / values.length;
}

async function refuseUsedFolder(dir: string): Promise<void> {
  const entries = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw new UserError("bad_output_dir", `output_dir ${dir} cannot be used: ${error.message}`);
  });
  if (entries.length > 0) {
    throw new UserError(
      "output_dir_used",
      `output_dir ${dir} is not empty (${entries.length} found). Give a new folder, so that no run is overwritten.`,
    );
  }
}
