// posttrain sft: what runSft of @posttrain/sft does, with what a person wants to see before, during and after.
import { freemem } from "node:os";
import { byteText } from "@posttrain/data";
import { resolveStopIds } from "@posttrain/model";
import {
  runSft,
  type SftConfig,
  type SftData,
  type SftMetrics,
  type SftResult,
  type SftStart,
  sftConfig,
} from "@posttrain/sft";
import { defineCommand } from "../command.js";
import { contentTokenLines } from "../content-tokens.js";
import { exitCodes } from "../failure.js";
import { count, duration, plural, shellQuote } from "../format.js";
import { createOutput, type Line } from "../output.js";
import { watchReading } from "../reading.js";
import { configLines } from "../resolved-config.js";
import { stopOnSignal } from "../stopping.js";
import { turnEndsText } from "../turn-ends.js";
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
    'A row is {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}, {"prompt": "...", "completion": "..."}, ' +
    '{"text": "..."}, or tokens: {"input_ids": [...]} with "labels" (-100: not trained) or "completion_mask". The run folder gets config.yaml, ' +
    "metrics.jsonl, TensorBoard events and checkpoint-<step> folders, each a Hugging Face folder that can be resumed. Ctrl-C finishes the step, " +
    "writes a checkpoint and exits with 130 (SIGTERM: 143, SIGHUP: 129, ignored under nohup); a second Ctrl-C ends at once, and what the last checkpoint holds is safe. " +
    "--json prints how it ended, the checkpoint and the metrics of the last step; --quiet the checkpoint's path.",
  run: async (config, context) => {
    const output = createOutput(context, process.stdout);
    output.table(configLines(sftConfig, config, context.sources));
    const progress = output.progress();
    const reading = watchReading(output);
    using stopping = stopOnSignal(() => {
      progress.end();
      console.error("Stopping after this step, with a checkpoint. Ctrl-C again: at once, without.");
    });
    let started = performance.now();
    let first = 0;
    const result = await withDevice(context, (device) =>
      runSft(
        config,
        device,
        {
          onReading: reading.onProgress,
          onSavable: () => stopping.begin(),
          onStart: (run) => {
            reading.end();
            output.table(startLines(config, run));
            output.print("");
            started = performance.now();
            first = run.from?.step ?? 0;
            progress.show(() => `step ${first + 1}/${run.totalSteps} ...`);
          },
          onStep: (metrics, totalSteps) => {
            const line = (): string => stepText(metrics, totalSteps, first, started);
            if (metrics.step < totalSteps) progress.show(line);
            else progress.end(line());
          },
          onEvaluation: ({ step, eval_loss, eval_mean_token_accuracy }) => {
            progress.end();
            output.print(
              `step ${step}  held-out loss ${eval_loss.toFixed(4)}  token accuracy ${(100 * eval_mean_token_accuracy).toFixed(1)} %`,
            );
          },
        },
        stopping.signal,
      ),
    );
    output.table(resultLines(config, result, (performance.now() - started) / 1000));
    const { checkpoint, end, steps, last } = result;
    output.result({ quiet: checkpoint, json: { end, checkpoint, step: steps, ...last } });
    if (end === "nothing_to_do") process.exitCode = exitCodes.nothing;
    if (end === "interrupted") process.exitCode = stopping.exitCode();
  },
});

function dataLines({ data, max_length }: SftConfig, { counts, longestRow }: SftData): readonly Line[] {
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
      `${plural(counts.overlong, "row")} longer than ${longestRow < max_length ? `the model's context of ${count(longestRow)}` : `max_length ${max_length}`}: ${fates.filter(Boolean).join(", ")}; ${plural(counts.lostTrainedTokens, "trained token")} lost (${longestRow < max_length ? "allow_beyond_context" : "a larger max_length"} keeps them)`,
    ]);
  }
  return lines;
}

