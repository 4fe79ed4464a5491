// What `posttrain reward data` can be told.
import { modelOptions } from "@posttrain/model";
import { samplingOptions, serverOptions } from "@posttrain/rollout";
import { gradingOptions } from "@posttrain/verify";
import { z } from "zod";

export const rewardDataConfig = z
  .strictObject({
    model_name_or_path: z
      .array(z.string().min(1))
      .optional()
      .describe("checkpoints to sample from, Hugging Face folders of different stages (SFT, DPO, RL)"),
    dtype: modelOptions.dtype,
    temperatures: z
      .array(z.number().positive())
      .min(1)
      .default([0.7, 1])
      .describe("each checkpoint or server answers at each of these"),
    num_samples: z
      .int()
      .min(1)
      .max(1000)
      .default(2)
      .describe("responses to each query of a checkpoint or server at a temperature"),
    max_new_tokens: samplingOptions.max_new_tokens,
    data: z
      .string()
      .optional()
      .describe(
        "queries, JSONL, JSON, CSV or Parquet: prompt, question or messages, and what a verifier grades by",
      ),
    responses: z
      .array(z.string().min(1))
      .optional()
      .describe(
        "files of responses that are there already, JSONL, JSON, CSV or Parquet: prompt and responses (or response), with verdicts if there",
      ),
    output: z.string().describe("new file for the preferences; resumable"),
    pairs_per_query: z
      .int()
      .min(1)
      .max(1000)
      .default(4)
      .describe("most comparisons of one query's responses"),
    verify: z.boolean().default(true).describe("grade by rules where a row has what a verifier needs"),
    ...gradingOptions,
    ...serverOptions,
    base_url: serverOptions.base_url.describe(
      "a server to sample from as well, which speaks OpenAI's protocol; the key of every server, if it wants one: variable OPENAI_API_KEY",
    ),
    num_concurrent: serverOptions.num_concurrent.describe("requests to a server at once"),
    budget_tokens: serverOptions.budget_tokens.describe(
      "most tokens of prompts and replies to ask a server for, each of the two (default: no limit)",
    ),
    reply_cache: serverOptions.reply_cache.describe(
      "file that keeps the servers' replies by their request (default: OUTPUT.progress/replies.jsonl)",
    ),
    judge_base_url: serverOptions.base_url.describe("the judge's server, such as http://127.0.0.1:8000/v1"),
    judge_model: serverOptions.model.describe("name of the judge on its server"),
    judge_model_name_or_path: z
      .string()
      .optional()
      .describe("the judge as a Hugging Face folder, in place of a server"),
    judge_max_tokens: z.int().min(16).max(100_000).default(1024).describe("most tokens of a judge's reply"),
    labels: z
      .array(z.string().min(1))
      .optional()
      .describe("files of people's labels: rows of --to_label with preference and criteria filled in"),
    to_label: z.string().optional().describe("new file of the comparisons, for people to label"),
    pairs: z
      .array(z.string().min(1))
      .optional()
      .describe("files of preferences to merge in, such as those of dpo pairs"),
    seed: samplingOptions.seed.describe("same seed, same file"),
  })
  .superRefine((config, context) => {
    const issue = (message: string, path: string): void =>
      context.addIssue({ code: "custom", message, path: [path] });
    const { model_name_or_path: models, responses, data, pairs } = config;
    const samples = models !== undefined || config.base_url !== undefined;
    if (samples && responses !== undefined)
      issue(
        "responses are sampled or come from files: give one of the two (a judge's server is judge_base_url)",
        "responses",
      );
    if (samples && data === undefined) issue("expected queries to sample responses to", "data");
    if (!samples && data !== undefined)
      issue("queries are for sampling: expected checkpoints or a server beside them", "model_name_or_path");
    if (!samples && responses === undefined && pairs === undefined) {
      issue(
        "expected checkpoints to sample from, or a server (base_url), or --responses, or --pairs",
        "model_name_or_path",
      );
    }
    for (const [url, name] of [
      ["base_url", "model"],
      ["judge_base_url", "judge_model"],
    ] as const) {
      if ((config[url] === undefined) !== (config[name] === undefined))
        issue(
          `a server needs both, its address (${url}) and the name of the model there (${name})`,
          config[url] === undefined ? url : name,
        );
    }
    if (config.judge_base_url !== undefined && config.judge_model_name_or_path !== undefined)
      issue("a judge is a server or a folder: give one of the two", "judge_model_name_or_path");
  });

export type RewardDataConfig = z.infer<typeof rewardDataConfig>;
