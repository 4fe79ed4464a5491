// What `posttrain sft` can be told: what every trainer can be, and how rows of conversations are read and trained.
import { rowFormats } from "@posttrain/data";
import { checkTraining, rowOptions, trainingOptions } from "@posttrain/train";
import { z } from "zod";

const { model_name_or_path, output_dir, ...training } = trainingOptions;
const { data, ...rows } = rowOptions;

export const sftConfig = z
  .strictObject({
    model_name_or_path,
    data: data.describe(
      "training rows, JSONL, JSON, CSV or Parquet: messages, prompt and completion, text, input_ids with labels, ...",
    ),
    data_format: z
      .enum(rowFormats)
      .optional()
      .describe("how rows are written, if their columns leave it open"),
    output_dir,
    ...training,
    ...rows,
    packing: z
      .boolean()
      .default(false)
      .describe("fill packs of max_length tokens with whole rows; none sees another"),
    loss_on: z
      .enum(["assistant", "completion", "everything"])
      .default("assistant")
      .describe("which tokens are trained"),
  })
  .superRefine(checkTraining);

export type SftConfig = z.infer<typeof sftConfig>;
