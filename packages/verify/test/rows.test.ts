/** Rows as data sets have them, graded: the right response passes, its nearest miss does not. */
import { readFileSync } from "node:fs";
import { withDoubles } from "@posttrain/data";
import { afterAll, describe, expect, test } from "vitest";
import { openVerifiers, type Row } from "../src/index.js";
import { parseLiteral } from "../src/python-literal.js";

const verifiers = openVerifiers({ concurrency: 2 });
afterAll(() => verifiers.close());

const outcomes = async (row: Row): Promise<readonly string[]> =>
  (await verifiers.gradeRow(row)).map(({ outcome }) => outcome);

const fenced = (code: string, tag = "python"): string => `Here it is:\n\n\`\`\`${tag}\n${code}\n\`\`\`\n`;

describe("answers", () => {
  test("gsm8k reads no line behind #### twice: two answers stand there", async () => {
    const responses = ["#### 72\n\nI used 6 boxes.", "#### 72\nor 73"];
    expect(await outcomes({ answer: "#### 72", responses })).toEqual(["pass", "unparseable"]);
  });

  test.each<[string, Row, string, string]>([
    ["a boxed value", { answer: "1/2" }, "\\boxed{0.5}", "\\boxed{0.6}"],
    ["MATH's solution", { solution: "So \\boxed{\\frac34}." }, "\\boxed{0.75}", "\\boxed{0.7}"],
    ["GSM8K's worked answer", { answer: "2*36=72\n#### 72" }, "#### 72", "72\n#### 73"],
    ["GSM8K's published solutions", { answer: "#### 1,072" }, "so\nA: 1072", "so\nA: 1073"],
    ["a number", { answer: 72 }, "The answer is 72.", "The answer is 27."],
    ["true", { answer: true }, "\\boxed{yes}", "\\boxed{no}"],
    ["one of several", { ground_truth: ["two", "2"] }, "\\boxed{2}", "\\boxed{3}"],
    [
      "verl's truth",
      { data_source: "math_dapo", reward_model: { ground_truth: "34" } },
      "Answer: 34",
      "Answer: 43",
    ],
    [
      "verl's search",
      { data_source: "searchR1_nq", reward_model: { ground_truth: { target: ["The Nile"] } } },
      "<answer>nile</answer>",
      "<answer>Rhine</answer>",
    ],
    [
      "a choice by place",
      { choices: ["red", "green"], answer: 1 },
      "The answer is (B).",
      "The answer is (A).",
    ],
    ["a choice by letter", { choices: ["red", "green"], answer: "B" }, "\\boxed{green}", "\\boxed{red}"],
    ["a choice by words", { options: ["red", "green"], answer: "green" }, "Answer: B", "Answer: A"],
    ["exact", { verifier: "exact", answer: "Yes" }, " Yes\n", "yes"],
    ["words", { verifier: "text", answer: "the Nile" }, "Answer: Nile", "Answer: Nil"],
    ["JSON", { verifier: "json", answer: { a: 1, b: [2] } }, '{"b": [2], "a": 1}', '{"b": [2], "a": 2}'],
    [
      "a mode",
      { verifier: { name: "math", mode: "qwen2.5-math" }, answer: "0.5" },
      "\\boxed{50}",
      "\\boxed{5}",
    ],
    [
      "search's tags",
      { dataset: "re_search", ground_truth: '["Paris"]' },
      "<finish>paris</finish>",
      "<finish>Rome</finish>",
    ],
    ["a score", { dataset: "string_f1", ground_truth: "hello" }, "Hello!", "hello you"],
    [
      "a score with a lower mark",
      { verifier: { name: "string_f1", pass_score: 0.6 }, answer: "hello" },
      "hello you",
      "hello you all",
    ],
  ])("%s", async (_what, row, right, wrong) => {
    expect(await outcomes({ ...row, responses: [right, wrong] })).toEqual(["pass", "fail"]);
  });

  test("open-instruct's own cases, through verifiers of its names", async () => {
    const names: Readonly<Record<string, string>> = {
      PuzzleMatcherVerifier: "puzzle",
      F1Verifier: "string_f1",
      GSM8KVerifier: "gsm8k",
    };
    const path = new URL("../../answers/test/fixtures/open_instruct_verifier_cases.jsonl", import.meta.url);
    for (const line of readFileSync(path, "utf8").trim().split("\n")) {
      const { id, verifier, prediction, label, expected_score: expected } = JSON.parse(line);
      const [graded] = await verifiers.gradeRow({
        verifier: { name: names[verifier], ...(verifier === "GSM8KVerifier" && { mode: "open-instruct" }) },
        ground_truth: label,
        response: prediction,
      });
      expect(graded!.details?.["score"], id).toBeCloseTo(expected, 12);
      expect(graded!.outcome, id).toBe(expected === 1 ? "pass" : "fail");
    }
  });
});

