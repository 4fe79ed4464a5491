// Which prompts are trained next: those whose responses' rewards vary most come first, as the Qwen2.5 report has it (arXiv 2412.15115, 4.3). A
// choice is a function of (statistics, seed, step) alone; the statistics are those of the steps before.
import { permutation, uniform } from "@posttrain/data";
import { noStatistics, type PromptStatistics, solveRateOf, varianceOf } from "./statistics.js";

export const queueOrders = ["variance", "weighted", "uniform"] as const;

export interface QueueOptions {
  /**
   * variance: each prompt once a pass, the largest variance first, ties by id; a new pass ranks by what is known then.
   * weighted: at every step anew, p in proportion to variance ** gamma, none twice in a step.
   * uniform: each prompt once a pass, in a random order.
   */
  readonly order: (typeof queueOrders)[number];
  readonly gamma: number;
  /** Only prompts whose solve rate lies in this range, ends included; undefined: all. Those without verdicts stay in. */
  readonly solveRates: readonly [least: number, most: number] | undefined;
  /** A prompt rests after so many groups in a row without any difference in reward ... */
  readonly retireAfter: number;
  /** ... for so many passes, then one group decides again. */
  readonly revisitAfter: number;
  readonly seed: number;
}

export interface QueueState {
  /** From 0. A pass is over when every prompt that takes part was drawn; with `weighted`, when as many were drawn as take part. */
  readonly pass: number;
  /** Ids that this pass has yet to draw, next first; empty with `weighted`, which has no order. */
  readonly left: readonly string[];
  /** Prompts drawn so far. */
  readonly drawn: number;
  /** By id, in the order of ids. */
  readonly prompts: ReadonlyMap<string, PromptStatistics>;
  /** Id to the pass in which it was retired. */
  readonly retired: ReadonlyMap<string, number>;
}

export function newQueue(ids: readonly string[]): QueueState {
  const prompts = new Map([...ids].sort(byText).map((id) => [id, noStatistics]));
  return { pass: -1, left: [], drawn: 0, prompts, retired: new Map() };
}

/** Puts what was observed of prompts in the place of what was known. Prompts whose rewards have stopped to differ are retired. */
export function commit(
  queue: QueueState,
  observed: ReadonlyMap<string, PromptStatistics>,
  { retireAfter }: Pick<QueueOptions, "retireAfter">,
): QueueState {
  const prompts = new Map(queue.prompts);
  const retired = new Map(queue.retired);
  for (const [id, statistics] of observed) {
    prompts.set(id, statistics);
    if (statistics.equalInARow >= retireAfter) retired.set(id, queue.pass);
    else retired.delete(id);
  }
  return { ...queue, prompts, retired };
}

/**
 * Ids that take part in a pass, in their order: those that rest only where there are fewer than `wanted` others, the longest rested first.
 */
export function taking(
  { prompts, retired }: QueueState,
  pass: number,
  { solveRates, revisitAfter }: Pick<QueueOptions, "solveRates" | "revisitAfter">,
  wanted = 0,
): readonly string[] {
  const inRange = [...prompts].flatMap(([id, statistics]) => {
    const rate = solveRateOf(statistics);
    const fits =
      solveRates === undefined || rate === undefined || (rate >= solveRates[0] && rate <= solveRates[1]);
    return fits ? [id] : [];
  });
  const since = (id: string): number => retired.get(id) ?? Number.NEGATIVE_INFINITY;
  const rested = inRange.filter((id) => pass - since(id) >= revisitAfter);
  if (rested.length >= wanted) return rested;
  const resting = inRange.filter((id) => pass - since(id) < revisitAfter).sort((a, b) => since(a) - since(b));
  const woken = new Set([...rested, ...resting.slice(0, wanted - rested.length)]);
  return inRange.filter((id) => woken.has(id));
}

export interface Drawn {
  readonly ids: readonly string[];
  readonly queue: QueueState;
}

/**
 * The next `count` prompts, none twice and none of `not` (drawn for the same step before); fewer only where fewer take part. `draw` counts the
 * draws of a run from 0: it is what random orders are drawn by.
 */
export function draw(
  queue: QueueState,
  count: number,
  options: QueueOptions,
  drawNumber: number,
  not: ReadonlySet<string> = new Set(),
): Drawn {
  return options.order === "weighted"
    ? drawWeighted(queue, count, options, drawNumber, not)
    : drawInPasses(queue, count, options, not);
}

