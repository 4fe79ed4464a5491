// What the quickstart prints, and the intervals in it.
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { arithmeticProblem, shortOperands } from "@posttrain/sft";
import { expect, onTestFinished, test } from "vitest";
import type { GradedAnswer } from "../src/quickstart/evaluate.js";
import {
  accuracyTable,
  changes,
  lossCurve,
  percentText,
  rewardCurve,
  sampleAnswers,
  stageAnswers,
  stageTable,
  styleFor,
} from "../src/quickstart/report.js";
import { newFolder, nextRunFolder } from "../src/quickstart/run-folder.js";

const plain = { bold: (text: string) => text, dim: (text: string) => text };
const names = {
  addition: "addition, 1-3 digits",
  subtraction: "subtraction, 1-3 digits",
  multiplication: "multiplication, 2 by 1",
};
/** Half of `count` answers are right: all additions and some others. */
const answers = (count: number, right: (kind: string) => boolean): GradedAnswer[] =>
  Array.from({ length: count }, (_, index) => {
    const problem = arithmeticProblem(index, { seed: 1, split: "heldOut", lengths: shortOperands });
    const correct = right(problem.kind);
    const text = correct ? `1+1=2\nAnswer: ${problem.answer}` : `${"\u0001\n".repeat(80)}`;
    return { problem, text, finish: correct ? "stop" : "length", correct };
  });

test("accuracy by kind and over all", () => {
  const before = answers(500, () => false);
  const after = answers(500, (kind) => kind !== "multiplication");
  const lines = accuracyTable(before, after, names, plain);
  expect(lines.slice(1)).toEqual([
    "addition, 1-3 digits           167     0.0 %  0.0-2.2     100.0 %  97.8-100.0",
    "subtraction, 1-3 digits        167     0.0 %  0.0-2.2     100.0 %  97.8-100.0",
    "multiplication, 2 by 1         166     0.0 %  0.0-2.3       0.0 %  0.0-2.3",
    "all                            500     0.0 %  0.0-0.8      66.8 %  62.6-70.8",
  ]);
});

test("samples show the first of each kind, whatever came back, on lines that fit", () => {
  const lines = sampleAnswers(
    answers(9, () => false),
    answers(9, () => true),
    plain,
  );
  expect(lines.filter((line) => line.startsWith("What is"))).toHaveLength(3);
  expect(lines.filter((line) => line.endsWith("no end"))).toHaveLength(3);
  expect(lines.filter((line) => line.endsWith("right"))).toHaveLength(3);
  for (const line of lines) {
    expect(line.length).toBeLessThanOrEqual(78);
    expect(line).toMatch(/^[\x20-\x7e\u00b7]*$/);
  }
});

test("a table of the stages, what changed between two, and what each says to a problem on which they disagree", () => {
  const stages = [
    { name: "untrained", answers: answers(500, () => false) },
    { name: "fine-tuned", answers: answers(500, (kind) => kind === "multiplication") },
    { name: "  then DPO", answers: answers(500, (kind) => kind !== "addition") },
  ] as const;
  expect(stageTable(stages, plain)).toEqual([
    "                                  of 500",
    "untrained                              0     0.0 %  0.0-0.8",
    "fine-tuned                           166    33.2 %  29.2-37.4",
    "  then DPO                           333    66.6 %  62.4-70.6",
  ]);
  expect(changes(stages[1].answers, stages[2].answers)).toEqual({ gained: 167, lost: 0 });
  expect(changes(stages[2].answers, stages[1].answers)).toEqual({ gained: 0, lost: 167 });
  const said = stageAnswers(stages, stages.slice(1), plain);
  expect(said[0]).toMatch(/^What is \d+ - \d+\?$/);
  expect(said.slice(1).map((line) => line.trim().split(/ {2,}/))).toEqual([
    ["untrained", expect.any(String), "no end"],
    ["fine-tuned", expect.any(String), "no end"],
    ["then DPO", expect.stringMatching(/Answer: \d+/), "right"],
  ]);
  expect(stageAnswers(stages, [], plain)[0]).toMatch(/^What is \d+ \+ \d+\?$/);
  for (const line of said) expect(line.length).toBeLessThanOrEqual(76);
  expect(percentText({ share: 0.62, low: 0.538, high: 0.696 })).toBe("62.0 % (53.8 to 69.6)");
});

test("the curve of rewards", () => {
  const lines = rewardCurve([0.25, 0.5, 0.75, 1]);
  expect(lines[0]).toMatch(/^ {4}1\.00 [┤┼]/);
  expect(lines.at(-2)).toMatch(/^ {4}0\.25 [┤┼]/);
  expect(lines.at(-1)).toMatch(/step 1 +step 4$/);
});

test.each([1, 2, 6, 65, 66, 67, 800, 100_003])("the curve of %d losses fits and falls", (steps) => {
  const lines = lossCurve(Array.from({ length: steps }, (_, i) => 5 * 0.001 ** (i / steps)));
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(78);
  expect(lines.at(-1)).toMatch(/step 1/);
  if (steps > 1) expect(lines.at(-1)).toContain(`step ${steps.toLocaleString("en-US")}`);
  if (steps > 60) {
    const columnOf = (line: string | undefined) => [...(line ?? "")].findLastIndex((c) => "╮─╰┼".includes(c));
    expect(columnOf(lines[0])).toBeLessThan(columnOf(lines[4]));
    expect(columnOf(lines[4])).toBeLessThan(columnOf(lines.at(-2)));
  }
});

test("a loss of zero is drawn, not lost", () => {
  expect(lossCurve([1, 0, 0]).join("\n")).not.toMatch(/NaN|Infinity/);
});

test("no escape codes without a terminal", () => {
  const { bold, dim } = styleFor({ isTTY: false } as NodeJS.WriteStream);
  expect(bold("a") + dim("b")).toBe("ab");
  const noColor = styleFor({ isTTY: true, hasColors: () => false } as unknown as NodeJS.WriteStream);
  expect(noColor.bold("a")).toBe("a");
});

test("each run gets a folder of its own; a named one has to be new", async () => {
  const parent = await mkdtemp(join(tmpdir(), "posttrain-runs-"));
  onTestFinished(() => rm(parent, { recursive: true, force: true }));
  const runs = join(parent, "runs");
  expect(await nextRunFolder(runs)).toBe(join(runs, "quickstart-1"));
  expect(await nextRunFolder(runs)).toBe(join(runs, "quickstart-2"));
  await mkdir(join(runs, "quickstart-4"));
  expect(await nextRunFolder(runs)).toBe(join(runs, "quickstart-3"));
  expect(await nextRunFolder(runs)).toBe(join(runs, "quickstart-5"));

  expect(await newFolder(join(runs, "mine", "own"))).toBe(join(runs, "mine", "own"));
  expect(await newFolder(join(runs, "mine", "own"))).toBe(join(runs, "mine", "own"));
  await writeFile(join(runs, "file"), "");
  const refusal = (dir: string) => newFolder(join(runs, dir)).then(String, (error: unknown) => error);
  expect(await refusal("mine")).toMatchObject({ name: "UserError", code: "output_dir_used" });
  expect(await refusal("file")).toBeInstanceOf(UserError);
  const blocked = await nextRunFolder(join(runs, "file")).then(String, (error: unknown) => error);
  expect(blocked).toMatchObject({ code: "bad_output_dir" });
  expect(await readdir(join(runs, "mine"))).toEqual(["own"]);
});
