// The steps of a builder: each takes items one by one, in order, several under way where it waits for others; what it keeps and drops is counted by reason.
import { inOrder } from "@posttrain/run";
import type { Draft } from "./area.js";
import { drop, keep, type Outcome } from "./outcome.js";

export interface StepCounts {
  readonly step: string;
  readonly taken: number;
  readonly kept: number;
  /** By reason. */
  readonly dropped: Readonly<Record<string, number>>;
  /** Items that somebody gave no answer to: the same command tries them again. */
  readonly unanswered: number;
}

type Items<T> = AsyncIterable<T> | Iterable<T>;

/** `width`: items under way at once. Default: 1. */
export type Step = <In, Out>(
  name: string,
  items: Items<In>,
  work: (item: In) => Outcome<Out> | Promise<Outcome<Out>>,
  width?: number,
) => AsyncGenerator<Out, void, undefined>;

export interface Steps {
  readonly step: Step;
  /** Lets what has been before pass once, by its key; ends where so many in a row have been before that there are hardly others. */
  readonly distinct: <T>(items: Items<T>, keyOf: (item: T) => string) => AsyncGenerator<T, void, undefined>;
  /** From the first step to the last. */
  readonly counts: () => readonly StepCounts[];
  /** Why there was no answer: the first few, each once. */
  readonly reasons: () => readonly string[];
}

export interface StepsOptions {
  /** What a step dropped, in order. */
  readonly onDropped: (dropped: {
    readonly step: string;
    readonly reason: string;
    readonly shown?: unknown;
    readonly review?: Draft;
  }) => Promise<void>;
  readonly signal?: AbortSignal | undefined;
}

const mostReasons = 3;
/** Repeats in a row after which a source counts as used up. */
const patience = 10_000;

export function openSteps({ onDropped, signal }: StepsOptions): Steps {
  const all: {
    step: string;
    taken: number;
    kept: number;
    dropped: Record<string, number>;
    unanswered: number;
  }[] = [];
  const reasons = new Set<string>();

  const step: Step = async function* (name, items, work, width = 1) {
    const counts = { step: name, taken: 0, kept: 0, dropped: {} as Record<string, number>, unanswered: 0 };
    // Steps begin as they are pulled, the last one first.
    all.push(counts);
    for await (const outcome of inOrder(tasksOf(items, work), width)) {
      signal?.throwIfAborted();
      counts.taken++;
      if ("kept" in outcome) {
        counts.kept += outcome.kept.length;
        yield* outcome.kept;
      } else if ("dropped" in outcome) {
        const { dropped: reason, shown, review } = outcome;
        counts.dropped[reason] = (counts.dropped[reason] ?? 0) + 1;
        if (shown !== undefined || review !== undefined)
          await onDropped({
            ...{ step: name, reason },
            ...(shown !== undefined && { shown }),
            ...(review !== undefined && { review }),
          });
      } else {
        counts.unanswered++;
        if (reasons.size < mostReasons) reasons.add(outcome.unanswered);
      }
    }
  };
  return {
    step,
    distinct: (items, keyOf) => {
      const seen = new Set<string>();
      let inARow = 0;
      return step(
        "distinct",
        untilUsedUp(items, () => inARow >= patience),
        (item) => {
          const key = keyOf(item);
          if (seen.has(key)) {
            inARow++;
            return drop("repeat");
          }
          seen.add(key);
          inARow = 0;
          return keep(item);
        },
      );
    },
    counts: () => all.map((counts) => ({ ...counts, dropped: { ...counts.dropped } })).reverse(),
    reasons: () => [...reasons],
  };
}

/** Neighbours with the same key together, such as all samples of one question. */
export async function* grouped<T>(
  items: Items<T>,
  keyOf: (item: T) => string,
): AsyncGenerator<readonly T[], void, undefined> {
  let group: T[] = [];
  let key: string | undefined;
  for await (const item of items) {
    const own = keyOf(item);
    if (own !== key && group.length > 0) {
      yield group;
      group = [];
    }
    key = own;
    group.push(item);
  }
  if (group.length > 0) yield group;
}

async function* tasksOf<In, Out>(
  items: Items<In>,
  work: (item: In) => Outcome<Out> | Promise<Outcome<Out>>,
): AsyncGenerator<() => Promise<Outcome<Out>>, void, undefined> {
  for await (const item of items) yield async () => work(item);
}

async function* untilUsedUp<T>(items: Items<T>, isUsedUp: () => boolean): AsyncGenerator<T, void, undefined> {
  for await (const item of items) {
    if (isUsedUp()) return;
    yield item;
  }
}