function drawInPasses(
  queue: QueueState,
  count: number,
  options: QueueOptions,
  not: ReadonlySet<string>,
): Drawn {
  const ids: string[] = [];
  let { pass, left } = queue;
  // A second pass may begin within a draw, but a third would give some prompt twice.
  for (let begun = 0; ids.length < count; begun++) {
    const chosen = new Set([...not, ...ids]);
    const free = left.filter((id) => !chosen.has(id)).slice(0, count - ids.length);
    ids.push(...free);
    const taken = new Set(free);
    left = left.filter((id) => !taken.has(id));
    if (ids.length === count || begun === 2) break;
    // What is left was drawn for this very step already: it waits for the next draw of its pass.
    if (left.length > 0) break;
    pass++;
    left = ranked(queue, pass, options, count + not.size);
  }
  return { ids, queue: { ...queue, pass, left, drawn: queue.drawn + ids.length } };
}

function ranked(queue: QueueState, pass: number, options: QueueOptions, wanted: number): readonly string[] {
  const ids = taking(queue, pass, options, wanted);
  if (options.order === "uniform") {
    return Array.from(permutation(options.seed, "shuffling", pass, ids.length), (i) => ids[i] as string);
  }
  // What nobody has tried may vary by anything. The sort is stable, so ties stay in the order of ids.
  const variance = (id: string): number =>
    varianceOf(queue.prompts.get(id) as PromptStatistics) ?? Number.POSITIVE_INFINITY;
  const keyed = ids.map((id) => [id, variance(id)] as const);
  return keyed.sort(([, a], [, b]) => (a === b ? 0 : b - a)).map(([id]) => id);
}

/** By exponential clocks: the first of them to ring is drawn in proportion to its rate (Efraimidis and Spirakis, 2006). */
function drawWeighted(
  queue: QueueState,
  count: number,
  options: QueueOptions,
  drawNumber: number,
  not: ReadonlySet<string>,
): Drawn {
  const pass = Math.max(queue.pass, 0);
  const part = taking(queue, pass, options, count + not.size);
  const places = new Map([...queue.prompts.keys()].map((id, i) => [id, i]));
  const clocks = part
    .filter((id) => !not.has(id))
    .map((id) => {
      const variance = varianceOf(queue.prompts.get(id) as PromptStatistics);
      const chance = uniform(options.seed, "shuffling", [places.get(id) as number, drawNumber, 1, 0]);
      const rate = variance === undefined ? Number.POSITIVE_INFINITY : variance ** options.gamma;
      // Prompts that do not vary come when nothing else is left, those not yet tried first; either in a random order.
      return { id, clock: rate === 0 ? Number.POSITIVE_INFINITY : -Math.log1p(-chance) / rate, chance };
    });
  clocks.sort((a, b) => (a.clock === b.clock ? a.chance - b.chance : a.clock - b.clock));
  const ids = clocks.slice(0, count).map(({ id }) => id);
  const drawn = queue.drawn + ids.length;
  const over = drawn >= (pass + 1) * Math.max(1, part.length);
  return { ids, queue: { ...queue, pass: over ? pass + 1 : pass, drawn } };
}

/** A queue as it stands in checkpoints. */
export interface StoredQueue {
  readonly schema: "prompt_queue@1";
  readonly pass: number;
  readonly left: readonly string[];
  readonly drawn: number;
  readonly prompts: readonly (PromptStatistics & { readonly id: string; readonly retired?: number })[];
}

export function storeQueue({ pass, left, drawn, prompts, retired }: QueueState): StoredQueue {
  const rows = [...prompts].map(([id, statistics]) => {
    const since = retired.get(id);
    return { id, ...statistics, ...(since !== undefined && { retired: since }) };
  });
  return { schema: "prompt_queue@1", pass, left, drawn, prompts: rows };
}

export function restoreQueue({ pass, left, drawn, prompts }: StoredQueue): QueueState {
  return {
    ...{ pass, left, drawn },
    prompts: new Map(
      prompts.map(({ id, retired: _, ...statistics }) => [id, { ...noStatistics, ...statistics }]),
    ),
    retired: new Map(prompts.flatMap(({ id, retired }) => (retired === undefined ? [] : [[id, retired]]))),
  };
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
