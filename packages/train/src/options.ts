// What every trainer can be told: names and defaults as TRL and transformers have them, unless a comment says why not. What a key does to
// the identity of a run stands beside it, in its meta.
import { specialTokenChoices } from "@posttrain/data";
import type { ComputeDtype } from "@posttrain/model";
import { z } from "zod";
import { adamwRule } from "./adamw.js";
import { onlineMergingRule } from "./online-merging.js";
import type { UpdateRule } from "./optimizer.js";
import { learningRateAt, scheduleTypes } from "./schedule.js";

/**
 * `identity` in a key's meta. Without it the value is part of the run's identity: it changes the bits.
 * - free: it changes no bit (a folder whose content has a digest of its own, saving, logging, computing again).
 * - stopping: it decides when a run with early stopping ends; without that it changes nothing.
 * - length: how long the run is. Where the learning rate decays, the number of steps stands for it.
 * - unless_default: named only where it is not its default, so that checkpoints from before there was the key go on.
 */
export type IdentityRole = "free" | "stopping" | "length" | "unless_default";

/** Says what a key does to the identity. */
export function withRole<T extends z.ZodType>(role: IdentityRole, schema: T): T {
  return schema.meta({ ...schema.meta(), identity: role });
}

/** Keys of all trainers. A stage puts its own learning_rate in place of this one's. */
export const trainingOptions = {
  model_name_or_path: withRole("free", z.string().describe("Hugging Face folder of the model to start from")),
  output_dir: withRole("free", z.string().describe("folder of the run: metrics, logs and checkpoints")),
  learning_rate: z.number().nonnegative().default(2e-5).describe("largest learning rate"),
  min_lr: z.number().nonnegative().default(0).describe("what linear and cosine decay to"),
  lr_scheduler_type: z.enum(scheduleTypes).default("linear").describe("shape of the learning rate"),
  warmup_steps: z.int().nonnegative().default(0).describe("steps of linear warm-up from 0"),
  weight_decay: z
    .number()
    .nonnegative()
    .default(0)
    .describe("on matrices and embeddings, not on biases and norms"),
  adam_beta1: z.number().min(0).lt(1).default(0.9).describe("decay of the first moment"),
  adam_beta2: z.number().min(0).lt(1).default(0.999).describe("decay of the second moment"),
  adam_epsilon: z.number().positive().default(1e-8).describe("added to the root of the second moment"),
  // TRL's key; online_* are the Online Merging Optimizer (arXiv 2405.17931), whose names for merging are the paper's.
  optim: withRole(
    "unless_default",
    z
      .enum(["adamw", "online_dare", "online_ties"])
      .default("adamw")
      .describe("AdamW, or AdamW merged online with what the model learnt since base_model_name_or_path"),
  ),
  // Free, as its digest stands in the identity.
  base_model_name_or_path: withRole(
    "free",
    z
      .string()
      .optional()
      .describe("online merging: folder of the model that model_name_or_path was fine-tuned from"),
  ),
  merge_alpha: withRole(
    "unless_default",
    z.number().min(0).max(1).default(1e-7).describe("online merging: weight of the delta from the base"),
  ),
  merge_reserve: withRole(
    "unless_default",
    z
      .number()
      .positive()
      .max(1)
      .default(0.01)
      .describe("online merging: share of an update, and of the delta, that is kept"),
  ),
  merge_scaling: withRole(
    "unless_default",
    z
      .enum(["repo", "paper"])
      .default("repo")
      .describe("online merging: as its published code scales, masks and decays, or as its paper writes"),
  ),
  merge_rescale: withRole(
    "unless_default",
    z
      .boolean()
      .default(false)
      .describe("online merging: scale what is kept of an update back to its former L1 norm"),
  ),
  merge_every: withRole(
    "unless_default",
    z.int().positive().default(1).describe("online merging: merge every so many steps"),
  ),
  max_grad_norm: z
    .number()
    .nonnegative()
    .default(1)
    .describe("clip the global gradient norm to this; 0: never"),
  num_train_epochs: withRole(
    "length",
    z.number().positive().default(3).describe("passes over the rows; max_steps wins"),
  ),
  max_steps: withRole("length", z.int().positive().optional().describe("optimizer steps in all")),
  per_device_train_batch_size: z
    .int()
    .positive()
    .default(8)
    .describe("rows in a micro-batch; with packing: packs of max_length tokens"),
  gradient_accumulation_steps: z.int().positive().default(1).describe("micro-batches in an optimizer step"),
  gradient_shards: withRole(
    "unless_default",
    z
      .int()
      .positive()
      .max(1024)
      .default(1)
      .describe(
        "parts of a step whose gradients are summed apart: at most so many ranks can share the step, with the same bits",
      ),
  ),
  eval_steps: withRole(
    "stopping",
    z
      .int()
      .positive()
      .optional()
      .describe("evaluate every so many steps, else at the beginning and the end only"),
  ),
  early_stopping_patience: z
    .int()
    .positive()
    .optional()
    .describe("stop after so many evaluations in a row without a better loss"),
  early_stopping_threshold: withRole(
    "stopping",
    z.number().nonnegative().default(0).describe("how much lower a loss must be to count as better"),
  ),
  bf16: withRole(
    "unless_default",
    z
      .boolean()
      .default(false)
      .describe("compute in bf16 with fp32 sums, masters and moments; checkpoints in bf16"),
  ),
  gradient_checkpointing: withRole(
    "free",
    z.boolean().default(true).describe("compute activations again instead of keeping them; the same bits"),
  ),
  logging_steps: withRole(
    "free",
    z.int().positive().default(1).describe("write metrics every so many steps, as means over them"),
  ),
  save_steps: withRole(
    "free",
    z.int().positive().default(500).describe("write a checkpoint every so many steps"),
  ),
  save_total_limit: withRole(
    "free",
    z.int().positive().optional().describe("keep only so many newest checkpoints"),
  ),
  resume_from_checkpoint: withRole(
    "free",
    z
      .union([z.boolean(), z.string()])
      .default(false)
      .describe("go on from a checkpoint; without a value: the newest sound one of output_dir"),
  ),
  accept_change: withRole(
    "free",
    z
      .array(z.string())
      .default([])
      .describe("go on although this differs from the checkpoint's run; it is recorded"),
  ),
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .default(42)
    .describe("seed of the order of rows"),
};

