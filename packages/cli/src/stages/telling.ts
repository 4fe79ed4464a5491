// What every stage has to say of its run: what it starts from, and how it ended.
import { freemem } from "node:os";
import { byteText } from "@posttrain/data";
import { resolveStopIds } from "@posttrain/model";
import { count, duration, plural, shellQuote } from "../format.js";
import type { Line } from "../output.js";
import { turnEndsText } from "../turn-ends.js";
import { describeModel } from "../with-model.js";
import type { Stage, StageConfig, StageCounts, StageData, StageResult, StageStart } from "./stage.js";

/** "rows.jsonl: 3 rows read, 3 kept; 90 tokens, 40 of them trained". */
export function rowsText(
  { data }: Pick<StageConfig, "data">,
  { counts, file = data }: Pick<StageData, "counts" | "file">,
  formats = "",
): string {
  return `${file}: ${plural(counts.read, "row")} read, ${count(counts.kept)} kept${formats}; ${tokensText(counts)}`;
}

/** "90 tokens, 40 of them trained". */
export function tokensText({ tokens, trainedTokens }: StageCounts): string {
  const trained = trainedTokens === undefined ? "" : `, ${count(trainedTokens)} of them trained`;
  return plural(tokens, "token") + trained;
}

/** Of a stage with max_length: values that leave out no row. The context is a matter of what is suggested. */
export const anyLength = { max_length: Number.MAX_SAFE_INTEGER, allow_beyond_context: true };

export const finalLoss = ({ loss }: { readonly loss: number }): string => `final loss ${loss.toFixed(4)}`;

/** What rows are held against: the stage's own option, or the model's context where that holds less. */
export function limitOf(
  { limits: { longest } }: Pick<Stage, "limits">,
  config: StageConfig,
  { longestRow }: Pick<StageData, "longestRow">,
): { readonly name: string; readonly value: number; readonly isContext: boolean } {
  const chosen = (config as Readonly<Record<string, unknown>>)[longest] as number;
  return longestRow < chosen
    ? { name: "the context", value: longestRow, isContext: true }
    : { name: longest, value: chosen, isContext: false };
}

function lostLines(stage: Pick<Stage, "limits">, config: StageConfig, data: StageData): readonly Line[] {
  const { counts } = data;
  if (counts.overlong === 0) return [];
  const fates = [
    counts.truncated > 0 ? `${count(counts.truncated)} cut to it` : "",
    counts.dropped > 0 ? `${count(counts.dropped)} dropped` : "",
    counts.emptied > 0 ? `${count(counts.emptied)} left out because nothing to train was left` : "",
  ];
  const { value, isContext } = limitOf(stage, config, data);
  const [limit, remedy] = isContext
    ? [`the model's context of ${count(value)}`, "allow_beyond_context"]
    : [`${stage.limits.longest} ${value}`, `a larger ${stage.limits.longest}`];
  const what = `${plural(counts.overlong, "row")} longer than ${limit}: ${fates.filter(Boolean).join(", ")}`;
  const { lostTrainedTokens } = counts;
  const lost = lostTrainedTokens === undefined ? "" : `; ${plural(lostTrainedTokens, "trained token")} lost`;
  return [["lost", `${what}${lost} (${remedy} keeps them)`]];
}

/** Of a stage whose steps draw rows or packs of them. */
function stepsText({ data, plan, totalSteps }: StageStart): string {
  const units = Math.min(data.units.length, plan.unitsPerMicroBatch * plan.microBatchesPerStep);
  const tokens = (data.counts.tokens / data.units.length) * units;
  return `${count(totalSteps)}, each of ${plural(units, data.packing === undefined ? "row" : "pack")} or about ${plural(tokens, "token")}`;
}

/** `own` says what only this stage has to say of its rows, `steps` what it has to say of them. */
export function startLines(
  stage: Pick<Stage, "limits">,
  config: StageConfig,
  run: StageStart,
  own: readonly Line[],
  steps = stepsText(run),
): readonly Line[] {
  const { model, data, prediction, from, damaged, missing, notes } = run;
  return [
    ["model", describeModel(model)],
    ["data", rowsText(config, data)],
    ...lostLines(stage, config, data),
    ...own,
    ...(data.turnEnds === undefined
      ? []
      : ([
          ["turns end", turnEndsText(data.turnEnds, resolveStopIds(model.generationConfig, model.config))],
        ] as const)),
    ["steps", steps],
    ["memory", memoryText(prediction)],
    ...damaged.map(({ dir, reason }): Line => ["damaged", `${dir} was set aside: ${reason}`]),
    ...missing.map((sentence): Line => ["logs", sentence]),
    ...notes.map((sentence): Line => ["note", sentence]),
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
        `after step ${count(steps)}: ${config.early_stopping_patience} evaluations without a better ${describe.judged}; `,
      ],
      alarm: ["alarm", `after step ${count(steps)}; all is saved, and --stop_on_alarm false goes on; `],
      nothing_to_do: [
        "nothing",
        `is left to do: ${checkpoint} is the end of this run. Raise max_steps or num_train_epochs, or begin a new run.`,
      ],
    } as const
  )[end];
  const summary =
    last === undefined
      ? text
      : `${text}${describe.last(last)}; ${plural(last.num_tokens, "token")} in all, ${duration(seconds)}`;
  const next =
    end === "interrupted" || end === "alarm"
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
