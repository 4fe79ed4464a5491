// What `posttrain reward` can be told: what every trainer can be, how rows of preferences are read, and what is learnt from them.
import { preferenceFormats } from "@posttrain/data";
import { checkTraining, rowOptions, trainingOptions, withRole } from "@posttrain/train";
import { z } from "zod";

const {
  model_name_or_path,
  output_dir,
  learning_rate: _,
  num_train_epochs: __,
  ...training
} = trainingOptions;
const { data, ...rows } = rowOptions;

/** The report's: arXiv 2412.15115, section 4.3. Any other names do as well. */
const reportCriteria = [
  "truthfulness",
  "helpfulness",
  "conciseness",
  "relevance",
  "harmlessness",
  "debiasing",
] as const;

export const rewardConfig = z
  .strictObject({
    model_name_or_path: model_name_or_path.describe(
      "Hugging Face folder to start from: a language model, which gets a fresh head, or a reward model",
    ),
    data: data.describe(
      "rows, JSONL, JSON, CSV or Parquet: chosen and rejected (with prompt, or whole), or responses with labels",
    ),
    data_format: z
      .enum([...preferenceFormats, "responses"])
      .optional()
      .describe("how rows are written, if their columns leave it open"),
    output_dir,
    // TRL's 1e-4 is for LoRA; all weights want about a tenth of it (OpenRLHF: 9e-6, DeepSeekMath: 2e-5).
    learning_rate: z.number().nonnegative().default(1e-5).describe("largest learning rate"),
    // A second pass over preferences learns them by heart.
    num_train_epochs: withRole(
      "length",
      z.number().positive().default(1).describe("passes over the rows; max_steps wins"),
    ),
    ...training,
    ...rows,
    center_rewards_coefficient: z
      .number()
      .nonnegative()
      .default(0)
      .describe("keeps scores near 0: adds this times the squared sum of both scores (0.01 is usual)"),
    criteria: z
      .array(z.string().min(1))
      .default([])
      .describe(`a head for each, of which the score is the weighted sum: ${reportCriteria.join(", ")}, ...`),
    criteria_weights: z
      .array(z.number())
      .default([])
      .describe("a weight for each of criteria (default: equal ones that sum to 1)"),
  })
  .superRefine((config, context) => {
    checkTraining(config, context);
    const { criteria, criteria_weights: weights } = config;
    const refuse = (key: keyof typeof config, message: string): void =>
      context.addIssue({ code: "custom", path: [key], message, input: config[key] });
    if (new Set(criteria).size < criteria.length) refuse("criteria", "expected each name once");
    if (weights.length > 0 && weights.length !== criteria.length) {
      refuse("criteria_weights", `expected as many as criteria has (${criteria.length})`);
    }
    if (weights.length > 0 && weights.every((weight) => weight === 0)) {
      refuse("criteria_weights", "expected one that is not 0");
    }
  });

export type RewardConfig = z.infer<typeof rewardConfig>;

/** The heads that a config asks for. */
export function headsOf({
  criteria,
  criteria_weights: weights,
}: Pick<RewardConfig, "criteria" | "criteria_weights">): readonly {
  readonly name: string;
  readonly weight: number;
}[] {
  return criteria.map((name, i) => ({ name, weight: weights[i] ?? 1 / criteria.length }));
}