/** Keys of trainers whose rows come from a file as they are. */
export const rowOptions = {
  data: withRole("free", z.string().describe("training rows, JSONL, JSON, CSV or Parquet")),
  max_length: z.int().min(2).default(1024).describe("most tokens of a row, and of a pack"),
  // TRL cuts without a word; a cut answer trains the model to break off.
  on_overlong: z
    .enum(["error", "drop", "truncate"])
    .default("error")
    .describe("what happens to rows longer than max_length; truncate keeps the start"),
  // Free, as rows that are cut or dropped for it stand in the identity themselves (cut_at_context).
  allow_beyond_context: withRole(
    "free",
    z
      .boolean()
      .default(false)
      .describe("take rows longer than the model's context (max_position_embeddings), up to max_length"),
  ),
  template_date: z
    .string()
    .optional()
    .describe("the date that a chat template writes as today's, such as 2025-07-10"),
  eval_data: withRole(
    "free",
    z.string().optional().describe("rows that are never trained on, to measure the loss on"),
  ),
  val_size: z
    .number()
    .nonnegative()
    .default(0)
    .describe("keep rows of data out of training for that: a share below 1, or a number of rows"),
  // Free, as rows that were changed for it stand in the identity themselves: error and token train the same bits.
  special_tokens_in_content: withRole(
    "free",
    z
      .enum(specialTokenChoices)
      .default("error")
      .describe(
        "what <|im_end|> and its like are in the text of messages: text reads them as ordinary text, token as the tokens that they spell",
      ),
  ),
};

