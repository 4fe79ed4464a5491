// What every stage has to say of its run: what it starts from, and how it ended.
import { freemem } from "node:os";
import { byteText } from "@posttrain/data";
import { resolveStopIds } from "@posttrain/model";
import { count, duration, plural, shellQuote } from "../format.js";
import type { Line } from "../output.js";
import { turnEndsText } from "../turn-ends.js";
import { describeModel } from "../with-model.js";
import type { Stage, StageConfig, StageData, StageResult, StageStart } from "./stage.js";

/** "rows.jsonl: 3 rows read, 3 kept; 90 tokens, 40 of them trained". */
export function rowsText(path: string, { counts }: Pick<StageData, "counts">, formats = ""): string {
  return `${path}: ${plural(counts.read, "row")} read, ${count(counts.kept)} kept${formats}; ${plural(counts.tokens, "token")}, ${count(counts.trainedTokens)} of them trained`;
}

function lostLines({ max_length }: StageConfig, { counts, longestRow }: StageData): readonly Line[] {
  if (counts.overlong === 0) return [];
  const fates = [
    counts.truncated > 0 ? `${count(counts.truncated)} cut to it` : "",
    counts.dropped > 0 ? `${count(counts.dropped)} dropped` : "",
    counts.emptied > 0 ? `${count(counts.emptied)} left out because nothing to train was left` : "",
  ];
  const [limit, remedy] =
    longestRow < max_length
      ? [`the model's context of ${count(longestRow)}`, "allow_beyond_context"]
      : [`max_length ${max_length}`, "a larger max_length"];
  const what = `${plural(counts.overlong, "row")} longer than ${limit}: ${fates.filter(Boolean).join(", ")}`;
  return [
    ["lost", `${what}; ${plural(counts.lostTrainedTokens, "trained token")} lost (${remedy} keeps them)`],
  ];
}

/** `own` says what only this stage has to say of its rows. */
export function startLines(
  config: StageConfig,
  { model, data, plan, totalSteps, prediction, from, damaged, missing }: StageStart,
  own: readonly Line[],
): readonly Line[] {
  const units = Math.min(data.units.length, plan.unitsPerMicroBatch * plan.microBatchesPerStep);
  const tokens = (data.counts.tokens / data.units.length) * units;
  return [
    ["model", describeModel(model)],
    ["data", rowsText(config.data, data)],
    ...lostLines(config, data),
    ...own,
    ["turns end", turnEndsText(data.turnEnds, resolveStopIds(model.generationConfig, model.config))],
    [
      "steps",
      `${count(totalSteps)}, each of ${plural(units, data.packing === undefined ? "row" : "pack")} or about ${plural(tokens, "token")}`,
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
function memoryText({ resident }: StageStart["prediction"]): string {
  const most = `${byteText(resident)} at most`;
  const more = resident - process.memoryUsage.rss();
  return more <= freemem()
    ? most
    : `${most}, but only ${byteText(freemem())} are free now: end other programs, or the system may end this one`;
}

export function gradNormText(norm: number): string {
  return `grad_norm ${norm >= 1e-3 && norm < 1e3 ? norm.toPrecision(3) : norm.toExponential(2)}`;
}

/** A checkpoint as the commands take it that compute with a model: in what the run computed in. */
export function checkpointFlags(checkpoint: string, { bf16 }: StageConfig): string {
  return `--model_name_or_path ${shellQuote(checkpoint)}${bf16 ? " --dtype bfloat16" : ""}`;
}

export function endLines(
  { name, describe }: Stage,
  config: StageConfig,
  { checkpoint, steps, last, end, damaged, missing }: StageResult,
  seconds: number,
): readonly Line[] {
  const [label, text] = (
    {
      done: ["done", ""],
      interrupted: ["stopped", `after step ${count(steps)}, as asked; `],
      stopped_early: [
        "done",
        `after step ${count(steps)}: ${config.early_stopping_patience} evaluations without a better loss; `,
      ],
      nothing_to_do: [
        "nothing",
        `is left to do: ${checkpoint} is the end of this run. Raise max_steps or num_train_epochs, or begin a new run.`,
      ],
    } as const
  )[end];
  const summary =
    last === undefined
      ? text
      : `${text}final loss ${last.loss.toFixed(4)}; ${plural(last.num_tokens, "token")} in all, ${duration(seconds)}`;
  const next =
    end === "interrupted"
      ? [
          `npx posttrain ${name} --config ${shellQuote(config.output_dir)}/config.yaml --resume_from_checkpoint`,
        ]
      : describe.next(config, checkpoint);
  return [
    ["", ""],
    ...(end === "nothing_to_do"
      ? [
          ...damaged.map(({ reason }): Line => ["damaged", reason]),
          ...missing.map((sentence): Line => ["logs", sentence]),
        ]
      : []),
    [label, summary],
    ["checkpoint", checkpoint],
    ...next.map((command, i): Line => [i === 0 ? "next" : "", command]),
  ];
}
