// What `posttrain dpo pairs` can be told.
import { modelOptions } from "@posttrain/model";
import { samplingOptions, serverOptions } from "@posttrain/rollout";
import { gradingOptions } from "@posttrain/verify";
import { z } from "zod";
import { chosenSources } from "./choose.js";

export const pairsConfig = z
  .strictObject({
    model_name_or_path: z
      .array(z.string().min(1))
      .optional()
      .describe("checkpoints to sample from, Hugging Face folders; several with commas"),
    dtype: modelOptions.dtype,
    ...serverOptions,
    reply_cache: serverOptions.reply_cache.describe(
      "file that keeps the server's replies by their request (default: OUTPUT.progress/replies.jsonl)",
    ),
    responses: z
      .array(z.string().min(1))
      .optional()
      .describe(
        "files of responses in place of sampling, JSONL, JSON, CSV or Parquet: what generate, verify or another program wrote",
      ),
    data: z
      .string()
      .optional()
      .describe(
        "queries, JSONL, JSON, CSV or Parquet: prompt, question or messages, and what responses are graded with; with responses, what their rows leave out, joined by id or task_id",
      ),
    output: z.string().describe("new file for the pairs; resumable"),
    num_samples: z
      .int()
      .min(1)
      .max(10_000)
      .default(8)
      .describe("responses to each query of each checkpoint or server")
      .meta({ alias: "num_generations" }),
    temperature: z.number().positive().default(1).describe("of sampling"),
    top_p: z.number().positive().max(1).default(1).describe("1: off"),
    top_k: z.int().nonnegative().default(0).describe("0: off"),
    max_new_tokens: samplingOptions.max_new_tokens,
    stop: samplingOptions.stop,
    stop_ids: samplingOptions.stop_ids,
    seed: samplingOptions.seed.describe("same seed, same pairs"),
    raw: z
      .boolean()
      .default(false)
      .describe("prompts are text that a response continues, without the chat template; pairs are text then"),
    template_date: z
      .string()
      .optional()
      .describe("the date that a chat template writes as today's, such as 2025-07-10"),
    pairs_per_query: z.int().min(1).max(10_000).default(1).describe("most pairs of one query"),
    max_length_ratio: z
      .number()
      .min(1)
      .default(3)
      .describe(
        "most that the longer text of a pair may be of the shorter; below 64 characters counts as 64",
      ),
    similarity: z
      .number()
      .positive()
      .max(1)
      .default(0.9)
      .describe("share of runs of three words in common from which two responses of one side count as one"),
    chosen_from: z
      .enum(chosenSources)
      .default("policy")
      .describe(
        "whether the row's own answer is chosen: never, always (when it passes itself), or where no response passes",
      ),
    reference_column: z
      .string()
      .optional()
      .describe(
        "column with the row's own answer, as a response (default: the first that is there of solution, canonical_solution, code, output, answer)",
      ),
    mix: z
      .array(z.string().min(1))
      .optional()
      .describe(
        "pairs of other files behind these: FILE, FILE=0.5 for a share of its rows, FILE=1000 for so many",
      ),
    target: z
      .int()
      .positive()
      .default(150_000)
      .describe("ends with so many pairs; the Qwen2.5 report's number"),
    review: z
      .string()
      .optional()
      .describe("new file with some of the pairs for people to judge; posttrain dpo review takes it"),
    review_count: z.int().positive().default(200).describe("how many of them, which the seed draws"),
    regrade: z
      .boolean()
      .default(false)
      .describe("grade again what has a verdict of posttrain verify beside it"),
    ...gradingOptions,
  })
  .superRefine((config, context) => {
    const { model_name_or_path: models, base_url, model, responses, data } = config;
    const issue = (message: string, name?: string): void =>
      context.addIssue({ code: "custom", message, ...(name !== undefined && { path: [name] }) });
    const samples = models !== undefined || base_url !== undefined;
    if (!samples && responses === undefined) {
      issue(
        "Missing: --model_name_or_path (checkpoints to sample from), --base_url (a server) or --responses (files of responses)",
      );
    }
    if (samples && responses !== undefined) {
      issue(
        "responses come from files or are sampled: leave out these, or the models and servers",
        "responses",
      );
    }
    if (config.review !== undefined && config.review === config.output) {
      issue("it is the output itself", "review");
    }
    if (samples && data === undefined) issue("Missing: --data (queries, JSONL, JSON, CSV or Parquet)");
    if ((base_url === undefined) !== (model === undefined)) {
      issue(
        "a server needs both, its address (base_url) and the name of the model there (model)",
        base_url === undefined ? "model" : "base_url",
      );
    }
  });

export type PairsConfig = z.infer<typeof pairsConfig>;
