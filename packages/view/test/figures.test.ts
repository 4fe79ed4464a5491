// Metrics of every stage as figures, points in bounded memory, and the metrics of a run as they grow.
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { Series } from "../src/api.js";
import { figuresOf } from "../src/figures.js";
import { followMetrics } from "../src/metrics.js";
import { createSeries } from "../src/series.js";

const folder = mkdtempSync(join(tmpdir(), "posttrain-view-"));
afterAll(() => rmSync(folder, { recursive: true }));

const some: Series = { steps: [1], values: [0.5] };
const figures = (...names: readonly string[]): Record<string, string[]> =>
  Object.fromEntries(
    figuresOf(new Map(names.map((name) => [name, some])))
      .sections.flatMap((section) => section.figures)
      .map(({ title, series }) => [title, series.map(({ name, label }) => `${name}: ${label}`)]),
  );

test("held-out numbers stand beside those of training", () => {
  expect(figures("loss", "eval_loss", "eval_entropy", "entropy")).toEqual({
    Loss: ["loss: training", "eval_loss: held out"],
    Entropy: ["entropy: training", "eval_entropy: held out"],
  });
  expect(figures("solve_rate", "eval_accuracy")).toEqual({
    "Solve rate": ["solve_rate: training", "eval_accuracy: held out"],
  });
  expect(figures("accuracy", "eval_accuracy", "eval_accuracy/helpfulness")).toEqual({
    Accuracy: ["accuracy: better above worse", "eval_accuracy: better above worse, held out"],
    "Held-out accuracy: helpfulness": ["eval_accuracy/helpfulness: held out"],
  });
});

test("each reward has a figure by its name, and nothing that a run logs is left out", () => {
  expect(figures("rewards/length/mean", "rewards/a b/std", "eval_x", "x", "new/number", "epoch")).toEqual({
    "Reward: length": ["rewards/length/mean: training"],
    "Deviation of the reward: a b": ["rewards/a b/std: training"],
    x: ["x: training", "eval_x: held out"],
    "new/number": ["new/number: training"],
  });
});

test("a series has every point until there are more than five hundred, then means with their extremes", () => {
  const few = createSeries();
  for (let step = 1; step <= 500; step++) few.add(step, step / 2);
  expect(few.series().together).toBeUndefined();
  expect(few.series().steps).toHaveLength(500);

  const many = createSeries();
  for (let step = 1; step <= 100_000; step++) many.add(step, step % 2);
  const { steps, values, together } = many.series();
  expect(steps.length).toBeGreaterThan(250);
  expect(steps.length).toBeLessThanOrEqual(500);
  expect(steps.at(-1)).toBe(100_000);
  expect(together!.first[1]).toBe(steps[0]! + 1);
  expect(values.slice(1, -1).every((value) => value === 0.5)).toBe(true);
  expect([together!.least[5], together!.most[5]]).toEqual([0, 1]);
  const counts = steps.map((step, i) => step - together!.first[i]! + 1);
  expect(counts.reduce((a, b) => a + b)).toBe(100_000);
});

test("metrics as they grow: newest step, time left, numbers that are none, lines that cannot be read", async () => {
  const log = join(folder, "metrics.jsonl");
  writeFileSync(log, '{"step":0,"eval_loss":3}\n{"step":1,"loss":2,"num_tokens":10}\n');
  const read = followMetrics(folder);
  expect(await read()).toMatchObject({ step: 1, tokens: 10, totalSteps: undefined, notes: [] });
  appendFileSync(log, 'no JSON\n{"step":2,"loss":"NaN","num_tokens":20}\n{"step":3,"loss":1,"num_to');
  writeFileSync(
    join(folder, "trainer_log.jsonl"),
    '{"current_steps":2,"total_steps":9,"elapsed_time":"0:00:02","remaining_time":"0:00:07"}\n',
  );
  const now = await read();
  expect(now).toMatchObject({ step: 1, tokens: 20, totalSteps: 9, remaining: "0:00:07" });
  expect(now.series.get("loss")).toEqual({ steps: [1], values: [2] });
  expect(now.notes).toHaveLength(1);
  expect(now.notes[0]).toContain("metrics.jsonl: a line is no JSON object");
  expect(now.notes[0]).toContain("line 3");
});
