/** A file graded through its journal: what is kept, what is graded again, and what is refused. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Verdict } from "@posttrain/data";
import { afterEach, beforeEach, expect, test } from "vitest";
import { gradeFile, openVerifiers, type Row, readProblems } from "../src/index.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "posttrain-grade-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const at = (name: string): string => join(folder, name);

function write(rows: readonly unknown[]): string {
  writeFileSync(
    at("rows.jsonl"),
    rows.map((row) => `${typeof row === "string" ? row : JSON.stringify(row)}\n`).join(""),
  );
  return at("rows.jsonl");
}

const read = (path: string): Row[] =>
  readFileSync(path, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Row);

/** Passes what is "yes", and counts what it was asked. */
function counting(
  answer: (response: string) => Verdict["outcome"] = (text) => (text === "yes" ? "pass" : "fail"),
) {
  const asked: string[] = [];
  const grade = async (response: string): Promise<Verdict> => {
    asked.push(response);
    return { outcome: answer(response), evidence: `of ${response}`, details: { fault: "test" } };
  };
  return { asked, verifiers: openVerifiers({ concurrency: 3, verifier: { name: "counting", grade } }) };
}

test("verdicts stand beside rows, in order, and all other columns stay", async () => {
  const data = write([
    { response: "yes", id: 1 },
    "",
    { responses: ["no", "yes"], nested: { é: [1.5, null] } },
  ]);
  const { verifiers } = counting();
  const result = await gradeFile({ data, verifiers, output: at("out.jsonl") });
  expect(result).toMatchObject({
    end: "complete",
    rows: 2,
    responses: 3,
    fromJournal: 0,
    outcomes: { pass: 2, fail: 1 },
  });
  expect(result.failures).toMatchObject([{ line: 3, sample: 0, evidence: "of no" }]);
  const [first, second] = read(at("out.jsonl"));
  expect(first).toMatchObject({
    response: "yes",
    id: 1,
    verdict: { outcome: "pass", evidence: "of yes", verifier: "counting" },
  });
  expect((first as { verdict: { seconds: number } }).verdict.seconds).toBeGreaterThanOrEqual(0);
  expect(second).toMatchObject({
    nested: { é: [1.5, null] },
    verdicts: [{ outcome: "fail" }, { outcome: "pass" }],
  });
  expect(readdirSync(at("out.jsonl.progress"))).toEqual(["journal.jsonl"]);
});

test("what is in the journal is not graded again, and its verdict counts", async () => {
  const data = write([{ response: "yes" }, { response: "no" }, { response: "yes" }]);
  const first = counting();
  await gradeFile({ data, verifiers: first.verifiers, output: at("out.jsonl") });
  const whole = readFileSync(at("out.jsonl"), "utf8");
  // As if it had been killed after two verdicts, in the middle of a third.
  const journal = at("out.jsonl.progress/journal.jsonl");
  const lines = readFileSync(journal, "utf8").split("\n");
  writeFileSync(journal, `${lines.slice(0, 3).join("\n")}\n${lines[3]!.slice(0, 20)}`);
  rmSync(at("out.jsonl"));
  const second = counting(() => "crash");
  const result = await gradeFile({ data, verifiers: second.verifiers, output: at("out.jsonl") });
  expect(second.asked).toHaveLength(1);
  expect(result).toMatchObject({ end: "complete", fromJournal: 2, outcomes: { crash: 1 } });
  expect(read(at("out.jsonl")).filter((row) => (row["verdict"] as Verdict).outcome !== "crash")).toHaveLength(
    2,
  );
  expect(whole.split("\n")).toHaveLength(4);
});