function startLines(
  config: SftConfig,
  { model, data, plan, totalSteps, prediction, from, damaged, missing }: SftStart,
): Line[] {
  const units = Math.min(data.units.length, plan.unitsPerMicroBatch * plan.microBatchesPerStep);
  const tokens = (data.counts.tokens / data.units.length) * units;
  return [
    ["model", describeModel(model)],
    ...dataLines(config, data),
    ...contentTokenLines(
      data.contentTokens.filter(({ special }) => special),
      config.special_tokens_in_content,
    ).map((text, i): Line => [i === 0 ? "content" : "", text]),
    [
      "turns end",
      turnEndsText(
        data.turnEnds,
        resolveStopIds(model.generationConfig, model.config),
        "the checkpoints will (eos_token_id of their generation_config.json and config.json)",
      ),
    ],
    [
      "steps",
      `${count(totalSteps)}, each of ${plural(units, config.packing ? "pack" : "row")} or about ${plural(tokens, "token")}`,
    ],
    ["memory", memoryText(prediction)],
    ...damaged.map(({ dir, reason }): Line => ["damaged", `${dir} was set aside: ${reason}`]),
    ...missing.map((sentence): Line => ["logs", sentence]),
    ...(from === undefined
      ? []
      : ([["resumed", `from ${from.dir}, after step ${count(from.step)}`]] as const)),
  ];
}

/** A run that cannot fit was refused; others may use what there is. */
function memoryText({ resident }: SftStart["prediction"]): string {
  const most = `${byteText(resident)} at most`;
  const more = resident - process.memoryUsage.rss();
  return more <= freemem()
    ? most
    : `${most}, but only ${byteText(freemem())} are free now: end other programs, or the system may end this one`;
}

function stepText(metrics: SftMetrics, totalSteps: number, first: number, started: number): string {
  const { step, loss, grad_norm, tokens_per_second } = metrics;
  const left = ((performance.now() - started) / 1000 / (step - first)) * (totalSteps - step);
  const parts = [
    `step ${String(step).padStart(String(totalSteps).length)}/${totalSteps}`,
    `loss ${loss.toFixed(4)}`,
    `grad_norm ${grad_norm >= 1e-3 && grad_norm < 1e3 ? grad_norm.toPrecision(3) : grad_norm.toExponential(2)}`,
    `${count(tokens_per_second)} tokens/s`,
    ...(step < totalSteps ? [`${duration(left)} left`] : []),
  ];
  return parts.join("  ");
}

function resultLines(config: SftConfig, result: SftResult, seconds: number): readonly Line[] {
  const { checkpoint, steps, last, end } = result;
  const model = `--model_name_or_path ${shellQuote(checkpoint)}${config.bf16 ? " --dtype bfloat16" : ""}`;
  const data = shellQuote(config.data);
  const run = shellQuote(config.output_dir);
  const ends = {
    done: "done",
    interrupted: "stopped",
    stopped_early: "done",
    nothing_to_do: "nothing",
  } as const;
  const text = {
    done: "",
    interrupted: `after step ${count(steps)}, as asked; `,
    stopped_early: `after step ${count(steps)}: ${config.early_stopping_patience} evaluations without a better loss; `,
    nothing_to_do: `is left to do: ${checkpoint} is the end of this run. Raise max_steps or num_train_epochs, or begin a new run.`,
  }[end];
  const summary =
    last === undefined
      ? text
      : `${text}final loss ${last.loss.toFixed(4)}; ${plural(last.num_tokens, "token")} in all, ${duration(seconds)}`;
  return [
    ["", ""],
    ...(end === "nothing_to_do"
      ? [
          ...result.damaged.map(({ reason }): Line => ["damaged", reason]),
          ...result.missing.map((sentence): Line => ["logs", sentence]),
        ]
      : []),
    [ends[end], summary],
    ["checkpoint", checkpoint],
    end === "interrupted"
      ? ["next", `npx posttrain sft --config ${run}/config.yaml --resume_from_checkpoint`]
      : ["next", `npx posttrain chat ${model}`],
    ...(end === "interrupted"
      ? []
      : [["", `npx posttrain score ${model} --data ${data} --loss_on ${config.loss_on}`] as const]),
  ];
}