describe("instructions", () => {
  test.each<[string, Row, string, string]>([
    ["IFEval's columns", { instruction_id_list: ["punctuation:no_comma"], kwargs: [{}] }, "a b", "a, b"],
    ["as text", { instruction_id_list: "['punctuation:no_comma']", kwargs: "[None]" }, "a b", "a, b"],
    [
      "our list",
      { instructions: [{ id: "keywords:existence", kwargs: { keywords: ["sea"] } }] },
      "the sea",
      "the land",
    ],
    [
      "open-instruct's",
      { dataset: "ifeval", ground_truth: "[{'instruction_id': ['punctuation:no_comma'], 'kwargs': [None]}]" },
      "a b",
      "a, b",
    ],
    [
      "open-instruct's old",
      {
        dataset: "ifeval_old",
        ground_truth: '{"func_name": "verify_keywords", "keyword_list": ["sea"], "N": null}',
      },
      "the sea",
      "the land",
    ],
    [
      "after thinking",
      { instruction_id_list: ["punctuation:no_comma"], kwargs: [{}] },
      "<think>a, b</think>a b",
      "<think>a b</think>a, b",
    ],
    [
      "loose",
      {
        verifier: { name: "ifeval", strictness: "loose" },
        instruction_id_list: ["startend:quotation"],
        kwargs: [{}],
      },
      'Sure:\n"yes"',
      "Sure: yes",
    ],
  ])("%s", async (_what, row, right, wrong) => {
    expect(await outcomes({ ...row, responses: [right, wrong] })).toEqual(["pass", "fail"]);
  });
});

