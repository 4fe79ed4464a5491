// posttrain evaluate on a tiny model that has learnt eight answers by heart: the table, the files and the hashes that join them to others.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { conversation, makeModel, posttrain, temporaryFolder, writeRows } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

const folder = temporaryFolder();
const at = (...parts: readonly string[]): string => join(folder, ...parts);
let checkpoint: string;

const question = (i: number): string => `What is ${i} + 1?`;

beforeAll(async () => {
  const rows = Array.from({ length: 8 }, (_, i) => conversation(question(i), `1+1\nAnswer: ${i + 1}`));
  const [model, data] = [await makeModel(folder), writeRows(folder, "rows.jsonl", rows)];
  const training = [
    "--max_steps",
    "60",
    "--learning_rate",
    "2e-3",
    "--lr_scheduler_type",
    "cosine",
    "--warmup_steps",
    "5",
  ];
  const args = [
    "--model_name_or_path",
    model,
    "--data",
    data,
    "--output_dir",
    at("run"),
    ...training,
    "--quiet",
  ];
  checkpoint = (await posttrainHere(["sft", ...args])).out.trim();
});
afterAll(() => rmSync(folder, { recursive: true }));

const evaluate = (data: string, ...args: readonly string[]) =>
  posttrainHere([
    "evaluate",
    "--model_name_or_path",
    checkpoint,
    "--data",
    data,
    "--max_new_tokens",
    "40",
    ...args,
  ]);
const cells = (line: string): readonly string[] => line.split("|").map((cell) => cell.trim());

