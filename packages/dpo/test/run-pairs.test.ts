// Pairs from responses that are there: by executed code and by answers, in the forms that other programs write, and everything that is left out.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createRecordIds, parsePreferenceRow } from "@posttrain/data";
import { type PairsReport, pairsConfig, runPairs } from "@posttrain/dpo";
import { openJournal } from "@posttrain/run";
import { createJournalledGrader, openChosenVerifiers } from "@posttrain/verify";
import { afterAll, describe, expect, it } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "posttrain-pairs-"));
afterAll(() => rmSync(folder, { recursive: true }));
const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/pairs/${name}`, import.meta.url));
let files = 0;
const write = (rows: readonly object[]): string => {
  const path = join(folder, `rows-${files++}.jsonl`);
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return path;
};
const noModel = (): Promise<never> => Promise.reject(new Error("no model is needed"));
const linesOf = (path: string) =>
  readFileSync(path, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));

async function make(options: object) {
  const output = join(folder, `pairs-${files++}.jsonl`);
  const config = pairsConfig.parse({ concurrency: 2, output, ...options });
  const run = (): Promise<PairsReport> => runPairs(config, { withModel: noModel });
  const report = await run();
  const skipped = linesOf(report.skipped_file);
  return { output, report, skipped, pairs: linesOf(output), again: run };
}

describe("executed code", () => {
  it("parts canonical solutions from mutants, with the evidence of both", async () => {
    const responses = fixture("humaneval-candidates.jsonl");
    const { report, pairs, skipped } = await make({
      ...{ responses: [responses], data: fixture("humaneval.jsonl"), raw: true },
    });
    const candidates = linesOf(responses);
    const problems = linesOf(fixture("humaneval.jsonl"));
    expect(pairs.map(({ prompt, chosen, rejected }) => [prompt, chosen, rejected])).toEqual(
      [0, 1].map((i) => [problems[i].prompt, candidates[2 * i].completion, candidates[2 * i + 1].completion]),
    );
    const recordId = createRecordIds();
    const ids = candidates.map(recordId);
    expect(pairs[1]).toMatchObject({
      schema: "preference@1",
      parents: [createRecordIds()(problems[1]), ids[2], ids[3]],
      evidence: {
        chosen: { verdict: { outcome: "pass", verifier: "code" }, origin: { file: responses, line: 3 } },
        rejected: {
          verdict: { outcome: "fail", evidence: expect.stringContaining("A test failed") },
          origin: { line: 4 },
        },
      },
    });
    expect(pairs[0].evidence.chosen.verdict).not.toHaveProperty("seconds");
    expect(pairs[0].id).toMatch(/^[0-9a-f]{64}$/);
    expect(skipped).toMatchObject([{ line: 5, reason: "all wrong", responses: 2 }]);
    expect(report).toMatchObject({ end: "complete", pairs: 2, queries: 3, skipped: { "all wrong": 1 } });
    expect(report.yields).toMatchObject([
      { verifier: "code", queries: 3, responses: 6, outcomes: { pass: 2 }, paired: 2, pairs: 2 },
    ]);
  });

  it("takes the benchmark's own solution where no response passes, when it passes itself", async () => {
    const { pairs } = await make({
      ...{ responses: [fixture("humaneval-candidates.jsonl")], data: fixture("humaneval.jsonl"), raw: true },
      chosen_from: "either",
    });
    const [, , third] = linesOf(fixture("humaneval.jsonl"));
    expect(pairs).toHaveLength(3);
    expect(pairs[2].chosen).toBe(third.canonical_solution);
    expect(pairs[2].evidence.chosen).toMatchObject({
      verdict: { outcome: "pass" },
      origin: { reference: "canonical_solution" },
    });
  });
});

describe("answers", () => {
  it("graded as GSM8K's own graders did part right from wrong", async () => {
    const rows = linesOf(fixture("gsm8k-graded.jsonl"));
    const { report } = await make({ responses: [fixture("gsm8k-graded.jsonl")], mode: "gsm8k" });
    expect(report.skipped).toEqual({ "all right": 3, "all wrong": 3 });
    // The same solutions, and the wrong and right ones that end in another number.
    const others = rows.map((row) => ({
      ...row,
      prediction: row.expected
        ? row.prediction.replace(/A: .*$/, "A: 123456")
        : row.prediction.replace(/A: .*$/, `A: ${row.gold}`),
    }));
    const { pairs } = await make({ responses: [write([...rows, ...others])], mode: "gsm8k" });
    expect(pairs.map(({ chosen }) => chosen[0].content)).toEqual(
      rows.map((row, i) => (row.expected ? row.prediction : others[i].prediction)),
    );
    expect(pairs[0].prompt).toEqual([{ role: "user", content: rows[0].question }]);
    for (const [i, pair] of pairs.entries())
      expect(parsePreferenceRow(pair, { path: "pairs", line: i + 1 }).kind).toBe("messages");
  });
});

describe("forms", () => {
  const question = { prompt: "2 + 2?", answer: "4" };
  const right = "It is \\boxed{4}";
  const wrong = "It is \\boxed{5}";
  const expectPair = ({ pairs }: Awaited<ReturnType<typeof make>>): void =>
    expect(pairs.map(({ chosen, rejected }) => [chosen[0].content, rejected[0].content])).toEqual([
      [right, wrong],
    ]);

  it("several responses in a row, as text or as messages", async () => {
    expectPair(await make({ responses: [write([{ ...question, responses: [right, wrong] }])] }));
    const turns = [right, wrong].map((content) => [{ role: "assistant", content }]);
    const asked = [
      { role: "system", content: "Be short." },
      { role: "user", content: "2 + 2?" },
    ];
    const made = await make({ responses: [write([{ answer: "4", messages: asked, completions: turns }])] });
    expectPair(made);
    expect(made.pairs[0].prompt).toEqual(asked);
  });

  it("rows of generate, joined to what was asked", async () => {
    const queries = [{ prompt: "1 + 1?", answer: "2" }, question];
    const id = createRecordIds()(question);
    const sample = (number: number, text: string) => ({
      ...{ id, line: 2, sample: number, text, ids: [1], logprobs: [-1], finish_reason: "stop" },
    });
    const made = await make({
      ...{ responses: [write([sample(0, wrong), sample(1, right)])], data: write(queries) },
    });
    expectPair(made);
    expect(made.pairs[0].parents[0]).toBe(id);
    expect(made.pairs[0].evidence.chosen.origin).toMatchObject({ line: 2, sample: 1, finish_reason: "stop" });
  });

  it("rows of verify keep their verdicts, unless they are to be graded again", async () => {
    const verdict = (outcome: string) => ({ outcome, evidence: "given", verifier: "math", seconds: 1 });
    const path = write([
      { ...question, response: right, verdict: verdict("fail") },
      { ...question, response: wrong, verdict: verdict("pass") },
    ]);
    const { pairs } = await make({ responses: [path] });
    expect(pairs[0]).toMatchObject({
      chosen: [{ content: wrong }],
      evidence: { chosen: { verdict: { evidence: "given" } } },
    });
    expect(pairs[0].evidence.chosen.verdict).not.toHaveProperty("seconds");
    expectPair(await make({ responses: [path], regrade: true }));
  });

  it("samples of lm-evaluation-harness, and a response that never ended", async () => {
    const doc = { question: "2 + 2?", answer: "4" };
    expectPair(await make({ responses: [write([{ doc, resps: [[right, wrong]] }])] }));
    const unended = { ...question, response: right, finish_reason: "length" };
    const { pairs } = await make({
      ...{
        responses: [write([unended, { ...question, response: `${right}.`, model: "m", temperature: 0.5 }])],
        similarity: 1,
      },
    });
    // The same words, but for white space and a point: only one of them ended.
    expect(pairs[0].evidence).toMatchObject({
      chosen: { origin: { model: "m", temperature: 0.5 } },
      rejected: { verdict: { outcome: "unparseable", evidence: expect.stringContaining("never ended") } },
    });
  });

  it("one question asked in two rows is one query, the same words with another answer are two", async () => {
    const rows = [
      { ...question, response: right },
      { ...question, answer: "5", response: right },
      { ...question, response: wrong },
    ];
    const made = await make({ responses: [write(rows)] });
    expectPair(made);
    expect(made.report.queries).toBe(2);
  });
});

describe("left out and counted", () => {
  it("no pair at all leaves an empty file, and nothing to review", async () => {
    const review = join(folder, "none.jsonl");
    const rows = [{ prompt: "2?", answer: "2", response: "\\boxed{2}" }];
    const { report, pairs } = await make({ responses: [write(rows)], review });
    expect([report.pairs, pairs, existsSync(review)]).toEqual([0, [], false]);
  });

  it("what could not be graded is on neither side; the same command tries it again", async () => {
    const broken = { test_list: ["assert add(1, 2 ==="], prompt: "add" };
    const made = await make({
      responses: [write([1, 2].map((n) => ({ ...broken, response: `def add(a, b): return ${n}` })))],
    });
    expect(made.report).toMatchObject({ pairs: 0, ungraded: 2, skipped: { "not graded": 1 } });
    expect((await made.again()).end).toBe("complete");
  });

  it("rows that cannot be asked or graded as they are", async () => {
    const rows = [
      { prompt: "2?", answer: "2", responses: ["\\boxed{2}", "\\boxed{3}"] },
      { answer: "2", response: "2" },
      { prompt: "x", response: "no reference" },
      { prompt: "y", answer: "2" },
    ];
    const { report } = await make({ responses: [write(rows)] });
    expect(report.pairs).toBe(1);
    expect(report.unfit).toMatchObject([
      { line: 2, problem: expect.stringContaining("it asks nothing") },
      { line: 4, problem: expect.stringContaining("it has no response") },
      { line: 3, problem: expect.stringContaining("no verifier fits") },
    ]);
    await expect(make({ responses: [write([{ prompt: "x", response: "y" }])] })).rejects.toThrow(
      /No pair can be made/,
    );
    await expect(
      make({
        responses: [write([{ id: "b", response: "y" }])],
        data: write([{ id: "a", prompt: "x", answer: "1" }]),
      }),
    ).rejects.toThrow(/it names no row of .*: expected id as there/);
  });
});

it("ends with the target, takes more pairs of a query where that is asked for, and mixes in other files", async () => {
  const rows = [0, 1, 2, 3].map((n) => ({
    prompt: `${n}?`,
    answer: String(n),
    responses: [0, 1, 2, 3].map((m) => `w${m} x${n * 7 + m} y${m}${n}: \\boxed{${m}}`),
  }));
  const path = write(rows);
  const few = await make({ responses: [path], target: 2 });
  expect(few.report).toMatchObject({ end: "target", pairs: 2, queries: 2 });
  const many = await make({ responses: [path], pairs_per_query: 2, target: 5 });
  expect(many.report).toMatchObject({ end: "target", pairs: 5, queries: 3 });
  const other = write([
    { prompt: "a", chosen: "b", rejected: "c" },
    { prompt: "d", chosen: "e", rejected: "f" },
  ]);
  const mixed = await make({ responses: [path], mix: [`${other}=1`, `${few.output}=1.0`] });
  expect(mixed.pairs).toHaveLength(4 + 1 + 2);
  expect(mixed.pairs[4]).toMatchObject({
    schema: "preference@1",
    chosen: expect.stringMatching(/^[be]$/),
    parents: [expect.stringMatching(/^[0-9a-f]{64}$/)],
    evidence: { source: { file: other } },
  });
  expect(mixed.pairs.slice(5)).toEqual(few.pairs);
  await expect(make({ responses: [path], mix: [`${other}=3`] })).rejects.toThrow(
    /asks for 3 rows of .*, which has 2/,
  );
  await expect(make({ responses: [path], mix: [`${other}=2.0`] })).rejects.toThrow(
    /expected a file, FILE=0\.5/,
  );
  await expect(make({ responses: [path], mix: [write([{ prompt: "x" }])] })).rejects.toThrow(
    /line 1: this kind of row/,
  );
});

it("is done once; other choices are refused over its output, and cost no grading", async () => {
  const path = write([
    { prompt: "2?", answer: "2", responses: ["a \\boxed{2}", "b \\boxed{3}", "c d \\boxed{4}"] },
  ]);
  const made = await make({ responses: [path] });
  expect(await made.again()).toMatchObject({ end: "nothing", pairs: 1 });
  const other = pairsConfig.parse({ responses: [path], output: made.output, pairs_per_query: 2 });
  await expect(runPairs(other, { withModel: noModel })).rejects.toThrow(
    /was made otherwise: pairs_per_query was 1, is now 2\. Remove it/,
  );
  const review = join(folder, "later.jsonl");
  const wanted = pairsConfig.parse({ concurrency: 2, responses: [path], output: made.output, review });
  expect(await runPairs(wanted, { withModel: noModel })).toMatchObject({ end: "nothing" });
  expect(linesOf(review)).toMatchObject([{ pair: made.pairs[0].id, verdict: null }]);
  expect(await runPairs(wanted, { withModel: noModel })).toMatchObject({ end: "nothing" });
  rmSync(made.output);
  await expect(runPairs(wanted, { withModel: noModel })).rejects.toThrow(/review .* already exists/);
  expect(await runPairs(other, { withModel: noModel })).toMatchObject({ pairs: 2, fromJournal: 3 });
  const foreign = write([{}]);
  await expect(runPairs({ ...other, output: foreign }, { withModel: noModel })).rejects.toMatchObject({
    code: "output_used",
  });
  expect(existsSync(`${foreign}.progress`)).toBe(false);
});

it("counts as an earlier run's only the verdicts that one gave, not this run's own on an equal text", async () => {
  const chosen = await openChosenVerifiers(pairsConfig.parse({ responses: ["-"], output: "-" }));
  const path = join(folder, "verdicts.journal");
  const query = { number: 0, line: 1, parents: [], prompt: "2?", tools: undefined };
  const counted: number[] = [];
  for (const _ of ["a first run", "a second"]) {
    const journal = await openJournal(path);
    const grader = createJournalledGrader(chosen, journal);
    for (const text of ["\\boxed{2}", "\\boxed{3}", "\\boxed{2}"]) {
      await grader.grade({ ...query, row: { prompt: "2?", answer: "2" } }, { text, finish: "stop" });
    }
    counted.push(grader.fromJournal());
    await journal.close();
  }
  await chosen.close();
  expect(counted).toEqual([0, 3]);
});
