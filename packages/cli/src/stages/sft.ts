// The stage sft: fine-tuning on conversations (@posttrain/sft).
import type { TokenizedRow } from "@posttrain/data";
import {
  plannedSft,
  prepareSftData,
  runSft,
  type SftData,
  type SftEvalMetrics,
  type SftMetrics,
  type SftStart,
  sftConfig,
} from "@posttrain/sft";
import { contentTokenLines } from "../content-tokens.js";
import { count, shellQuote } from "../format.js";
import { type Rates, suggestRate } from "../init/learning-rate.js";
import type { Line } from "../output.js";
import { tokensPerSecond } from "../speed.js";
import { defineStage, type Recipe, type RecipeFacts, type Stage } from "./stage.js";
import { anyLength, checkpointFlags, finalLoss, gradNormText, startLines } from "./telling.js";

export const stage: Stage = defineStage<
  typeof sftConfig,
  TokenizedRow,
  SftData,
  SftStart,
  SftMetrics,
  SftEvalMetrics
>({
  name: "sft",
  sharesWork: true,
  config: sftConfig,
  examples: [
    [
      "npx posttrain sft --model_name_or_path runs/quickstart-1/model \\\n--data runs/quickstart-1/training.jsonl \\\n--output_dir runs/mine --max_steps 50",
      "fifty steps on what npm start has made",
    ],
    [
      "npx posttrain sft --model_name_or_path ~/models/Qwen2.5-0.5B \\\n--data rows.jsonl --output_dir runs/first --learning_rate 1e-5",
      "your own model folder and rows",
    ],
  ],
  notes:
    'A row is {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}, {"prompt": "...", "completion": "..."}, ' +
    '{"text": "..."}, or tokens: {"input_ids": [...]} with "labels" (-100: not trained) or "completion_mask". The run folder gets config.yaml, ' +
    "metrics.jsonl, TensorBoard events and checkpoint-<step> folders, each a Hugging Face folder that can be resumed. Ctrl-C finishes the step, " +
    "writes a checkpoint and exits with 130 (SIGTERM: 143, SIGHUP: 129, ignored under nohup); a second Ctrl-C ends at once, and what the last checkpoint holds is safe. " +
    "--json prints how it ended, the checkpoint and the metrics of the last step; --quiet the checkpoint's path.",
  prepare: prepareSftData,
  plan: plannedSft,
  run: runSft,
  limits: { longest: "max_length", overlong: "on_overlong" },
  describe: {
    judged: "loss",
    last: finalLoss,
    title: "Fine-tuning",
    sequences: (row) => [row],
    start: (config, run) =>
      startLines(
        stage,
        config,
        run,
        contentTokenLines(
          run.data.contentTokens.filter(({ special }) => special),
          config.special_tokens_in_content,
        ).map((text, i): Line => [i === 0 ? "content" : "", text]),
      ),
    step: ({ loss, grad_norm, tokens_per_second }) => [
      `loss ${loss.toFixed(4)}`,
      gradNormText(grad_norm),
      tokensPerSecond(tokens_per_second, 1),
    ],
    evaluation: ({ step, eval_loss, eval_mean_token_accuracy }) =>
      `step ${step}  held-out loss ${eval_loss.toFixed(4)}  token accuracy ${(100 * eval_mean_token_accuracy).toFixed(1)} %`,
    next: (config, checkpoint) => {
      const model = checkpointFlags(checkpoint, config);
      return [
        `npx posttrain chat ${model}`,
        `npx posttrain score ${model} --data ${shellQuote(config.data)} --loss_on ${config.loss_on}`,
      ];
    },
  },
  suggest: {
    whole: anyLength,
    row: (inputIds) => ({ id: "", line: 0, parents: [], inputIds, labels: inputIds }),
    alike: ({ inputIds }) => inputIds,
    recipe,
  },
});

/** Of the report: arXiv 2412.15115, section 4.1. */
const rates: Rates = {
  smaller: [
    [20e6, 1e-3],
    [300e6, 5e-5],
    [1e9, 2e-5],
    [4e9, 1e-5],
  ],
  published: 7e-6,
  reason: "as the Qwen2.5 report",
  source: "the Qwen2.5 report",
};

function recipe({ parameters, stepsPerEpoch }: RecipeFacts): Recipe {
  const totalSteps = 2 * stepsPerEpoch;
  const rate = suggestRate(parameters, rates);
  return {
    totalSteps,
    values: [
      { key: "num_train_epochs", value: 2, reason: `as the Qwen2.5 report: ${count(totalSteps)} steps` },
      rate,
      {
        key: "min_lr",
        value: Number((rate.value / 10).toPrecision(6)),
        reason: "a tenth of it, as the report",
      },
      {
        key: "lr_scheduler_type",
        value: "cosine",
        reason: "the report names no shape; this one ends gently",
      },
      {
        key: "warmup_steps",
        value: Math.round(0.03 * totalSteps),
        reason: "3 % of the steps, while the moments fill",
      },
      { key: "weight_decay", value: 0.1, reason: "as the report" },
      { key: "max_grad_norm", value: 1, reason: "as the report" },
    ],
  };
}
