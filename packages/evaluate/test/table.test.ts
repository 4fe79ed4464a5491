// The table in lm-evaluation-harness's layout, and scores that leave out what no grader could grade.
import { expect, test } from "vitest";
import type { Graded } from "../src/respond.js";
import { spreadOf } from "../src/spread.js";
import { summarize } from "../src/summary.js";
import { resultTable, settingsLine } from "../src/table.js";

const graded = (outcome: Graded["verdict"]["outcome"], finish: Graded["finish"] = "stop"): Graded => ({
  prompt: "?",
  text: "!",
  finish,
  tokens: 1,
  verdict: { outcome, evidence: "" },
});

test("one task", () => {
  const four = [graded("pass"), graded("fail"), graded("unparseable", "length"), graded("unparseable")];
  const summary = summarize(
    "gsm8k",
    four.map(() => ({ group: undefined })),
    four,
  );
  expect(resultTable(summary, { version: 1, filter: "auto", shots: 0 }).split("\n")).toEqual([
    "|Tasks|Version|Filter|n-shot|  Metric   |   |Value |   |Stderr|95 % interval|",
    "|-----|------:|------|-----:|-----------|---|-----:|---|-----:|------------:|",
    "|gsm8k|      1|auto  |     0|exact_match|↑  |0.2500|±  |0.2500|0.0456-0.6994|",
    "|     |       |auto  |     0|unended    |↓  |0.2500|±  |0.2500|0.0456-0.6994|",
  ]);
  expect(summary.all).toMatchObject({ responses: 4, withoutAnswer: 1, ungraded: 0, unended: { correct: 1 } });
});

test("groups stand below the task and add up to it; what could not be graded counts neither way", () => {
  const rows = [
    ["add", graded("pass")],
    ["sub", graded("infrastructure-error")],
    ["add", graded("fail")],
    [undefined, graded("pass")],
  ] as const;
  const summary = summarize(
    "a|b",
    rows.map(([group]) => ({ group })),
    rows.map(([, own]) => own),
  );
  expect(summary.groups.map(({ name, responses }) => [name, responses])).toEqual([
    ["add", 2],
    ["sub", 1],
    ["other", 1],
  ]);
  expect(summary.all.exactMatch).toMatchObject({ correct: 2, total: 3 });
  const lines = resultTable(summary, { version: 1, filter: "boxed", shots: 2 }).split("\n");
  expect(new Set(lines.slice(0, 7).map((line) => line.length)).size).toBe(1);
  expect(lines[2]).toMatch(/^\|a\/b +\| +1\|boxed \| +2\|exact_match\|↑ {2}\|0\.6667\|/);
  expect(
    lines.slice(4, 7).map((line) =>
      line
        .split("|")
        .slice(1, 8)
        .map((cell) => cell.trim()),
    ),
  ).toEqual([
    ["- add", "1", "boxed", "2", "exact_match", "↑", "0.5000"],
    ["- sub", "1", "boxed", "2", "exact_match", "↑", "N/A"],
    ["- other", "1", "boxed", "2", "exact_match", "↑", "1.0000"],
  ]);
  expect(lines.slice(7).join("\n")).toMatch(/^\n\|Groups\|.*\n\|-.*\n\|a\/b .*0\.6667.*\n\| .*unended/);
});

test("the line above says how", () => {
  const settings = {
    model: "runs/x",
    dtype: "float32",
    generation: { temperature: 0, max_new_tokens: 64 },
    limit: undefined,
    shots: 3,
  };
  expect(settingsLine(settings)).toBe(
    "posttrain (pretrained=runs/x,dtype=float32), gen_kwargs: (temperature=0,max_new_tokens=64), limit: None, num_fewshot: 3, batch_size: auto",
  );
});

test("the spread over groups stands beside what chance alone would give", () => {
  const groups = { calm: [1, 1, 1, 0], odd: [1, 0, 0, 0], none: [] as number[] };
  const rows = Object.entries(groups).flatMap(([group, own]) =>
    own.map((right) => [group, graded(right === 1 ? "pass" : "fail")] as const),
  );
  const all = [...rows, ["broken", graded("infrastructure-error")] as const];
  const spread = spreadOf(
    summarize(
      "t",
      all.map(([group]) => ({ group })),
      all.map(([, own]) => own),
    ),
  );
  expect(spread).toMatchObject({
    ...{ metric: "exact_match", groups: 2, mean: 0.5, byChance: 0.25 },
    lowest: { group: "odd", share: 0.25 },
    highest: { group: "calm", share: 0.75 },
  });
  // The root of (0.25^2 + 0.25^2) / 1.
  expect(spread!.deviation).toBeCloseTo(Math.sqrt(0.125), 12);
  expect(spreadOf(summarize("t", [{ group: "one" }], [graded("pass")]))).toBeUndefined();
});
