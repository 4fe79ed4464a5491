// posttrain sft: what runSft of @posttrain/sft does, with what a person wants to see before, during and after.
import type { SftCounts } from "@posttrain/data";
import { runSft, type SftConfig, type SftMetrics, type SftResult, sftConfig } from "@posttrain/sft";
import { defineCommand } from "../command.js";
import { count, duration, plural, shellQuote } from "../format.js";
import { createOutput, type Line } from "../output.js";
import { configLines } from "../resolved-config.js";
import { describeModel, withDevice } from "../with-model.js";

export const command = defineCommand({
  options: sftConfig,
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
    'A row is {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}, or tokens: ' +
    '{"input_ids": [...]} with "labels" (-100: not trained) or "completion_mask". The run folder gets config.json, metrics.jsonl ' +
    'and, at the end, checkpoint-<step>, a Hugging Face folder. --json prints {"checkpoint"} with the metrics of the last step, ' +
    "--quiet the checkpoint's path.",
  run: async (config, context) => {
    const output = createOutput(context, process.stdout);
    output.table(configLines(sftConfig, config, context.sources));
    let started = performance.now();
    const progress = output.progress();
    const stopped = (): void => {
      progress.end();
      console.error(`Stopped. ${config.output_dir} may hold metrics of the steps so far, but no checkpoint.`);
    };
    process.prependListener("SIGINT", stopped);
    try {
      const result = await withDevice(context, (device) =>
        runSft(config, device, {
          onStart: ({ model, counts, totalSteps }) => {
            output.table([
              ["model", describeModel(model)],
              ...dataLines(config, counts),
              stepLine(config, counts, totalSteps),
            ]);
            output.print("");
            started = performance.now();
            progress.show(() => `step 1/${totalSteps} ...`);
          },
          onStep: (metrics, totalSteps) => {
            const line = (): string => stepText(metrics, totalSteps, started);
            if (metrics.step < totalSteps) progress.show(line);
            else progress.end(line());
          },
        }),
      );
      output.table(resultLines(config, result, (performance.now() - started) / 1000));
      const { checkpoint, last } = result;
      output.result({ quiet: checkpoint, json: { checkpoint, ...last } });
    } finally {
      process.off("SIGINT", stopped);
    }
  },
});

function dataLines({ data, max_length }: SftConfig, counts: SftCounts): readonly Line[] {
  const lines: Line[] = [
    [
      "data",
      `${data}: ${plural(counts.read, "row")} read, ${count(counts.kept)} kept; ${plural(counts.tokens, "token")}, ${count(counts.trainedTokens)} of them trained`,
    ],
  ];
  if (counts.overlong > 0) {
    const fates = [
      counts.truncated > 0 ? `${count(counts.truncated)} cut to it` : "",
      counts.dropped > 0 ? `${count(counts.dropped)} dropped` : "",
      counts.emptied > 0 ? `${count(counts.emptied)} left out because nothing to train was left` : "",
    ];
    lines.push([
      "lost",
      `${plural(counts.overlong, "row")} longer than max_length ${max_length}: ${fates.filter(Boolean).join(", ")}; ${plural(counts.lostTrainedTokens, "trained token")} lost (a larger max_length keeps them)`,
    ]);
  }
  return lines;
}

function stepLine(config: SftConfig, counts: SftCounts, totalSteps: number): Line {
  const perStep = Math.min(
    counts.kept,
    config.per_device_train_batch_size * config.gradient_accumulation_steps,
  );
  const tokens = (counts.tokens / counts.kept) * perStep;
  return [
    "steps",
    `${count(totalSteps)}, each of ${plural(perStep, "row")} or about ${plural(tokens, "token")}`,
  ];
}

function stepText(metrics: SftMetrics, totalSteps: number, started: number): string {
  const { step, loss, grad_norm, tokens_per_second } = metrics;
  const left = ((performance.now() - started) / 1000 / step) * (totalSteps - step);
  const parts = [
    `step ${String(step).padStart(String(totalSteps).length)}/${totalSteps}`,
    `loss ${loss.toFixed(4)}`,
    `grad_norm ${grad_norm >= 1e-3 && grad_norm < 1e3 ? grad_norm.toPrecision(3) : grad_norm.toExponential(2)}`,
    `${count(tokens_per_second)} tokens/s`,
    ...(step < totalSteps ? [`${duration(left)} left`] : []),
  ];
  return parts.join("  ");
}

function resultLines(config: SftConfig, { checkpoint, last }: SftResult, seconds: number): readonly Line[] {
  const model = `--model_name_or_path ${shellQuote(checkpoint)}`;
  const data = shellQuote(config.data);
  return [
    ["", ""],
    [
      "done",
      `final loss ${last.loss.toFixed(4)}; ${plural(last.num_tokens, "token")} in ${duration(seconds)}, ${count(last.num_tokens / seconds)} tokens/s`,
    ],
    ["checkpoint", checkpoint],
    ["next", `npx posttrain chat ${model}`],
    ["", `npx posttrain score ${model} --data ${data} --loss_on ${config.loss_on}`],
  ];
}
