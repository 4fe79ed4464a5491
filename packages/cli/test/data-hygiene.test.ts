/** posttrain data dedup, filter, decontaminate: what stays, what goes with which reason, and what is left behind when something is wrong. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { conversation, type Outcome, posttrain, writeRows } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "posttrain-hygiene-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
});

const rowsIn = (name: string): Record<string, unknown>[] =>
  readFileSync(join(folder, name), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

const run = (...args: readonly string[]): Promise<Outcome> =>
  posttrainHere(["data", ...args], { cwd: folder });

const story =
  "Once upon a time a fox met a crow who held a piece of cheese in her beak and he asked her very kindly to sing a song for him";

test("dedup: copies and near copies go beside, each with the row that stays", async () => {
  const rows = [
    conversation("Tell me a story.", story),
    conversation("Name a river.", "The Rhine."),
    conversation("tell me a  story.", story.toUpperCase()),
    conversation("Tell me a story.", `${story} today`),
    { ...conversation("Name a river.", "The Elbe."), source: "b" },
  ];
  writeRows(folder, "rows.jsonl", rows);
  const { code, out, err } = await run("dedup", "--data", "rows.jsonl", "--output", "unique.jsonl", "--json");
  expect({ code, json: JSON.parse(out) as unknown }).toEqual({
    code: 0,
    json: {
      ...{ rows: 5, kept: 3, removed: { exact_duplicate: 1, near_duplicate: 1 }, compared: 1, confirmed: 1 },
      ...{ output: "unique.jsonl", removed_rows: "unique.jsonl.removed" },
    },
  });
  expect(rowsIn("unique.jsonl")).toEqual([rows[0], rows[1], rows[4]]);
  expect(rowsIn("unique.jsonl.removed")).toMatchObject([
    {
      file: "rows.jsonl",
      line: 3,
      reason: "exact_duplicate",
      kept: { file: "rows.jsonl", line: 1 },
      row: rows[2],
    },
    {
      file: "rows.jsonl",
      line: 4,
      reason: "near_duplicate",
      kept: { file: "rows.jsonl", line: 1 },
      row: rows[3],
    },
  ]);
  expect(err).toContain(
    "rows.jsonl, line 4: is near to others; of these stays rows.jsonl, line 1 | Tell me a story.",
  );
  expect(readdirSync(folder).sort()).toEqual(["rows.jsonl", "unique.jsonl", "unique.jsonl.removed"]);

  const again = await run("dedup", "--data", "rows.jsonl", "--output", "unique.jsonl");
  expect(again).toMatchObject({ code: 1, err: expect.stringContaining("unique.jsonl already exists") });
  const exact = await run("dedup", "--data", "rows.jsonl", "--method", "exact", "--output", "exact.parquet");
  expect(exact.code).toBe(0);
  expect(exact.err).toContain("5 rows, 4 stay, 1 removed (20.0 %)");
  expect((await run("stats", "--data", "exact.parquet")).out).toContain("exact.parquet: 4 rows");
});

test("dedup: nothing removed leaves no second file; a bad row ends with its place and leaves nothing", async () => {
  writeRows(folder, "rows.jsonl", [conversation("a", "b"), conversation("c", "d")]);
  expect((await run("dedup", "--data", "rows.jsonl", "--output", "unique.jsonl")).code).toBe(0);
  expect(readdirSync(folder).sort()).toEqual(["rows.jsonl", "unique.jsonl"]);
  writeRows(folder, "bad.jsonl", [conversation("a", "b"), conversation("c", " ")]);
  const bad = await run("dedup", "--data", "bad.jsonl", "--output", "other.jsonl");
  expect(bad).toMatchObject({ code: 1, err: expect.stringContaining("bad.jsonl, line 2") });
  expect(readdirSync(folder).sort()).toEqual(["bad.jsonl", "rows.jsonl", "unique.jsonl"]);
});

const questions = [
  {
    question:
      "Tom has twelve apples and gives three of them to his sister Ann. How many apples does Tom have now?",
    answer: "9",
  },
  { question: "What is 2 + 3?", answer: "5" },
  {
    problem:
      "A train travels sixty miles an hour for three hours and then stops. How far has the train gone in all?",
    solution: "180",
  },
];
const trainedOn = [
  conversation("Name a river.", "The Rhine."),
  conversation(
    "Solve this: tom has twelve apples, and he gives three of them to his sister Ann; how many apples does tom have?",
    "9",
  ),
  conversation("What is 2 + 3?", "5"),
  { question: questions[2]!.problem!.toUpperCase() },
];

test("decontaminate: what a benchmark asks goes, with the item; items too short to match are listed", async () => {
  writeRows(folder, "bench.jsonl", questions);
  writeRows(folder, "rows.jsonl", trainedOn);
  const args = ["decontaminate", "--data", "rows.jsonl", "--benchmarks", "bench.jsonl", "--threads", "1"];
  const { code, out, err } = await run(...args, "--output", "clean.jsonl", "--json");
  expect({ code, json: JSON.parse(out) as unknown }).toEqual({
    code: 0,
    json: {
      ...{ rows: 4, kept: 2, removed: { contaminated: 2 }, whole: 2, windowed: 2, taken_in_windows: 0 },
      benchmarks: [{ data: "bench.jsonl", rows: 3, items: 2, found: 2 }],
      too_short: [{ file: "bench.jsonl", line: 2, part: "question", words: 4, text: "What is 2 + 3?" }],
      ...{ output: "clean.jsonl", removed_rows: "clean.jsonl.removed" },
    },
  });
  expect(rowsIn("clean.jsonl")).toEqual([trainedOn[0], trainedOn[2]]);
  expect(rowsIn("clean.jsonl.removed")).toMatchObject([
    {
      line: 2,
      reason: "contaminated",
      item: { file: "bench.jsonl", line: 1, words: 20 },
      common: 19,
      taken: "whole",
    },
    { line: 4, item: { line: 3, words: 21 }, common: 21, row: trainedOn[3] },
  ]);
  expect(err).toContain(
    "bench.jsonl: 1 row of 3 cannot be matched, with fewer than 13 words:\n  bench.jsonl, line 2: What is 2 + 3?",
  );
  expect(err).toContain(
    "rows.jsonl, line 2: 19 of the 20 words of bench.jsonl, line 1 (question), in order | Solve this",
  );
  expect(err).toContain(
    "Rows that hold an item: 2 taken whole, 2 within windows of twice the item; 0 rows of more than 500 words went by windows.",
  );

  const fast = await run(...args, "--mode", "fast", "--ngram", "15", "--output", "fast.jsonl", "--json");
  expect(JSON.parse(fast.out)).toMatchObject({ kept: 3, taken_in_windows: 4, windowed: 1 });
  const shorter = await run(...args, "--mode", "fast", "--output", "shorter.jsonl", "--json");
  expect(JSON.parse(shorter.out)).toMatchObject({ kept: 2, windowed: 2 });
});

test("decontaminate: any number of threads gives the same files", async () => {
  writeRows(folder, "bench.jsonl", questions);
  const rows = Array.from({ length: 300 }, (_, i) =>
    i % 7 === 0 ? trainedOn[i % 4] : conversation(`Is ${i} even?`, `${i % 2 === 0}`),
  );
  writeRows(folder, "rows.jsonl", rows);
  for (const threads of ["1", "3"]) {
    const args = [
      "data",
      "decontaminate",
      "--data",
      "rows.jsonl",
      "--benchmarks",
      "bench.jsonl",
      "--threads",
      threads,
    ];
    const outcome = await posttrain([...args, "--output", `clean-${threads}.jsonl`], { cwd: folder });
    expect(outcome).toMatchObject({ code: 0, err: expect.stringContaining("contaminated: 21 rows") });
  }
  for (const beside of ["", ".removed"])
    expect(rowsIn(`clean-3.jsonl${beside}`)).toEqual(rowsIn(`clean-1.jsonl${beside}`));
});

test("decontaminate: where no row would stay nothing is written but what was removed; a benchmark without text is named", async () => {
  writeRows(folder, "bench.jsonl", questions);
  writeRows(folder, "rows.jsonl", [trainedOn[3]]);
  const args = ["decontaminate", "--data", "rows.jsonl", "--threads", "1", "--output", "clean.jsonl"];
  const none = await run(...args, "--benchmarks", "bench.jsonl");
  expect(none).toMatchObject({ code: 1, err: expect.stringContaining("No row of rows.jsonl stays") });
  expect(existsSync(join(folder, "clean.jsonl"))).toBe(false);
  expect(rowsIn("clean.jsonl.removed")).toHaveLength(1);
  rmSync(join(folder, "clean.jsonl.removed"));
  writeRows(folder, "numbers.jsonl", [{ a: 1 }]);
  const bad = await run(...args, "--benchmarks", "numbers.jsonl");
  expect(bad).toMatchObject({
    code: 1,
    err: expect.stringContaining("numbers.jsonl, line 1: no text to look for: its columns are a"),
  });
  expect(existsSync(join(folder, "clean.jsonl.partial"))).toBe(false);
});

test("filter: rows go by their first fault, bad rows too; what stays is unchanged", async () => {
  const english =
    "The river flows through the town, and the people of the town walk along it in the evening.";
  const rows = [
    conversation("Tell me about the river.", english),
    conversation(
      "Tell me about the river.",
      "Der Fluss fließt durch die Stadt, und die Leute gehen am Abend an ihm entlang.",
    ),
    conversation("Tell me about the river.", "I'm sorry, but I can't tell you: write to jane@acme.org"),
    conversation("Tell me about the cafÃ©.", english),
    "{",
    conversation("Tell me about the river.", " "),
    conversation("River?", "Yes, it is one."),
  ];
  writeRows(folder, "rows.jsonl", rows);
  const args = ["filter", "--data", "rows.jsonl", "--languages", "en", "--min_words", "8"];
  const { code, out, err } = await run(...args, "--output", "good.jsonl", "--json");
  expect({ code, json: JSON.parse(out) as unknown }).toEqual({
    code: 0,
    json: {
      ...{ rows: 7, kept: 1 },
      removed: { bad_line: 1, language: 1, personal_data: 1, encoding: 1, empty_turn: 1, length: 1 },
      ...{ output: "good.jsonl", removed_rows: "good.jsonl.removed" },
    },
  });
  expect(rowsIn("good.jsonl")).toEqual([rows[0]]);
  const removed = rowsIn("good.jsonl.removed");
  expect(removed.map(({ line, reason }) => [line, reason])).toEqual([
    [2, "language"],
    [3, "personal_data"],
    [4, "encoding"],
    [5, "bad_line"],
    [6, "empty_turn"],
    [7, "length"],
  ]);
  expect(removed[1]).toMatchObject({ also: [{ reason: "refusal" }], row: rows[2] });
  expect(removed[3]).not.toHaveProperty("row");
  expect(err).toContain(
    "rows.jsonl, line 2: its language is de, not en | Tell me about the river. Der Fluss",
  );
  expect(err).toMatch(/rows\.jsonl, line 5 .*JSON/);

  const some = await run(
    "filter",
    "--data",
    "rows.jsonl",
    "--checks",
    "refusal",
    "--output",
    "some.jsonl",
    "--json",
  );
  expect(JSON.parse(some.out)).toMatchObject({
    kept: 4,
    removed: { refusal: 1, bad_line: 1, empty_turn: 1 },
  });
  const bad = await run("filter", "--data", "rows.jsonl", "--languages", "klingon", "--output", "x.jsonl");
  expect(bad).toMatchObject({
    code: 1,
    err: expect.stringContaining('languages has "klingon": expected of af, ar'),
  });
  const none = await run(
    "filter",
    "--data",
    "rows.jsonl",
    "--min_words",
    "9",
    "--max_words",
    "3",
    "--output",
    "x.jsonl",
  );
  expect(none).toMatchObject({ code: 1, err: expect.stringContaining("no row has such a length") });
});