it("grades by exact match, by group, with intervals, and keeps every response", async () => {
  const data = writeRows(folder, "sums.jsonl", [
    ...[0, 1, 2].map((i) => ({ question: question(i), answer: i + 1, kind: "number" })),
    { instruction: question(3), answer: "3+1=4\n#### 4", kind: "worked" },
    { messages: [{ role: "user", content: question(4) }], answer: "Answer: 5", kind: "worked" },
    { question: question(5), answer: "99", kind: "worked", note: "ü" },
  ]);
  const { code, out, err } = await evaluate(data, "--output_dir", at("results"));
  expect([code, err]).toEqual([0, expect.stringMatching(/6 questions: 0 responses never ended/)]);
  const lines = out.split("\n");
  expect(lines[0]).toBe(
    `posttrain (pretrained=${checkpoint},dtype=float32), gen_kwargs: (temperature=0,max_new_tokens=40), limit: None, num_fewshot: 0, batch_size: auto`,
  );
  expect(cells(lines[3]!)).toEqual([
    "",
    "sums",
    "1",
    "auto",
    "0",
    "exact_match",
    "↑",
    "0.8333",
    "±",
    "0.1667",
    "0.4365-0.9699",
    "",
  ]);
  expect([5, 6].map((i) => [cells(lines[i]!)[1], cells(lines[i]!)[7]])).toEqual([
    ["- number", "1.0000"],
    ["- worked", "0.6667"],
  ]);
  expect(out).toMatch(/\n\n\|Groups\|/);

  const dir = at("results", checkpoint.replaceAll(/\/+/g, "__"));
  const [results, samples] = readdirSync(dir).sort();
  expect(results).toMatch(/^results_\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.json$/);
  expect(samples).toBe(results!.replace("results", "samples_sums").replace(/json$/, "jsonl"));
  const written = JSON.parse(readFileSync(join(dir, results!), "utf8"));
  expect(written.results.sums).toMatchObject({ "exact_match,auto": 5 / 6, correct: 5, responses: 6 });
  expect(written.results.sums_worked).toMatchObject({ alias: " - worked", "exact_match,auto": 2 / 3 });
  expect(written).toMatchObject({
    group_subtasks: { sums: ["sums_number", "sums_worked"] },
    "n-shot": { sums: 0 },
  });
  const rows = readFileSync(join(dir, samples!), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(rows.map(({ doc_id, exact_match }) => [doc_id, exact_match])).toEqual([
    [0, 1],
    [1, 1],
    [2, 1],
    [3, 1],
    [4, 1],
    [5, 0],
  ]);
  expect(rows[5]).toMatchObject({
    target: "99",
    resps: [["1+1\nAnswer: 6"]],
    filtered_resps: ["6"],
    filter: "auto",
    finish_reason: "stop",
    verdict: { outcome: "fail" },
  });
  const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
  expect(rows[5].prompt_hash).toBe(
    sha256(`<|im_start|>user\n${question(5)}<|im_end|>\n<|im_start|>assistant\n`),
  );
  expect(rows[5].arguments.gen_args_0.arg_0).toBe(
    `<|im_start|>user\n${question(5)}<|im_end|>\n<|im_start|>assistant\n`,
  );
  expect(rows[5].target_hash).toBe(sha256("99"));
  // As Python's json.dumps(doc, indent=2, ensure_ascii=False) writes the row, which lm-evaluation-harness hashes.
  expect(rows[5].doc_hash).toBe(
    sha256('{\n  "question": "What is 5 + 1?",\n  "answer": "99",\n  "kind": "worked",\n  "note": "ü"\n}'),
  );

  const json = await evaluate(
    data,
    "--json",
    "--threads",
    "1",
    "--cpu_path",
    "plain",
    "--limit",
    "4",
    "--extract",
    "last_number",
  );
  expect(JSON.parse(json.out)).toMatchObject({
    results: { sums: { "exact_match,last_number": 1, responses: 4 } },
    config: { limit: 4, model_sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
    files: null,
  });
});

it("counts a response that never ended apart, and as wrong", async () => {
  const data = writeRows(folder, "cut.jsonl", [{ question: question(0), answer: "1" }]);
  const { out, err } = await posttrain([
    ...["evaluate", "--model_name_or_path", checkpoint, "--data", data],
    ...["--max_new_tokens", "3", "--extract", "whole"],
  ]);
  expect(err).toMatch(/1 question: 1 response never ended \(counted as wrong\), 0 ended without an answer/);
  expect(cells(out.split("\n")[3]!).slice(5, 11)).toEqual([
    "exact_match",
    "↑",
    "0.0000",
    "±",
    "N/A",
    "0.0000-0.7935",
  ]);
  expect(cells(out.split("\n")[4]!).slice(5, 8)).toEqual(["unended", "↓", "1.0000"]);
});

it("shows solved examples as earlier turns, none of them the question itself", async () => {
  const examples = [0, 1, 2].map((i) => ({ question: question(i), answer: `Answer: ${i + 1}` }));
  const data = writeRows(folder, "shots.jsonl", examples);
  const shots = ["--num_fewshot", "2", "--fewshot_data", data];
  const { code } = await evaluate(data, ...shots, "--output_dir", at("shots"), "--task", "a/b");
  expect(code).toBe(0);
  const [dir] = readdirSync(at("shots"));
  const file = readdirSync(at("shots", dir!)).find((name) => name.startsWith("samples_a__b_"));
  const [first] = readFileSync(at("shots", dir!, file!), "utf8").split("\n");
  const turn = (i: number): string =>
    `<|im_start|>user\n${question(i)}<|im_end|>\n<|im_start|>assistant\nAnswer: ${i + 1}<|im_end|>\n`;
  expect(JSON.parse(first!).arguments.gen_args_0.arg_0).toBe(
    `${turn(1)}${turn(2)}<|im_start|>user\n${question(0)}<|im_end|>\n<|im_start|>assistant\n`,
  );
  const few = await evaluate(data, "--num_fewshot", "3", "--fewshot_data", data);
  expect([few.code, few.err]).toEqual([
    1,
    expect.stringMatching(/has 2 examples for the question on line 1, num_fewshot is 3/),
  ]);
});

it.each<[what: string, rows: readonly unknown[], args: readonly string[], says: RegExp]>([
  [
    "no answer",
    [
      { question: "a", answer: "b" },
      { question: "a", solution: "b" },
    ],
    [],
    /line 2: a question needs .*columns are question, solution/,
  ],
  [
    "an empty answer",
    [{ question: "a", answer: " " }],
    [],
    /line 1: answer: expected text or a number, came " "/,
  ],
  [
    "an empty question",
    [{ question: " ", answer: "b" }],
    [],
    /line 1: question: expected text, came white space/,
  ],
  [
    "nothing to answer",
    [{ ...conversation("a", "b"), answer: "b" }],
    [],
    /line 1: messages: the last message is an assistant turn/,
  ],
  [
    "tokens",
    [{ input_ids: [1, 2], answer: "b" }],
    [],
    /line 1: input_ids are tokens, and a question is rendered as text/,
  ],
  [
    "variables that are none",
    [{ question: "a", answer: "b", chat_template_kwargs: { messages: [] } }],
    [],
    /line 1: chat_template_kwargs: /,
  ],
  [
    "a wrong type",
    [{ messages: [{ role: "user", content: 7 }], answer: "b" }],
    [],
    /line 1: messages\[0\]\.content/,
  ],
  [
    "a question that fills the context",
    [{ question: "1".repeat(600), answer: "b" }],
    [],
    /line 1 has 6\d\d tokens .* context of 512/,
  ],
  ["no rows", [], [], /holds no rows/],
  [
    "examples without a file",
    [{ question: "a", answer: "b" }],
    ["--num_fewshot", "2"],
    /--num_fewshot is "2": it needs fewshot_data/,
  ],
])("refuses %s", async (_what, rows, args, says) => {
  const { code, out, err } = await evaluate(
    writeRows(folder, "bad.jsonl", rows),
    "--output_dir",
    at("none"),
    ...args,
  );
  expect([code, out, err]).toEqual([1, "", expect.stringMatching(says)]);
  expect(existsSync(at("none"))).toBe(false);
});

it("refuses a folder that it cannot write to before it asks anything", async () => {
  writeFileSync(at("file"), "mine");
  const { code, err } = await evaluate(
    writeRows(folder, "q.jsonl", [{ question: "a", answer: "b" }]),
    "--output_dir",
    at("file"),
  );
  expect([code, err]).toEqual([1, expect.stringMatching(/file.*cannot be written/)]);
  expect(err).not.toMatch(/parameters/);
  expect(readFileSync(at("file"), "utf8")).toBe("mine");
});

it("grades by verifiers, several responses a question: pass@1, pass@k, maj@k, every response with its verdict", async () => {
  const data = writeRows(folder, "values.jsonl", [
    { question: question(0), answer: "1.0" },
    { question: question(1), answer: "\\frac{4}{2}" },
    { question: question(2), answer: "99" },
  ]);
  const args = ["--verifier", "math", "--num_samples", "4", "--pass_at", "2,4", "--temperature", "0.5"];
  const { code, out, err } = await evaluate(data, ...args, "--output_dir", at("verified"));
  expect([code, err]).toEqual([0, expect.stringMatching(/3 questions, 12 responses: /)]);
  const rows = out.trim().split("\n").slice(3).map(cells);
  expect(rows.map((row) => row[5])).toEqual(["pass@1", "pass@2", "pass@4", "maj@4", "unended"]);
  expect(rows[3]![7]).toBe("0.6667");
  expect(out).toMatch(/num_samples=4/);
  const files = readdirSync(join(at("verified"), readdirSync(at("verified"))[0]!));
  const read = (start: string) =>
    readFileSync(
      join(at("verified"), readdirSync(at("verified"))[0]!, files.find((name) => name.startsWith(start))!),
      "utf8",
    );
  const results = JSON.parse(read("results_"));
  expect(results.results.values).toMatchObject({ "maj@4,math": 2 / 3, responses: 12, ungraded: 0 });
  expect(results.higher_is_better.values).toMatchObject({ "pass@1": true, "maj@4": true, unended: false });
  const samples = read("samples_")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(samples[0]).toMatchObject({ filter: "math", metrics: ["pass@1"], majority: { outcome: "pass" } });
  expect([samples[0].resps[0].length, samples[0].verdicts.length]).toEqual([4, 4]);
  expect(samples[1].verdicts.map((verdict: { verifier: string }) => verdict.verifier)).toEqual([
    "math",
    "math",
    "math",
    "math",
  ]);
  const again = await evaluate(data, ...args);
  expect(again.out).toBe(out);
});

it("asks benchmarks in their own way and grades them by their verifiers", async () => {
  const programs = writeRows(folder, "mbpp.jsonl", [
    {
      text: "Add two numbers.",
      test_list: ["assert add(1, 2) == 3"],
      code: "def add(a, b):\n    return a + b",
    },
  ]);
  const mbpp = await evaluate(programs, "--task", "mbpp", "--json");
  expect(mbpp.code).toBe(0);
  expect(JSON.parse(mbpp.out)).toMatchObject({
    results: { mbpp: { "pass@1,code": 0, responses: 1, ungraded: 0 } },
  });
  const prompts = writeRows(folder, "ifeval.jsonl", [
    { key: 1, prompt: "Say it.", instruction_id_list: ["punctuation:no_comma"], kwargs: [{}] },
  ]);
  const ifeval = await evaluate(prompts, "--task", "ifeval");
  expect(ifeval.out).toMatch(
    /prompt_level_strict_acc.*\n.*inst_level_strict_acc.*\n.*prompt_level_loose_acc.*\n.*inst_level_loose_acc/,
  );
});

it.each([
  ["greedy samples", ["--num_samples", "2"], /num_samples.*temperature above 0/],
  ["pass@k of fewer than k", ["--pass_at", "8"], /pass_at.*num_samples is 1/],
  [
    "rows of another task",
    ["--task", "humaneval"],
    /line 1: a row of humaneval has prompt, entry_point, test; its columns are question, answer/,
  ],
  ["an unknown verifier", ["--verifier", "maths"], /no verifier "maths".*Known verifiers/],
  ["rows that a verifier cannot grade", ["--verifier", "code"], /line 1: .*expected assert lines/],
])("refuses %s", async (_what, args, says) => {
  const data = writeRows(folder, "refused.jsonl", [{ question: question(0), answer: "1" }]);
  const { code, out, err } = await evaluate(data, ...args);
  expect([code, out, err]).toEqual([1, "", expect.stringMatching(says)]);
});
