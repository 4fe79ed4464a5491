// What a run will do with its rows: rows, packs, micro-batches and optimizer steps of a step, an epoch and the run.
import { type PlannedRun, planSteps, totalStepsOf } from "@posttrain/train";
import { count } from "../format.js";
import type { StageConfig, StageData, StageRow } from "../stages/stage.js";

export interface Amounts {
  readonly rows: number;
  /** Without packing: the rows. */
  readonly packs: number;
  readonly micro_batches: number;
  readonly optimizer_steps: number;
  readonly tokens: number;
  /** Where tokens are what is learnt. */
  readonly trained_tokens?: number;
}

export interface Plan {
  /** Means over an epoch. */
  readonly step: Amounts;
  readonly epoch: Amounts;
  /** `exact`: whole epochs; else rows and tokens of the last part are estimated. */
  readonly run: Amounts & { readonly epochs: number; readonly exact: boolean };
  readonly packing: { readonly waste_tokens: number; readonly waste_share: number } | null;
}

/** Of at least one row to train on. */
export function planOf(
  config: StageConfig,
  data: StageData,
  { stage, totalSteps }: PlannedRun<StageRow>,
): Plan {
  const micro = config.per_device_train_batch_size;
  const plan = planSteps(data.units.length, micro, config.gradient_accumulation_steps);
  const steps = totalSteps ?? totalStepsOf(config, plan);
  const rows = data.units.flat();
  const sequences = rows.flatMap(stage.sequencesOf);
  const epoch: Amounts = {
    rows: rows.length,
    packs: data.units.length,
    micro_batches: Math.ceil(data.units.length / micro),
    optimizer_steps: plan.stepsPerEpoch,
    tokens: sequences.reduce((sum, { tokens }) => sum + tokens, 0),
    ...(data.counts.trainedTokens !== undefined && {
      trained_tokens: sequences.reduce((sum, { predictions }) => sum + predictions, 0),
    }),
  };
  const whole = Math.floor(steps / plan.stepsPerEpoch);
  const rest = (steps % plan.stepsPerEpoch) * micro * config.gradient_accumulation_steps;
  const epochs = whole + Math.min(1, rest / data.units.length);
  return {
    step: scaled(epoch, 1 / plan.stepsPerEpoch),
    epoch,
    run: { ...scaled(epoch, epochs), optimizer_steps: steps, epochs, exact: rest === 0 },
    packing: data.packing
      ? {
          waste_tokens: data.packing.waste,
          waste_share: data.packing.waste / (data.packing.waste + data.packing.tokens),
        }
      : null,
  };
}

function scaled(amounts: Amounts, factor: number): Amounts {
  const of = (value: number): number => Math.round(value * factor * 100) / 100;
  return {
    rows: of(amounts.rows),
    packs: of(amounts.packs),
    micro_batches: of(amounts.micro_batches),
    optimizer_steps: of(amounts.optimizer_steps),
    tokens: of(amounts.tokens),
    ...(amounts.trained_tokens !== undefined && { trained_tokens: of(amounts.trained_tokens) }),
  };
}

/** Columns of 14 cells. `drawn`: what steps draw where it is no row; then tokens are the most that there may be. */
export function stepTable({ step, epoch, run, packing }: Plan, drawn?: string): readonly string[] {
  const line = (name: string, ...cells: readonly string[]): string =>
    name.padEnd(18) + cells.map((cell) => cell.padStart(14)).join("");
  const row = (name: string, key: keyof Amounts): string => {
    const mean = step[key] ?? 0;
    const about = run.exact || key === "optimizer_steps" ? "" : "about ";
    return line(
      name,
      mean < 10 && !Number.isInteger(mean) ? mean.toFixed(2) : count(mean),
      count(epoch[key] ?? 0),
      about + count(run[key] ?? 0),
    );
  };
  return [
    line("", "a step (mean)", "an epoch", `${Number(run.epochs.toFixed(2))} epochs`),
    row(drawn === undefined ? "rows" : `${drawn}s`, "rows"),
    ...(packing === null ? [] : [row("packs", "packs")]),
    row("micro-batches", "micro_batches"),
    row("optimizer steps", "optimizer_steps"),
    row(drawn === undefined ? "tokens" : "tokens, at most", "tokens"),
    ...(epoch.trained_tokens === undefined ? [] : [row("trained tokens", "trained_tokens")]),
  ];
}
