// What `posttrain sft` can be told: names and defaults as TRL's SFTConfig has them, unless a comment says why not.
import { rowFormats } from "@posttrain/data";
import type { ComputeDtype } from "@posttrain/model";
import type { Identity } from "@posttrain/run";
import { scheduleTypes } from "@posttrain/train";
import { z } from "zod";

export const sftConfig = z
  .strictObject({
    model_name_or_path: z.string().describe("Hugging Face folder of the model to start from"),
    data: z
      .string()
      .describe(
        "training rows, JSONL or JSONL.gz: messages, prompt and completion, text, input_ids with labels, ...",
      ),
    data_format: z
      .enum(rowFormats)
      .optional()
      .describe("how rows are written, if their columns leave it open"),
    output_dir: z.string().describe("folder of the run: metrics, logs and checkpoints"),
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
    max_grad_norm: z
      .number()
      .nonnegative()
      .default(1)
      .describe("clip the global gradient norm to this; 0: never"),
    num_train_epochs: z.number().positive().default(3).describe("passes over the rows; max_steps wins"),
    max_steps: z.int().positive().optional().describe("optimizer steps in all"),
    per_device_train_batch_size: z
      .int()
      .positive()
      .default(8)
      .describe("rows in a micro-batch; with packing: packs of max_length tokens"),
    gradient_accumulation_steps: z.int().positive().default(1).describe("micro-batches in an optimizer step"),
    max_length: z.int().min(2).default(1024).describe("most tokens of a row, and of a pack"),
    // TRL cuts without a word; a cut answer trains the model to break off.
    on_overlong: z
      .enum(["error", "drop", "truncate"])
      .default("error")
      .describe("what happens to rows longer than max_length; truncate keeps the start"),
    packing: z
      .boolean()
      .default(false)
      .describe("fill packs of max_length tokens with whole rows; none sees another"),
    loss_on: z
      .enum(["assistant", "completion", "everything"])
      .default("assistant")
      .describe("which tokens are trained"),
    template_date: z
      .string()
      .optional()
      .describe("the date that a chat template writes as today's, such as 2025-07-10"),
    eval_data: z.string().optional().describe("rows that are never trained on, to measure the loss on"),
    val_size: z
      .number()
      .nonnegative()
      .default(0)
      .describe("keep rows of data out of training for that: a share below 1, or a number of rows"),
    eval_steps: z
      .int()
      .positive()
      .optional()
      .describe("evaluate every so many steps, else at the beginning and the end only"),
    early_stopping_patience: z
      .int()
      .positive()
      .optional()
      .describe("stop after so many evaluations in a row without a better loss"),
    early_stopping_threshold: z
      .number()
      .nonnegative()
      .default(0)
      .describe("how much lower a loss must be to count as better"),
    bf16: z
      .boolean()
      .default(false)
      .describe("compute in bf16 with fp32 sums, masters and moments; checkpoints in bf16"),
    gradient_checkpointing: z
      .boolean()
      .default(true)
      .describe("compute activations again instead of keeping them; the same bits"),
    logging_steps: z
      .int()
      .positive()
      .default(1)
      .describe("write metrics every so many steps, as means over them"),
    save_steps: z.int().positive().default(500).describe("write a checkpoint every so many steps"),
    save_total_limit: z.int().positive().optional().describe("keep only so many newest checkpoints"),
    resume_from_checkpoint: z
      .union([z.boolean(), z.string()])
      .default(false)
      .describe("go on from a checkpoint; without a value: the newest sound one of output_dir"),
    accept_change: z
      .array(z.string())
      .default([])
      .describe("go on although this differs from the checkpoint's run; it is recorded"),
    seed: z
      .int()
      .min(0)
      .max(2 ** 32 - 1)
      .default(42)
      .describe("seed of the order of rows"),
  })
  .superRefine((config, context) => {
    const refuse = (key: keyof typeof config, message: string): void =>
      context.addIssue({ code: "custom", path: [key], message, input: config[key] });
    if (config.lr_scheduler_type === "constant" && config.warmup_steps > 0) {
      refuse("warmup_steps", "lr_scheduler_type constant has no warm-up: use constant_with_warmup");
    }
    if (config.min_lr > config.learning_rate) refuse("min_lr", "expected at most learning_rate");
    if (config.val_size >= 1 && !Number.isInteger(config.val_size)) {
      refuse("val_size", "expected a share below 1 or a whole number of rows");
    }
    const evaluates = config.eval_data !== undefined || config.val_size > 0;
    if (config.eval_data !== undefined && config.val_size > 0) {
      refuse("val_size", "expected 0 when eval_data is given");
    }
    if (config.eval_steps !== undefined && !evaluates) {
      refuse("eval_steps", "there is nothing to evaluate: give eval_data or val_size too");
    }
    if (config.early_stopping_patience !== undefined && config.eval_steps === undefined) {
      refuse("early_stopping_patience", "it needs eval_steps, and eval_data or val_size");
    }
  });

export type SftConfig = z.infer<typeof sftConfig>;

export function dtypeOf({ bf16 }: Pick<SftConfig, "bf16">): ComputeDtype {
  return bf16 ? "bf16" : "f32";
}

/** Keys that may change when a run is resumed: they do not change its bits, or what they name counts by its digest. */
const freeKeys: readonly (keyof SftConfig)[] = [
  "model_name_or_path",
  "data",
  "output_dir",
  "eval_data",
  "gradient_checkpointing",
  "logging_steps",
  "save_steps",
  "save_total_limit",
  "resume_from_checkpoint",
  "accept_change",
];
/** These decide when a run with early stopping ends; without it they change nothing. */
const stoppingKeys: readonly (keyof SftConfig)[] = ["eval_steps", "early_stopping_threshold"];
/** A learning rate that decays knows the end of the run; a constant one may stop anywhere. */
const lengthKeys: readonly (keyof SftConfig)[] = ["num_train_epochs", "max_steps"];

/** What the bits of a run are a function of. `digests`: of the files it reads. */
export function identityOf(
  config: SftConfig,
  totalSteps: number,
  digests: Readonly<Record<string, string>>,
): Identity {
  const constant = config.lr_scheduler_type.startsWith("constant");
  const stops = config.early_stopping_patience !== undefined;
  const left = [...freeKeys, ...lengthKeys, ...(stops ? [] : stoppingKeys)];
  const { eval_data: evalDigest, ...others } = digests;
  // Not named while it is off: checkpoints from before there was bf16 go on.
  const { bf16, ...named } = config;
  return {
    ...Object.fromEntries(
      Object.entries({ ...named, ...(bf16 && { bf16 }) }).filter(
        ([key, value]) => value !== undefined && !left.includes(key as keyof SftConfig),
      ),
    ),
    ...(constant ? {} : { total_steps: totalSteps }),
    ...others,
    ...(stops && evalDigest !== undefined ? { eval_data: evalDigest } : {}),
  };
}
