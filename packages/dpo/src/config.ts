// What `posttrain dpo` can be told: what every trainer can be, how rows of preferences are read, and the loss.
import { preferenceFormats } from "@posttrain/data";
import { checkTraining, rowOptions, trainingOptions, withRole } from "@posttrain/train";
import { z } from "zod";
import { type DpoLossOptions, lossTypes } from "./loss.js";

const { model_name_or_path, output_dir, learning_rate: _, ...training } = trainingOptions;
const { data, ...rows } = rowOptions;

/** Those that label_smoothing acts on. */
const smoothed = ["sigmoid", "sigmoid_norm", "robust"];

export const dpoConfig = z
  .strictObject({
    model_name_or_path,
    data: data.describe(
      "pairs, JSONL, JSON, CSV or Parquet: prompt with chosen and rejected, chosen and rejected alone, prompt_ids with chosen_ids and rejected_ids, ...",
    ),
    data_format: z
      .enum(preferenceFormats)
      .optional()
      .describe("how rows are written, if their columns leave it open"),
    output_dir,
    learning_rate: z.number().nonnegative().default(1e-6).describe("largest learning rate"),
    ...training,
    ...rows,
    beta: z
      .number()
      .positive()
      .default(0.1)
      .describe("how strongly it is held to the reference; ipo and ipo_sum aim at a margin of 1 / (2 beta)"),
    loss_type: z
      .array(z.enum(lossTypes))
      .min(1)
      .default(["sigmoid"])
      .describe("the loss, or several that are added up, such as sigmoid,sft"),
    loss_weights: z
      .array(z.number().positive())
      .optional()
      .describe("of several losses: their weights, else 1 each"),
    // TRL takes it without a word where it changes nothing.
    label_smoothing: z
      .number()
      .min(0)
      .lt(0.5)
      .default(0)
      .describe("share of pairs that may be the wrong way round: of sigmoid (cDPO), sigmoid_norm and robust"),
    ref_model_name_or_path: withRole(
      "free",
      z.string().optional().describe("folder of the reference model, if it is not the one to start from"),
    ),
    // TRL computes them again in every step unless told otherwise. The bits are the same.
    precompute_ref_log_probs: withRole(
      "free",
      z
        .boolean()
        .default(true)
        .describe(
          "compute the reference's log-probabilities once and keep them in the run folder; else in every step",
        ),
    ),
  })
  .superRefine((config, context) => {
    checkTraining(config, context);
    const refuse = (key: string, message: string): void =>
      context.addIssue({ code: "custom", path: [key], message, input: config[key as keyof typeof config] });
    const { loss_type: types, loss_weights: weights, label_smoothing: smoothing } = config;
    if (new Set(types).size < types.length) refuse("loss_type", "expected each loss once");
    if (types.every((type) => type === "sft"))
      refuse("loss_type", "sft alone prefers nothing: use posttrain sft");
    if (weights !== undefined && weights.length !== types.length) {
      refuse("loss_weights", `expected ${types.length}, one for each of loss_type`);
    }
    if (smoothing > 0 && !types.some((type) => smoothed.includes(type))) {
      refuse("label_smoothing", `it acts on ${smoothed.join(", ")} alone, which loss_type does not name`);
    }
  });

export type DpoConfig = z.infer<typeof dpoConfig>;

export function lossOptionsOf(
  config: Pick<DpoConfig, "loss_type" | "loss_weights" | "beta" | "label_smoothing">,
): DpoLossOptions {
  const { loss_type: types, loss_weights: weights, beta, label_smoothing: labelSmoothing } = config;
  return {
    terms: types.map((type, i) => ({ type, weight: weights?.[i] ?? 1 })),
    beta,
    labelSmoothing,
  };
}