describe("programs", () => {
  const add = "def add(a, b):\n    return a + b";
  const method = "class Solution:\n    def add(self, a: int, b: List[int]) -> int:\n        return a + b[0]";
  test.each<[string, Row, string, string]>([
    [
      "HumanEval",
      {
        prompt: 'def add(a, b):\n    """Adds."""\n',
        entry_point: "add",
        test: "def check(f):\n    assert f(1, 2) == 3",
      },
      "    return a + b\n",
      "    return a - b\n",
    ],
    [
      "MBPP",
      { text: "Add.", test_list: ["assert add(1, 2) == 3"], test_setup_code: "" },
      fenced(add),
      fenced("def add(a, b):\n    return 4"),
    ],
    [
      "open-instruct",
      { dataset: "code", ground_truth: '["assert add(1, 2) == 3"]' },
      fenced(add),
      fenced("def add(a, b):\n    return 4"),
    ],
    [
      "verl, in and out",
      { data_source: "apps", reward_model: { ground_truth: '{"inputs": ["1 2\\n"], "outputs": ["3\\n"]}' } },
      fenced("print(sum(map(int, input().split())))"),
      fenced("print(4)"),
    ],
    [
      "verl, a function",
      {
        data_source: "taco",
        reward_model: { ground_truth: { fn_name: "add", inputs: [[1, [2]]], outputs: [[3]] } },
      },
      fenced(method),
      fenced(method.replace("+", "-")),
    ],
    [
      "CodeContests",
      {
        public_tests: { input: ["1\n"], output: ["2\n"] },
        private_tests: { input: ["5\n"], output: ["6\n"] },
      },
      fenced("print(int(input()) + 1)"),
      fenced("print(2)"),
    ],
    [
      "SandboxFusion",
      { tests: [{ input: { stdin: "1" }, output: { stdout: "2" } }] },
      fenced("print(int(input()) + 1)"),
      fenced("print(3)"),
    ],
    [
      "LiveCodeBench",
      {
        public_test_cases: '[{"input": "[1, 2]\\n3", "output": "6", "testtype": "functional"}]',
        metadata: '{"func_name": "add"}',
      },
      fenced("def add(xs, y):\n    return sum(xs) + y"),
      fenced("def add(xs, y):\n    return 5"),
    ],
    [
      "open-r1",
      {
        verification_info: {
          language: "python",
          test_cases: [{ input: "1", output: "2", type: "stdin_stdout" }],
        },
      },
      fenced("print(int(input()) + 1)"),
      fenced("print(3)"),
    ],
    [
      "any language that the fence names",
      { input_output: '{"inputs": ["1"], "outputs": ["2"]}' },
      fenced('console.log(Number(require("fs").readFileSync(0, "utf8")) + 1)', "javascript"),
      fenced("console.log(3)", "javascript"),
    ],
    [
      "MBPP, whose reference names a built-in function",
      { text: "Divisors.", code: "def sum(a, b):\n    return 6", test_list: ["assert sum(10, 15) == 6"] },
      fenced("def sum(a, b):\n    return 6"),
      fenced("def sum(a, b):\n    return 25"),
    ],
    [
      "MBPP without its reference",
      { text: "Divisors.", test_list: ["assert sum(10, 15) == 6", "assert(sum(1, 2) == 6)"] },
      fenced("def sum(a, b):\n    return 6"),
      fenced("def sum(a, b):\n    return 25"),
    ],
    [
      "MBPP, usage behind the solution",
      { text: "Add.", test_list: ["assert add(1, 2) == 3"] },
      fenced(add) + fenced("a = 1\nprint(add(a, 2))") + fenced("3", "text"),
      fenced(add) + fenced("def add(a, b):\n    return a - b"),
    ],
    [
      "HumanEval, usage before the solution",
      {
        prompt: 'def add(a, b):\n    """Adds."""\n',
        entry_point: "add",
        test: "def check(candidate):\n    assert candidate(1, 2) == 3\n",
      },
      fenced("print(add(1, 2))") + fenced(add),
      fenced(add) + fenced("print(add(1, 2))") + fenced("def add(a, b):\n    return a - b"),
    ],
    [
      "assert lines of a function that the row names",
      { entry_point: "max", asserts: ["assert max([1, 2]) == min([1, 2])"] },
      fenced("def max(xs):\n    return 1"),
      fenced("def max(xs):\n    return 2"),
    ],
    [
      "a function called, its helper in another block",
      { input_output: { fn_name: "add", inputs: [[1, 2]], outputs: [[3]] } },
      fenced("def plus(a, b):\n    return a + b") +
        fenced("def add(a, b):\n    return plus(a, b)") +
        fenced("add(5, 'x')"),
      fenced("def plus(a, b):\n    return a - b") + fenced("def add(a, b):\n    return plus(a, b)"),
    ],
    [
      "the language of the program, not of the command that starts it",
      { input_output: '{"inputs": ["1"], "outputs": ["2"]}' },
      fenced('console.log(Number(require("fs").readFileSync(0, "utf8")) + 1)', "js") +
        fenced("node a.js < in.txt", "bash"),
      fenced('console.log(require("fs").readFileSync(0, "utf8"))', "js") + fenced("echo 2", "sh"),
    ],
    [
      "numbers within a tolerance that the row sets",
      {
        verifier: { name: "code", tolerance: { absolute: 0.01 } },
        input_output: '{"inputs": ["1"], "outputs": ["about 3.14"]}',
      },
      fenced("input()\nprint('about', 3.1416)"),
      fenced("input()\nprint('about', 3.2)"),
    ],
    [
      "results within a tolerance that the row sets",
      {
        verifier: { name: "code", tolerance: { relative: 0.001 } },
        input_output: { fn_name: "f", inputs: [[1]], outputs: [[[1000.0, "a"]]] },
      },
      fenced("def f(x): return [1000.5, 'a']"),
      fenced("def f(x): return [1002, 'a']"),
    ],
    [
      "the block that the row chooses",
      { verifier: { name: "code", choose: "first" }, test_list: ["assert add(1, 2) == 3"] },
      fenced(add) + fenced("def add(a, b):\n    return 4"),
      fenced("def add(a, b):\n    return 4") + fenced(add),
    ],
    [
      "MultiPL-E, a fence and usage behind it",
      {
        name: "add",
        language: "ts",
        prompt: "function add(a: number, b: number): number {\n",
        tests:
          "declare var require: any;\nconst assert = require('node:assert');\nassert.strictEqual(add(1, 2), 3);",
        stop_tokens: ["\nmore"],
      },
      fenced("function add(a: number, b: number): number {\n  return a + b;\n}", "ts") +
        fenced("console.log(add(1, 2));", "ts"),
      fenced("function add(a: number, b: number): number {\n  return a - b;\n}", "ts"),
    ],
    [
      "MultiPL-E",
      {
        name: "add",
        language: "js",
        prompt: "function add(a, b) {\n",
        tests: 'const assert = require("node:assert");\nassert.strictEqual(add(1, 2), 3);',
        stop_tokens: ["\n}"],
      },
      "  return a + b;\n}\nmore",
      "  return a - b;\n}",
    ],
  ])("%s", async (_what, row, right, wrong) => {
    // MultiPL-E's stop word ends the function that its prompt began: the candidate is closed by what comes before it.
    const closed = row["stop_tokens"] === undefined ? row : { ...row, stop_tokens: ["\nmore"] };
    expect(await outcomes({ ...closed, responses: [right, wrong] })).toEqual(["pass", "fail"]);
  });

  test("tests that must hold objects of the program's own say so, or are refused", async () => {
    const row = {
      test_list: ["assert Point(1) == Point(1)"],
      response: fenced(
        "class Point:\n    def __init__(self, x):\n        pass\n    def __eq__(self, other):\n        return True",
      ),
    };
    const [accepted] = await verifiers.gradeRow(row);
    expect(accepted).toMatchObject({ outcome: "pass", details: { sealed: false } });
    await using strict = openVerifiers({ unsealed: "refuse" });
    const [refused] = await strict.gradeRow(row);
    expect(refused).toMatchObject({
      outcome: "infrastructure-error",
      evidence: expect.stringMatching(/was refused/),
    });
    // The tests' text decides, not what the program returns: a function's results are plain data, or equal nothing.
    const [sealed] = await verifiers.gradeRow({
      test_list: ["assert point(1) == point(1)"],
      response: fenced(
        "class P:\n    def __eq__(self, other):\n        return True\ndef point(x):\n    return P()",
      ),
    });
    expect(sealed).toMatchObject({ outcome: "fail", details: { sealed: true } });
  });

  test("an answer without a program is no answer", async () => {
    expect(await outcomes({ test_list: ["assert f() == 1"], response: "" })).toEqual(["unparseable"]);
  });
});

