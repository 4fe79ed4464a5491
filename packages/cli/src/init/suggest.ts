// A config for one's own model and rows: each value with the reason for it, from what was measured of both. Where a value is judgement
// and not arithmetic, the reason says so.
import { byteText, packBestFit } from "@posttrain/data";
import type { Qwen2Config } from "@posttrain/model";
import { microBatchBytes, planSteps } from "@posttrain/train";
import { count } from "../format.js";
import type { Stage } from "../stages/stage.js";
import { summarizeLengths } from "../validate/lengths.js";

export interface Facts {
  readonly config: Qwen2Config;
  readonly parameters: number;
  /** Tokens of each sound row's longest sequence, however long; at least one row. */
  readonly lengths: readonly number[];
  /** Rows that can be kept out of training: 0 where equal rows leave no choice. */
  readonly heldOut: number;
  /** Bytes of the machine. */
  readonly memory: number;
}

export interface Suggestion {
  readonly key: string;
  readonly value: string | number | boolean | readonly string[];
  readonly reason: string;
}

/** Of the machine's memory; the rest is for the system. */
const usableShare = 0.85;
/** Of a checkpoint: weights and moments. */
const checkpointBytesPerParameter = 12;
/** More in a micro-batch makes nothing faster. */
const mostMicroTokens = 16_384;