export type TrainingConfig = z.output<z.ZodObject<typeof trainingOptions>>;
export type RowConfig = z.output<z.ZodObject<typeof rowOptions>>;

/** Keys that do not go together: for superRefine of a stage's schema. */
export function checkTraining<C extends TrainingConfig & Partial<RowConfig>>(
  config: C,
  context: z.core.$RefinementCtx<C>,
): void {
  const refuse = (key: keyof TrainingConfig | keyof RowConfig, message: string): void =>
    context.addIssue({ code: "custom", path: [key], message, input: config[key as keyof C] });
  if (config.lr_scheduler_type === "constant" && config.warmup_steps > 0) {
    refuse("warmup_steps", "lr_scheduler_type constant has no warm-up: use constant_with_warmup");
  }
  if (config.gradient_shards > config.gradient_accumulation_steps) {
    refuse(
      "gradient_shards",
      "expected at most gradient_accumulation_steps: a shard is made of whole micro-batches",
    );
  }
  if (config.min_lr > config.learning_rate) refuse("min_lr", "expected at most learning_rate");
  const merging = [
    "base_model_name_or_path",
    "merge_alpha",
    "merge_reserve",
    "merge_scaling",
    "merge_rescale",
    "merge_every",
  ] as const;
  if (config.optim === "adamw") {
    const given = merging.find((key) => config[key] !== trainingOptions[key].parse(undefined));
    if (given !== undefined) refuse(given, "it needs optim online_dare or online_ties");
  } else if (config.base_model_name_or_path === undefined) {
    refuse("base_model_name_or_path", `optim ${config.optim} needs it`);
  }
  const { val_size: share = 0, eval_data: file } = config;
  if (share >= 1 && !Number.isInteger(share)) {
    refuse("val_size", "expected a share below 1 or a whole number of rows");
  }
  const evaluates = file !== undefined || share > 0;
  if (file !== undefined && share > 0) refuse("val_size", "expected 0 when eval_data is given");
  if (config.eval_steps !== undefined && !evaluates) {
    refuse("eval_steps", "there is nothing to evaluate: give eval_data or val_size too");
  }
  if (config.early_stopping_patience !== undefined && config.eval_steps === undefined) {
    refuse("early_stopping_patience", "it needs eval_steps, and eval_data or val_size");
  }
}

export function dtypeOf({ bf16 }: Pick<TrainingConfig, "bf16">): ComputeDtype {
  return bf16 ? "bf16" : "f32";
}

/** What decides how parameters move. */
export type RuleConfig = Pick<
  TrainingConfig,
  | "model_name_or_path"
  | "optim"
  | "adam_beta1"
  | "adam_beta2"
  | "adam_epsilon"
  | "weight_decay"
  | "base_model_name_or_path"
  | "merge_alpha"
  | "merge_reserve"
  | "merge_scaling"
  | "merge_rescale"
  | "merge_every"
  | "seed"
>;

/** The rule that a config asks for, which passed checkTraining. */
export function ruleOf(config: RuleConfig): UpdateRule {
  const adam = {
    beta1: config.adam_beta1,
    beta2: config.adam_beta2,
    eps: config.adam_epsilon,
    weightDecay: config.weight_decay,
  };
  if (config.optim === "adamw") return adamwRule(adam);
  return onlineMergingRule({
    ...adam,
    method: config.optim === "online_dare" ? "dare" : "ties",
    scaling: config.merge_scaling,
    alpha: config.merge_alpha,
    reserve: config.merge_reserve,
    rescale: config.merge_rescale,
    every: config.merge_every,
    seed: config.seed,
    start: config.model_name_or_path,
    base: config.base_model_name_or_path as string,
  });
}

/** The learning rate of step `step` (from 1). */
export function rateOf(config: TrainingConfig, totalSteps: number, step: number): number {
  const { lr_scheduler_type: type, learning_rate: peak, min_lr: floor, warmup_steps: warmupSteps } = config;
  return learningRateAt({ type, peak, floor, warmupSteps, totalSteps }, step);
}
