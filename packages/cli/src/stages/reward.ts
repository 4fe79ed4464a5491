// The stage reward: a reward model on preferences (@posttrain/reward-model).
import { IGNORED_LABEL } from "@posttrain/data";
import {
  plannedReward,
  prepareRewardData,
  type RewardConfig,
  type RewardData,
  type RewardEvalMetrics,
  type RewardMetrics,
  type RewardRow,
  type RewardStart,
  rewardConfig,
  runReward,
} from "@posttrain/reward-model";
import { contentTokenLines } from "../content-tokens.js";
import { count, plainNumber, plural, shellQuote } from "../format.js";
import type { Line } from "../output.js";
import { tokensPerSecond } from "../speed.js";
import { defineStage, type Recipe, type RecipeFacts, type Stage } from "./stage.js";
import { anyLength, checkpointFlags, finalLoss, gradNormText, startLines } from "./telling.js";

export const stage: Stage = defineStage<
  typeof rewardConfig,
  RewardRow,
  RewardData,
  RewardStart,
  RewardMetrics,
  RewardEvalMetrics
>({
  name: "reward",
  sharesWork: true,
  config: rewardConfig,
  examples: [
    [
      "npx posttrain reward --model_name_or_path ~/models/Qwen2.5-0.5B-Instruct \\\n--data pairs.jsonl --output_dir runs/reward --val_size 0.05",
      "a score on a model's layers, from pairs; 5 % of them held out",
    ],
    [
      "npx posttrain reward --model_name_or_path runs/sft/checkpoint-800 --data graded.jsonl \\\n--output_dir runs/math-reward --center_rewards_coefficient 0.01",
      "from what posttrain verify has graded: rows of responses with verdicts",
    ],
  ],
  notes:
    'A row is a pair, {"chosen": ..., "rejected": ...} with "prompt" (or whole: the prompt is what both begin with) as text or messages, with "margin" if one side should be ahead by so much, ' +
    'or a list, {"prompt": ..., "responses": [...], "labels": [true, false, ...]} (or "verdicts", as posttrain verify writes them), of which every better response is held against every worse one. ' +
    "The score is read at the last token. With --criteria each has a head of its own, and their weighted sum is the score: a pair names the better side of each, " +
    '"criteria": {"helpfulness": "chosen", "conciseness": "rejected", "relevance": "tie"}; a list has labels for each. Checkpoints are Qwen2ForSequenceClassification folders with one label, which ' +
    "transformers reads; posttrain reward score, chat --reward_model and grpo take them. Ctrl-C finishes the step, writes a checkpoint and exits with 130; a second Ctrl-C ends at once. " +
    "--json prints how it ended, the checkpoint and the metrics of the last step; --quiet the checkpoint's path.",
  prepare: prepareRewardData,
  plan: plannedReward,
  run: runReward,
  limits: { longest: "max_length", overlong: "on_overlong" },
  describe: {
    judged: "loss",
    last: finalLoss,
    title: "A reward model",
    sequences: ({ sequences, labels }) => {
      const names = namesOf(labels);
      return sequences.map((inputIds, i) => ({
        name: names[i] as string,
        inputIds,
        labels: new Int32Array(inputIds.length).fill(IGNORED_LABEL),
      }));
    },
    start: (config, run) => startLines(stage, config, run, ownLines(config, run)),
    step: ({ loss, accuracy, margin, grad_norm, tokens_per_second }) => [
      `loss ${loss.toFixed(4)}`,
      `accuracy ${percent(accuracy)}`,
      `margin ${margin.toFixed(2)}`,
      gradNormText(grad_norm),
      tokensPerSecond(tokens_per_second, 1),
    ],
    evaluation: (line) => {
      const heads = Object.entries(line).flatMap(([key, value]) =>
        key.startsWith("eval_accuracy/") ? [`${key.slice("eval_accuracy/".length)} ${percent(value)}`] : [],
      );
      const { step, eval_loss, eval_accuracy, eval_margin } = line;
      return `step ${step}  held-out loss ${eval_loss.toFixed(4)}  accuracy ${percent(eval_accuracy)}  margin ${eval_margin.toFixed(2)}${heads.length > 0 ? `  (${heads.join(", ")})` : ""}`;
    },
    next: (config, checkpoint) => [
      `npx posttrain reward score ${checkpointFlags(checkpoint, config)} --data ${shellQuote(config.eval_data ?? config.data)}`,
    ],
  },
  suggest: {
    whole: anyLength,
    row: (inputIds) => ({
      id: "",
      line: 0,
      sequences: [inputIds, inputIds],
      labels: [true, false],
      margin: 0,
      criteria: {},
    }),
    alike: ({ sequences }) => sharedStart(sequences),
    recipe,
  },
});

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** "chosen" and "rejected" of a pair; of a list "better 1", "worse 1", ... */
function namesOf(labels: RewardRow["labels"]): readonly string[] {
  if (labels.length === 2 && labels[0] === true && labels[1] === false) return ["chosen", "rejected"];
  return labels.map((label, i) => {
    const kind = label === null ? "unjudged" : label ? "better" : "worse";
    return `${kind} ${labels.slice(0, i + 1).filter((other) => other === label).length}`;
  });
}

function ownLines(config: RewardConfig, { data, from }: RewardStart): readonly Line[] {
  const { token, id, instead } = data.padding;
  const pad = `${token ?? "no token"} (${id})`;
  const heads = data.model.score?.heads ?? [];
  const lines = contentTokenLines(
    data.contentTokens.filter(({ special }) => special),
    config.special_tokens_in_content,
  );
  return [
    ...(from === undefined ? [["head", "one score, read at the last token of each response"] as const] : []),
    ...heads.map(
      ({ name, weight }, i): Line => [
        i === 0 ? "criteria" : "",
        `${name}, weight ${plainNumber(weight)}: ${plural(data.judged[name] ?? 0, "row")} with a label`,
      ],
    ),
    [
      "padding",
      instead === undefined
        ? `${pad}: it ends no response, so transformers reads the score where it is trained`
        : `${pad} in place of ${instead}, which may end a response: transformers would read the score one token early`,
    ],
    ...lines.map((text, i): Line => [i === 0 ? "content" : "", text]),
  ];
}

function sharedStart([first = new Int32Array(), ...others]: readonly Int32Array[]): Int32Array {
  let length = first.length;
  for (const other of others) {
    let same = 0;
    while (same < length && first[same] === other[same]) same++;
    length = same;
  }
  return length > 0 ? first.subarray(0, length) : first;
}

function recipe({ stepsPerEpoch }: RecipeFacts): Recipe {
  return {
    totalSteps: stepsPerEpoch,
    values: [
      {
        key: "num_train_epochs",
        value: 1,
        reason: `${count(stepsPerEpoch)} steps; a second pass over preferences learns them by heart`,
      },
      {
        key: "learning_rate",
        value: 1e-5,
        reason: "a usual start for all weights (OpenRLHF 9e-6, DeepSeekMath 2e-5; TRL's 1e-4 is for LoRA)",
      },
      { key: "min_lr", value: 1e-6, reason: "a tenth of it" },
      { key: "lr_scheduler_type", value: "cosine", reason: "ends gently" },
      {
        key: "warmup_steps",
        value: Math.round(0.03 * stepsPerEpoch),
        reason: "3 % of the steps, while the moments fill",
      },
      { key: "max_grad_norm", value: 1, reason: "as everywhere" },
    ],
  };
}