/** Values for the keys that the stage has. */
export async function suggest(
  stage: Stage,
  { config, parameters, lengths, heldOut, memory }: Facts,
): Promise<readonly Suggestion[]> {
  const context = config.maxPositionEmbeddings;
  const { median, p99, longest } = summarizeLengths(lengths);
  const maxLength = Math.max(2, Math.min(context, roundUp(longest)));
  const fitting = lengths.filter((length) => length <= maxLength);
  const beyond = lengths.length - fitting.length;
  const packing = "packing" in stage.config.shape && 2 * median <= maxLength && fitting.length > 1;

  const trainRows = Math.max(1, fitting.length - heldOut);
  const mean = fitting.reduce((sum, length) => sum + length, 0) / Math.max(1, fitting.length);
  const { draws = 1 } = stage.suggest;
  const rowsPerStep = draws * powerOfTwo(Math.min(32, trainRows / 20));
  const packs = packing ? packBestFit(fitting, maxLength).bins.length : draws * trainRows;
  const units = Math.max(
    1,
    Math.round((packs * trainRows) / Math.max(1, packing ? fitting.length : trainRows)),
  );
  const unitsPerStep = packing ? powerOfTwo((rowsPerStep * mean) / maxLength) : rowsPerStep;
  const unitTokens = packing ? maxLength : Math.min(maxLength, p99);
  const row = stage.suggest.row(
    Int32Array.from({ length: Math.max(2, unitTokens) }, (_, i) => i % config.vocabSize),
  );
  const sized = stage.suggest.sized?.({ context, longest: maxLength }) ?? [];
  const defaults = stage.config.parse({
    ...{ model_name_or_path: "", data: "rows", output_dir: "" },
    ...Object.fromEntries(sized.map(({ key, value }) => [key, value])),
  });
  const planned = stage.plan(defaults, { model: config, units: [[row]], evalRows: [] });
  // Of a row of several sequences all go through the model, and what is written after a prompt too.
  const sequences = planned.stage.sequencesOf(row);
  const rowTokens = sequences.reduce((sum, { tokens }) => sum + tokens, 0);
  const meanTokens = rowTokens + sequences.length * (mean - unitTokens);
  const bytes = (micro: number, checkpointing: boolean) =>
    microBatchBytes(planned, new Array<typeof row>(micro).fill(row), checkpointing);
  const fits = async (micro: number, checkpointing: boolean): Promise<boolean> =>
    micro * rowTokens <= Math.max(mostMicroTokens, rowTokens) &&
    (await bytes(micro, checkpointing)).resident <= usableShare * memory;
  const checkpointing = !(await fits(unitsPerStep, false));
  let micro = unitsPerStep;
  while (micro > 1 && !(await fits(micro, checkpointing))) micro /= 2;
  const accumulation = unitsPerStep / micro;
  const { stepsPerEpoch } = planSteps(units, micro, accumulation);
  const { totalSteps, values } = stage.suggest.recipe({ parameters, stepsPerEpoch });
  const every = Math.max(1, Math.ceil(totalSteps / 4));
  const unit = packing ? "packs" : `${stage.describe.drawn ?? "row"}s`;
  const { resident: needed } = await bytes(micro, checkpointing);

  const all: readonly Suggestion[] = [
    {
      key: stage.limits.longest,
      value: maxLength,
      reason:
        (beyond > 0
          ? `the model's context; ${count(beyond)} of ${count(lengths.length)} rows are longer, the longest has ${count(longest)} tokens: shorten them${stage.limits.overlong === undefined ? "" : `, or choose ${stage.limits.overlong} drop or truncate`}`
          : `holds the longest row, ${count(longest)} tokens, so that nothing is cut`) +
        `; median ${count(median)}, 99 % at most ${count(p99)}; the context holds ${count(context)}`,
    },
    {
      key: "on_overlong",
      value: "error",
      reason: "a longer row stops the run instead of being cut without a word",
    },
    {
      key: "packing",
      value: packing,
      reason: packing
        ? "rows are short beside max_length: packs of whole rows make steps of one size, and no row sees another"
        : "rows are about as long as max_length, so a pack would hold one",
    },
    {
      key: "per_device_train_batch_size",
      value: micro,
      reason: `${unit} in a micro-batch, ${count(micro * rowTokens)} tokens: about ${byteText(needed)} in all, ${byteText(memory)} are there${needed > memory ? ": this will not fit, take a smaller model or shorter rows" : ""}`,
    },
    {
      key: "gradient_accumulation_steps",
      value: accumulation,
      reason: `micro-batches in a step: ${count(unitsPerStep)} ${unit}, about ${count(packing ? unitsPerStep * maxLength : unitsPerStep * meanTokens)} tokens${stage.describe.drawn === undefined ? "" : " at most"}, and ${count(stepsPerEpoch)} steps an epoch`,
    },
    {
      key: "gradient_checkpointing",
      value: checkpointing,
      reason: checkpointing
        ? `activations would take about ${byteText((await bytes(micro, false)).activations)} without it; the same bits, and every forward pass twice`
        : "the activations fit, so nothing has to be computed twice; the same bits either way",
    },
    ...sized,
    ...values,
    ...evaluation(heldOut, every),
    {
      key: "save_steps",
      value: every,
      reason: `four checkpoints of about ${byteText(checkpointBytesPerParameter * parameters)}; a kill costs at most so many steps`,
    },
    { key: "save_total_limit", value: 2, reason: "the newest two are kept" },
    { key: "seed", value: 42, reason: "same seed, same weights to the last bit" },
  ];
  return all.filter(({ key }) => key in stage.config.shape);
}

function evaluation(heldOut: number, every: number): readonly Suggestion[] {
  if (heldOut === 0) {
    return [
      {
        key: "val_size",
        value: 0,
        reason: "too few different rows to keep some out of training; eval_data takes a file",
      },
    ];
  }
  return [
    {
      key: "val_size",
      value: heldOut,
      reason: "rows kept out of training, to see whether it learns more than these rows",
    },
    { key: "eval_steps", value: every, reason: "with each checkpoint" },
  ];
}

/** Rows to keep out of `rows`: a twentieth, at most 500. */
export function heldOutRows(rows: number): number {
  return rows < 50 ? 0 : Math.min(500, Math.round(rows / 20));
}

const roundUp = (length: number): number => Math.ceil(length / 64) * 64;

/** The largest power of two that is not above `value`; at least 1. */
const powerOfTwo = (value: number): number => 2 ** Math.max(0, Math.floor(Math.log2(Math.max(1, value))));
