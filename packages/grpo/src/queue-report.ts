// What a run's queue looks like to a person: how often its prompts are solved, which have moved, which rest.
import { type Checkpoint, newestCheckpoint } from "@posttrain/run";
import { readState } from "./state.js";
import { type PromptStatistics, solveRateOf, varianceOf } from "./statistics.js";

export interface QueuedPrompt {
  readonly id: string;
  /** Undefined where nothing has been graded yet. */
  readonly solveRate: number | undefined;
  readonly firstSolveRate: number | undefined;
  readonly variance: number | undefined;
  readonly groups: number;
  /** The pass in which it was retired. */
  readonly retired: number | undefined;
}

export interface QueueReport {
  readonly checkpoint: Checkpoint;
  readonly pass: number;
  /** Prompts that this pass has yet to draw, next first. */
  readonly left: readonly string[];
  readonly prompts: readonly QueuedPrompt[];
  /** Number of prompts by solve rate: 0, then tenths up to but without 1, then 1. */
  readonly histogram: readonly { readonly label: string; readonly count: number }[];
}

/** Of the newest checkpoint of a run; undefined where there is none. UserError `bad_trainer_state` for another stage's. */
export async function readQueue(runDir: string): Promise<QueueReport | undefined> {
  const { checkpoint } = await newestCheckpoint(runDir);
  if (checkpoint === undefined) return undefined;
  const { queue } = await readState(checkpoint);
  const prompts = [...queue.prompts].map(([id, statistics]) =>
    promptOf(id, statistics, queue.retired.get(id)),
  );
  return { checkpoint, pass: queue.pass, left: queue.left, prompts, histogram: histogramOf(prompts) };
}

function promptOf(id: string, statistics: PromptStatistics, retired: number | undefined): QueuedPrompt {
  return {
    id,
    solveRate: solveRateOf(statistics),
    firstSolveRate: statistics.firstSolved,
    variance: varianceOf(statistics),
    groups: statistics.groups,
    retired,
  };
}

export function histogramOf(prompts: readonly Pick<QueuedPrompt, "solveRate">[]): QueueReport["histogram"] {
  const tenths = Array.from({ length: 10 }, (_, i) => ({
    label: i === 0 ? "up to 10 %" : `${10 * i} to ${10 * (i + 1)} %`,
    fits: (rate: number) => rate > 0 && rate < 1 && Math.min(9, Math.floor(10 * rate)) === i,
  }));
  const bins = [
    { label: "never", fits: (rate: number) => rate === 0 },
    ...tenths,
    { label: "always", fits: (rate: number) => rate === 1 },
  ];
  return bins.map(({ label, fits }) => ({
    label,
    count: prompts.filter(({ solveRate }) => solveRate !== undefined && fits(solveRate)).length,
  }));
}

/** Those whose solve rate has changed most since they were first seen, the largest changes first, ties by id. */
export function movers(prompts: readonly QueuedPrompt[], count: number): readonly QueuedPrompt[] {
  const change = ({ solveRate, firstSolveRate }: QueuedPrompt): number =>
    Math.abs((solveRate ?? 0) - (firstSolveRate ?? solveRate ?? 0));
  return prompts
    .filter((prompt) => change(prompt) > 0)
    .sort((a, b) => change(b) - change(a) || (a.id < b.id ? -1 : 1))
    .slice(0, count);
}
