// metrics.jsonl and trainer_log.jsonl of a run, as they grow.
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { Series } from "./api.js";
import { followLines } from "./lines.js";
import { createSeries, type GrowingSeries } from "./series.js";

export interface RunMetrics {
  /** By their names in metrics.jsonl, in the order in which they came up. */
  readonly series: ReadonlyMap<string, Series>;
  /** Of the newest training line. */
  readonly step: number;
  readonly tokens: number | undefined;
  readonly totalSteps: number | undefined;
  readonly elapsed: string | undefined;
  readonly remaining: string | undefined;
  readonly written: number | undefined;
  readonly notes: readonly string[];
}

/** Returns a function that takes in what has come since it was called last. */
export function followMetrics(dir: string): () => Promise<RunMetrics> {
  const path = join(dir, "metrics.jsonl");
  let series = new Map<string, GrowingSeries>();
  let lines = 0;
  let step = 0;
  let tokens: number | undefined;
  let unreadable: { count: number; readonly first: number } | undefined;
  const take = followLines(path, {
    restart: () => {
      series = new Map();
      lines = 0;
      step = 0;
      tokens = undefined;
      unreadable = undefined;
    },
    line: (text) => {
      lines++;
      const line = objectOf(text);
      const at = line?.["step"];
      if (line === undefined || typeof at !== "number") {
        if (unreadable === undefined) unreadable = { count: 1, first: lines };
        else unreadable.count++;
        return;
      }
      if (typeof line["loss"] === "number") step = at;
      if (typeof line["num_tokens"] === "number") tokens = line["num_tokens"];
      for (const [name, value] of Object.entries(line)) {
        // What is not finite is written as text: there is nothing to draw.
        if (name === "step" || typeof value !== "number") continue;
        let own = series.get(name);
        if (own === undefined) {
          own = createSeries();
          series.set(name, own);
        }
        own.add(at, value);
      }
    },
  });
  let log: Readonly<Record<string, unknown>> = {};
  const takeLog = followLines(join(dir, "trainer_log.jsonl"), {
    restart: () => {
      log = {};
    },
    line: (text) => {
      log = objectOf(text) ?? log;
    },
  });
  return async () => {
    await take();
    await takeLog();
    const { total_steps: total, elapsed_time: elapsed, remaining_time: remaining } = log;
    return {
      series: new Map([...series].map(([name, own]) => [name, own.series()])),
      ...{ step, tokens },
      totalSteps: typeof total === "number" ? total : undefined,
      elapsed: typeof elapsed === "string" ? elapsed : undefined,
      remaining: typeof remaining === "string" ? remaining : undefined,
      written: await stat(path).then(
        ({ mtimeMs }) => mtimeMs,
        () => undefined,
      ),
      notes:
        unreadable === undefined
          ? []
          : [
              `${path}: ${unreadable.count === 1 ? "a line is" : `${unreadable.count} lines are`} no JSON object with a number step, the first is line ${unreadable.first}. What is drawn lacks them.`,
            ],
    };
  };
}

function objectOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
