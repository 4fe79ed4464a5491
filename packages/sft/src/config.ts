// What `posttrain sft` can be told: names and defaults as TRL's SFTConfig has them, unless a comment says why not.
import { scheduleTypes } from "@posttrain/train";
import { z } from "zod";

export const sftConfig = z
  .strictObject({
    model_name_or_path: z.string().describe("Hugging Face folder of the model to start from"),
    data: z.string().describe("training rows, JSONL: messages, or input_ids with labels or completion_mask"),
    output_dir: z.string().describe("new folder for metrics and checkpoints"),
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
    per_device_train_batch_size: z.int().positive().default(8).describe("rows in a micro-batch"),
    gradient_accumulation_steps: z.int().positive().default(1).describe("micro-batches in an optimizer step"),
    max_length: z
      .int()
      .min(2)
      .default(1024)
      .describe("most tokens of a row; longer rows are cut at the end and counted"),
    gradient_checkpointing: z
      .boolean()
      .default(true)
      .describe("compute activations again instead of keeping them"),
    loss_on: z
      .enum(["assistant", "completion", "everything"])
      .default("assistant")
      .describe("which tokens are trained"),
    logging_steps: z.int().positive().default(1).describe("write metrics every so many steps"),
    seed: z
      .int()
      .min(0)
      .max(2 ** 32 - 1)
      .default(42)
      .describe("seed of the order of rows"),
  })
  .refine((config) => config.lr_scheduler_type !== "constant" || config.warmup_steps === 0, {
    path: ["warmup_steps"],
    error: "lr_scheduler_type constant has no warm-up: use constant_with_warmup",
  })
  .refine((config) => config.min_lr <= config.learning_rate, {
    path: ["min_lr"],
    error: "expected at most learning_rate",
  });

export type SftConfig = z.infer<typeof sftConfig>;