test("what could not be graded is tried again by the same command; once all is graded there is nothing to do", async () => {
  const data = write([{ response: "yes" }, { response: "lost" }]);
  const first = counting((text) => (text === "lost" ? "infrastructure-error" : "pass"));
  const before = await gradeFile({ data, verifiers: first.verifiers, output: at("out.jsonl") });
  expect(before.ungraded).toMatchObject([{ line: 2, evidence: "of lost" }]);
  expect(read(at("out.jsonl")).map((row) => (row["verdict"] as Verdict).outcome)).toEqual([
    "pass",
    "infrastructure-error",
  ]);
  const second = counting(() => "pass");
  const after = await gradeFile({ data, verifiers: second.verifiers, output: at("out.jsonl") });
  expect([second.asked, after.end]).toEqual([["lost"], "complete"]);
  expect(read(at("out.jsonl")).map((row) => (row["verdict"] as Verdict).outcome)).toEqual(["pass", "pass"]);
  const third = counting();
  expect((await gradeFile({ data, verifiers: third.verifiers, output: at("out.jsonl") })).end).toBe(
    "nothing",
  );
  expect(third.asked).toEqual([]);
});

test("a journal of other data or other settings is refused, and stays as it was", async () => {
  const data = write([{ response: "yes" }]);
  const { verifiers } = counting();
  await gradeFile({ data, verifiers, output: at("out.jsonl"), settings: { mode: "own" } });
  const again = (): Promise<unknown> =>
    gradeFile({ data, verifiers, output: at("out.jsonl"), settings: { mode: "gsm8k" } });
  await expect(again()).rejects.toThrow(/another run: mode was "own", is now "gsm8k"/);
  write([{ response: "yes" }, { response: "no" }]);
  await expect(
    gradeFile({ data, verifiers, output: at("out.jsonl"), settings: { mode: "own" } }),
  ).rejects.toThrow(/the data file has changed since/);
  expect(read(at("out.jsonl"))).toHaveLength(1);
});

test("two writers: the second is refused by name, and the first is not disturbed", async () => {
  const data = write([{ response: "yes" }]);
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const slow = openVerifiers({
    verifier: {
      name: "slow",
      grade: async () => held.then(() => ({ outcome: "pass", evidence: "" }) as const),
    },
  });
  let started = (): void => undefined;
  const underWay = new Promise<void>((resolve) => {
    started = resolve;
  });
  const first = gradeFile({ data, verifiers: slow, output: at("out.jsonl"), onStart: started });
  await underWay;
  const { verifiers } = counting();
  await expect(gradeFile({ data, verifiers, output: at("out.jsonl") })).rejects.toThrow(
    new RegExp(`is being written by process ${process.pid}.*Two writers`),
  );
  release();
  expect((await first).end).toBe("complete");
});

test("a signal stops it; the verdicts so far are kept, and no output appears", async () => {
  const data = write(Array.from({ length: 50 }, () => ({ response: "yes" })));
  const stop = new AbortController();
  let asked = 0;
  const verifiers = openVerifiers({
    concurrency: 2,
    signal: stop.signal,
    verifier: {
      name: "stopping",
      grade: async () => {
        if (++asked === 10) stop.abort();
        return { outcome: "pass", evidence: "" };
      },
    },
  });
  const result = await gradeFile({ data, verifiers, output: at("out.jsonl"), signal: stop.signal });
  expect([result.end, existsSync(at("out.jsonl"))]).toEqual(["stopped", false]);
  const second = counting();
  await gradeFile({ data, verifiers: second.verifiers, output: at("out.jsonl") });
  expect(asked + second.asked.length).toBe(50);
  expect(read(at("out.jsonl"))).toHaveLength(50);
});

test("a file of which no row can be graded is refused before anything is written", async () => {
  const data = write([{ response: "a" }, { response: "b", verifier: "none" }]);
  const verifiers = openVerifiers();
  await expect(gradeFile({ data, verifiers, output: at("out.jsonl") })).rejects.toThrow(
    /2 of 2 rows cannot be graded as they are\. Nothing was graded\.\n {2}line 1: .*\n {2}line 2: .*"none"/,
  );
  await expect(
    gradeFile({ data: write([{ response: "a" }, { a: 1 }, 7]), verifiers, output: at("out.jsonl") }),
  ).rejects.toThrow(/line 3: expected a JSON object, came 7/);
  expect(readdirSync(folder)).toEqual(["rows.jsonl"]);
});

