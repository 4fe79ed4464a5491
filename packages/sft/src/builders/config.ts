// What `posttrain data build` can be told.
import { modelOptions } from "@posttrain/model";
import { samplingOptions, serverOptions } from "@posttrain/rollout";
import { z } from "zod";
import { areaNames } from "./areas.js";

const { model_name_or_path, dtype } = modelOptions;
const role = (name: string) => ({
  [`${name}_base_url`]: serverOptions.base_url.describe(`the ${name}'s server (default: the generator)`),
  [`${name}_model`]: serverOptions.model.describe(`name of the ${name} on its server`),
  [`${name}_model_name_or_path`]: model_name_or_path
    .optional()
    .describe(`the ${name} as a Hugging Face folder, or one with model.onnx, in place of a server`),
});

type RoleOptions<Name extends string> = Record<
  `${Name}_base_url` | `${Name}_model` | `${Name}_model_name_or_path`,
  z.ZodOptional<z.ZodString>
>;

export const buildConfig = z
  .strictObject({
    area: z.enum([...areaNames, "all"]).describe("what to build; all: a mix"),
    output: z.string().describe("new file for the conversations, JSON Lines; resumable"),
    rows: z.int().positive().default(1000).describe("how many conversations"),
    seed: samplingOptions.seed.describe("same seed, same file"),
    difficulty: z
      .array(z.int().min(1).max(5))
      .min(1)
      .default([1, 2, 3, 4, 5])
      .describe("grades to make, 1 to 5, in equal shares"),
    tasks: z
      .array(z.string().min(1))
      .optional()
      .describe("kinds of tasks to make, as column task names them (default: all of the area)"),
    seeds: z
      .array(z.string().min(1))
      .optional()
      .describe(
        "rows to begin with, JSONL, JSON, CSV or Parquet, for areas that take them; of all: AREA=FILE",
      ),
    areas: z
      .array(z.string().min(1))
      .optional()
      .describe("of all: the areas of the mix and their weights, such as logic=3,structured=1"),
    prompts: z
      .string()
      .optional()
      .describe("folder of prompt files that replace those of packages/sft/prompts by name"),
    num_samples: z
      .int()
      .min(1)
      .max(1000)
      .default(4)
      .describe("replies to each question that is asked for several"),
    preset: z
      .enum(["paper", "repo"])
      .default("paper")
      .describe(
        "of instructions with a teacher: AutoIF's thresholds, as its paper has them or as its code does",
      ),
    temperature: z.number().nonnegative().default(0.7).describe("of what roles say"),
    max_new_tokens: samplingOptions.max_new_tokens.default(2048).describe("most tokens of a reply"),
    model_name_or_path: model_name_or_path
      .optional()
      .describe("the generator as a Hugging Face folder, or one with model.onnx, in place of a server"),
    dtype,
    ...serverOptions,
    base_url: serverOptions.base_url.describe(
      "the generator's server, which speaks OpenAI's protocol; the key of every server, if it wants one: variable OPENAI_API_KEY",
    ),
    model: serverOptions.model.describe("name of the generator on its server"),
    num_concurrent: serverOptions.num_concurrent.describe("requests to a server at once"),
    budget_tokens: serverOptions.budget_tokens.describe(
      "most tokens of prompts and replies to ask a server for, each of them (default: no limit)",
    ),
    reply_cache: serverOptions.reply_cache.describe(
      "file that keeps the servers' replies by their request (default: OUTPUT.progress/replies.jsonl)",
    ),
    reward_model_name_or_path: model_name_or_path
      .optional()
      .describe("a reward model, folder or ONNX file: its scores weigh and choose responses"),
    languages: z
      .array(z.string().min(1))
      .optional()
      .describe("cross-lingual: languages to translate into, such as zh,de,sw (ISO 639-1)"),
    min_alignment: z
      .int()
      .min(1)
      .max(5)
      .default(4)
      .describe("cross-lingual: the least agreement with the original answer, 1 to 5, that is kept"),
    refine_rounds: z
      .int()
      .min(1)
      .max(20)
      .optional()
      .describe(
        "logic: rounds in which the generator reasons and the critic finds flaws (with --seeds 2, else none)",
      ),
    min_agreement: z
      .number()
      .min(0)
      .max(1)
      .default(0.5)
      .describe(
        "mathematics, task vote: the least share of the votes, weighed by the reward model, that decides",
      ),
    keep_best: z
      .int()
      .positive()
      .optional()
      .describe(
        "mathematics: most solutions of a problem, the best by the reward model first (default: all)",
      ),
    min_reward: z
      .number()
      .default(0)
      .describe("filtering: the least score of a reward model that counts as flawless"),
    ...(role("critic") as RoleOptions<"critic">),
    ...(role("translator") as RoleOptions<"translator">),
    ...(role("judge") as RoleOptions<"judge">),
  })
  .superRefine((config, context) => {
    const issue = (message: string, path: string): void =>
      context.addIssue({ code: "custom", message, path: [path] });
    if ((config.area === "all") !== (config.areas !== undefined))
      issue("the areas of a mix and their weights: area all needs them, and no other has them", "areas");
    if (config.area === "all" && config.tasks !== undefined)
      issue("tasks are of one area: leave them out of a mix", "tasks");
    for (const prefix of ["", "critic_", "translator_", "judge_"] as const) {
      const [url, name, dir] = [
        `${prefix}base_url`,
        `${prefix}model`,
        `${prefix}model_name_or_path`,
      ] as const;
      if ((config[url] === undefined) !== (config[name] === undefined))
        issue(
          `a server needs both, its address (${url}) and the name of the model there (${name})`,
          config[url] === undefined ? url : name,
        );
      if (config[url] !== undefined && config[dir] !== undefined)
        issue("it is a server or a folder: give one of the two", dir);
    }
  });

export type BuildConfig = z.infer<typeof buildConfig>;
