// What `posttrain evaluate` can be told; names as lm-evaluation-harness and transformers have them.
import { exactMatchExtractions } from "@posttrain/answers";
import { modelOptions } from "@posttrain/model";
import { samplingOptions } from "@posttrain/rollout";
import { gradingOptions, programOptions } from "@posttrain/verify";
import { z } from "zod";
import { taskNames } from "./tasks.js";

export const evaluateConfig = z
  .strictObject({
    ...modelOptions,
    data: z
      .string()
      .describe("questions, JSONL, JSON, CSV or Parquet: question, prompt or messages, and answer"),
    task: z
      .string()
      .min(1)
      .optional()
      .describe(
        `${taskNames.join(", ")}: asks and grades the rows of these; any other is a name for tables and files (default: of the data file)`,
      ),
    verifier: z
      .string()
      .min(1)
      .optional()
      .describe(
        "how responses are graded: exact_match, auto (what each row says), a verifier's name, or a module",
      ),
    extract: z.enum(exactMatchExtractions).default("auto").describe("what of a response is its answer"),
    num_fewshot: z.int().nonnegative().default(0).describe("solved examples before each question"),
    fewshot_data: z.string().optional().describe("where they come from: the first rows of this file"),
    limit: z.int().positive().optional().describe("only the first so many questions"),
    num_samples: z
      .int()
      .min(1)
      .max(10_000)
      .default(1)
      .describe("responses to each question")
      .meta({ alias: "num_generations" }),
    pass_at: z
      .array(z.int().positive())
      .optional()
      .describe("the k of pass@k (default: 1 and num_samples), where verifiers grade"),
    unsealed: gradingOptions.unsealed,
    ...programOptions,
    template_date: z
      .string()
      .optional()
      .describe("the date that a chat template writes as today's, such as 2025-07-10"),
    temperature: z.number().nonnegative().default(0).describe("0: greedy"),
    max_new_tokens: z.int().positive().default(512).describe("most tokens of a response"),
    stop_ids: samplingOptions.stop_ids,
    stop: samplingOptions.stop,
    seed: samplingOptions.seed.describe("same seed, same responses"),
    output_dir: z
      .string()
      .optional()
      .describe("folder for MODEL/results_<date>.json and MODEL/samples_<task>_<date>.jsonl"),
  })
  .superRefine(({ num_samples, temperature, pass_at: ks = [] }, context) => {
    if (num_samples > 1 && temperature === 0) {
      context.addIssue({
        code: "custom",
        path: ["num_samples"],
        message: "greedy responses are all the same; give a temperature above 0",
      });
    }
    if (ks.some((k) => k > num_samples)) {
      context.addIssue({
        code: "custom",
        path: ["pass_at"],
        message: `pass@k needs at least k responses to a question, num_samples is ${num_samples}`,
      });
    }
  })
  .superRefine(({ num_fewshot, fewshot_data }, context) => {
    if (num_fewshot > 0 && fewshot_data === undefined) {
      context.addIssue({
        code: "custom",
        path: ["num_fewshot"],
        message: "it needs fewshot_data, a file of solved examples",
      });
    }
    if (num_fewshot === 0 && fewshot_data !== undefined) {
      context.addIssue({
        code: "custom",
        path: ["fewshot_data"],
        message: "it needs num_fewshot, how many of its rows to show",
      });
    }
  });

export type EvaluateConfig = z.infer<typeof evaluateConfig>;
