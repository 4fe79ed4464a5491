// The stage dpo: preference optimization on pairs (@posttrain/dpo).
import type { TokenizedPair } from "@posttrain/data";
import {
  type DpoData,
  type DpoEvalMetrics,
  type DpoMetrics,
  type DpoStart,
  dpoConfig,
  plannedDpo,
  prepareDpoData,
  runDpo,
  sequencesOf,
} from "@posttrain/dpo";
import { contentTokenLines } from "../content-tokens.js";
import { count } from "../format.js";
import { type Rates, suggestRate } from "../init/learning-rate.js";
import type { Line } from "../output.js";
import { tokensPerSecond } from "../speed.js";
import { defineStage, type Recipe, type RecipeFacts, type Stage } from "./stage.js";
import { anyLength, checkpointFlags, finalLoss, gradNormText, startLines } from "./telling.js";

export const stage: Stage = defineStage<
  typeof dpoConfig,
  TokenizedPair,
  DpoData,
  DpoStart,
  DpoMetrics,
  DpoEvalMetrics
>({
  name: "dpo",
  sharesWork: true,
  config: dpoConfig,
  examples: [
    [
      "npx posttrain dpo --model_name_or_path runs/sft/checkpoint-500 \\\n--data pairs.jsonl --output_dir runs/dpo --num_train_epochs 1",
      "one epoch on pairs, from a fine-tuned checkpoint",
    ],
    [
      "npx posttrain dpo --model_name_or_path runs/sft/checkpoint-500 --data pairs.jsonl \\\n--output_dir runs/dpo --loss_type sigmoid,sft --loss_weights 1,0.2",
      "with the likelihood of the chosen answers beside it",
    ],
  ],
  notes:
    'A row is {"prompt": [{"role": "user", "content": "..."}], "chosen": [{"role": "assistant", "content": "..."}], "rejected": [...]}, the same as text, chosen and rejected alone ' +
    '(what both begin with is the prompt), ShareGPT or Alpaca as LLaMA-Factory ranks them, or tokens: {"prompt_ids": [...], "chosen_ids": [...], "rejected_ids": [...]}. ' +
    "The reference is the model that the run starts from, unless ref_model_name_or_path names another; what it says of each pair is computed once and kept in reference.jsonl of the run folder. " +
    "The run folder, Ctrl-C, --json and --quiet are as for sft.",
  prepare: prepareDpoData,
  plan: plannedDpo,
  run: runDpo,
  limits: { longest: "max_length", overlong: "on_overlong" },
  describe: {
    judged: "loss",
    last: finalLoss,
    title: "Preference optimization",
    sequences: sequencesOf,
    start: (config, run) => [
      ...startLines(
        stage,
        config,
        run,
        contentTokenLines(
          run.data.contentTokens.filter(({ special }) => special),
          config.special_tokens_in_content,
        ).map((text, i): Line => [i === 0 ? "content" : "", text]),
      ),
      [
        "reference",
        `${config.ref_model_name_or_path ?? "the model at the start"}, ${config.precompute_ref_log_probs ? "its log-probabilities kept in reference.jsonl" : "asked in every step"}`,
      ],
    ],
    step: (metrics) => [
      `loss ${metrics.loss.toFixed(4)}`,
      `margin ${metrics["rewards/margins"].toFixed(4)}`,
      `right ${(100 * metrics["rewards/accuracies"]).toFixed(0)} %`,
      gradNormText(metrics.grad_norm),
      tokensPerSecond(metrics.tokens_per_second, 1),
    ],
    evaluation: (metrics) =>
      `step ${metrics.step}  held-out loss ${metrics.eval_loss.toFixed(4)}  margin ${metrics["eval_rewards/margins"].toFixed(4)}  right ${(100 * metrics["eval_rewards/accuracies"]).toFixed(1)} %`,
    next: (config, checkpoint) => [`npx posttrain chat ${checkpointFlags(checkpoint, config)}`],
  },
  suggest: {
    whole: anyLength,
    row: (inputIds) => ({
      id: "",
      line: 0,
      promptIds: inputIds.slice(0, 1),
      chosenIds: inputIds.slice(1),
      rejectedIds: inputIds.slice(1),
    }),
    alike: ({ promptIds }) => promptIds,
    recipe,
  },
});

/** Of the report: arXiv 2412.15115, section 4.2. */
const rates: Rates = {
  smaller: [
    [20e6, 1e-4],
    [300e6, 5e-6],
    [1e9, 1e-6],
  ],
  published: 7e-7,
  reason: "as the Qwen2.5 report",
  source: "the Qwen2.5 report",
};

function recipe({ parameters, stepsPerEpoch }: RecipeFacts): Recipe {
  const rate = suggestRate(parameters, rates);
  return {
    totalSteps: stepsPerEpoch,
    values: [
      {
        key: "num_train_epochs",
        value: 1,
        reason: `as the Qwen2.5 report: ${count(stepsPerEpoch)} steps`,
      },
      rate,
      {
        key: "lr_scheduler_type",
        value: "linear",
        reason: "the report names no shape; TRL's, as Tulu 3 has it",
      },
      {
        key: "warmup_steps",
        value: Math.round(0.1 * stepsPerEpoch),
        reason: "a tenth of the steps, while the moments fill (Tulu 3)",
      },
      { key: "beta", value: 0.1, reason: "TRL's; the report names none" },
      { key: "max_grad_norm", value: 1, reason: "TRL's" },
    ],
  };
}