test("a row without a response, or of no problem, is counted with its verdict; the others are graded", async () => {
  const rows = [
    { response: "yes" },
    { answer: "1" },
    { responses: [] },
    { responses: ["yes", null] },
    { response: "yes" },
  ];
  const { verifiers, asked } = counting();
  const result = await gradeFile({ data: write(rows), verifiers, output: at("out.jsonl") });
  expect(asked).toEqual(["yes", "yes"]);
  expect(result).toMatchObject({ rows: 5, responses: 5, end: "complete" });
  expect(result.outcomes).toMatchObject({ pass: 2, "infrastructure-error": 3 });
  expect(result.unfit.map(({ line, problem }) => [line, problem.slice(0, 30)])).toEqual([
    [2, "it has no response: expected r"],
    [3, "responses: the list is empty."],
    [4, "responses, entry 2: expected t"],
  ]);
  const graded = read(at("out.jsonl"));
  expect(graded.map(({ verdict }) => (verdict as Verdict).outcome)).toEqual([
    "pass",
    "infrastructure-error",
    "infrastructure-error",
    "infrastructure-error",
    "pass",
  ]);
  expect(graded[1]).toMatchObject({
    answer: "1",
    verdict: { evidence: expect.stringMatching(/no response/) },
  });
  // Mended, it is another file; as it is, nothing is left to do.
  const again = await gradeFile({ data: at("rows.jsonl"), verifiers, output: at("out.jsonl") });
  expect([again.end, asked.length]).toEqual(["nothing", 2]);
});

test("an output that is not ours is never replaced", async () => {
  const data = write([{ response: "yes" }]);
  writeFileSync(at("out.jsonl"), "precious");
  const { verifiers, asked } = counting();
  await expect(gradeFile({ data, verifiers, output: at("out.jsonl") })).rejects.toThrow(/already exists/);
  expect([readFileSync(at("out.jsonl"), "utf8"), asked]).toEqual(["precious", []]);
});

test("samples beside a file of problems, and samples of lm-evaluation-harness", async () => {
  writeFileSync(
    at("problems.jsonl"),
    '{"task_id": "A/1", "answer": "1"}\n{"task_id": "A/2", "answer": "2"}\n',
  );
  const problems = await readProblems(at("problems.jsonl"));
  await using verifiers = openVerifiers({ verifier: "exact" });
  const data = write([
    { task_id: "A/2", response: "2" },
    { task_id: "A/1", response: "2" },
  ]);
  const graded: Row[] = [];
  const onRow = async (row: object): Promise<void> => {
    graded.push(row as Row);
  };
  await gradeFile({ data, problems, verifiers, onRow });
  expect(graded).toMatchObject([
    { task_id: "A/2", verdict: { outcome: "pass" } },
    { task_id: "A/1", verdict: { outcome: "fail" } },
  ]);
  expect(graded[0]).not.toHaveProperty("answer");
  await expect(
    gradeFile({ data: write([{ task_id: "B", response: "2" }]), problems, verifiers }),
  ).rejects.toThrow(/line 1: task_id: "B" is no problem of .*problems\.jsonl/);
  writeFileSync(at("problems.jsonl"), '{"task_id": "A/1"}\n{"task_id": "A/1"}\n');
  await expect(readProblems(at("problems.jsonl"))).rejects.toThrow(/line 2: task_id A\/1 is there twice/);
  writeFileSync(at("problems.jsonl"), '{"question": "?"}\n');
  await expect(readProblems(at("problems.jsonl"))).rejects.toThrow(/line 1: a problem needs task_id, id/);
  const samples = write([
    { doc_id: 0, doc: { question: "?", answer: "1" }, target: "1", resps: [["1", "3"]] },
  ]);
  const { outcomes } = await gradeFile({ data: samples, verifiers });
  expect(outcomes).toMatchObject({ pass: 1, fail: 1 });
});