describe("what a row lacks is nobody's failure, and is said by field", () => {
  test.each<[string, Row, RegExp]>([
    [
      "a reference",
      { verifier: "math" },
      /no reference: expected answer, ground_truth.*\(verifier math, from verifier\)/,
    ],
    [
      "a readable reference",
      { verifier: "math", answer: { a: 1 } },
      /answer: expected text, a number.*came \{"a":1\}/,
    ],
    [
      "a choice",
      { choices: ["a"], answer: 3 },
      /answer: expected the place of a choice, from 0 to 0, came 3/,
    ],
    ["tests", { verifier: "code", answer: "x" }, /answer: expected assert lines.*came "x"/],
    ["the rest of HumanEval", { test: "def check(f): pass" }, /test: beside it entry_point and prompt/],
    ["as many outputs", { input_output: { inputs: ["1"], outputs: [] } }, /1 inputs and 0 outputs/],
    [
      "a language",
      { language: "cobol", input_output: { inputs: ["1"], outputs: ["1"] } },
      /language: expected one of python.*came "cobol"/,
    ],
    ["kwargs", { instruction_id_list: ["punctuation:no_comma"] }, /kwargs/],
    [
      "known settings",
      { verifier: { name: "math", modes: "own" }, answer: "1" },
      /modes.*known: mode, extraction/,
    ],
    ["a readable setting", { verifier: { name: "math", mode: "mine" }, answer: "1" }, /verifier\.mode/],
  ])("%s", async (_what, row, says) => {
    expect(verifiers.problemOf({ ...row, response: "x" })).toMatch(says);
    const [graded] = await verifiers.gradeRow({ ...row, response: "x" });
    expect(graded).toMatchObject({ outcome: "infrastructure-error", details: { fault: "row" } });
    expect(graded!.evidence).toMatch(says);
  });

  test.each<[string, Row, RegExp]>([
    ["a response", { answer: "1" }, /no response: expected responses, completions, response/],
    ["a text", { answer: "1", response: 7 }, /response: expected text or messages.*came 7/],
    [
      "an assistant's turn",
      { answer: "1", completion: [{ role: "user", content: "x" }] },
      /completion, entry 1: expected text or messages with an assistant/,
    ],
    ["one of several", { answer: "1", responses: ["1", null] }, /responses, entry 2: expected text/],
    ["any of several", { answer: "1", responses: [] }, /responses: the list is empty/],
  ])("%s", (_what, row, says) => {
    expect(verifiers.problemOf(row)).toMatch(says);
  });
});

test("responses as messages: the assistant's last turn", async () => {
  const completion = [
    { role: "assistant", content: "\\boxed{2}" },
    { role: "user", content: "Sure?" },
    { role: "assistant", content: [{ type: "text", text: "\\boxed{1}" }] },
  ];
  expect(await outcomes({ answer: "1", completion })).toEqual(["pass"]);
  expect(await outcomes({ answer: "1", responses: [completion.at(-1), completion[0]] })).toEqual([
    "pass",
    "fail",
  ]);
  expect(await outcomes({ answer: "1", completions: [completion, completion.slice(0, 1)] })).toEqual([
    "pass",
    "fail",
  ]);
});

describe("Python's literals", () => {
  test.each([
    ["[{'a': None, \"b\": (True, False)}, -1.5e3, 1_000]", [{ a: null, b: [true, false] }, -1500, 1000]],
    ["'it\\'s' \"\\x41\\u00e9\\n\"", "it'sAé\n"],
    ['{"a": [1, 2,],}', { a: [1, 2] }],
    ["'''two\nlines'''", "two\nlines"],
    ["{}", {}],
  ])("%s", (text, value) => {
    expect(withDoubles(parseLiteral(text))).toEqual({ value });
  });

  test.each(["", "__import__('os')", "[1", "'open", "1 2", "{1}", "nan", "[".repeat(100_000)])(
    "no literal: %#",
    (text) => {
      expect(parseLiteral(text)).toBeUndefined();
    },
  );
});
