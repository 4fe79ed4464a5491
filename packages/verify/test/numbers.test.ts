/** Numbers from the text of a row to the verdict and back: what the data says is what is compared and written. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseJson } from "@posttrain/data";
import { afterAll, describe, expect, test } from "vitest";
import { gradeFile, openVerifiers, type Row, readProblems } from "../src/index.js";
import { parseLiteral } from "../src/python-literal.js";

const verifiers = openVerifiers({ concurrency: 2 });
const dir = mkdtempSync(join(tmpdir(), "numbers-"));
afterAll(async () => {
  await verifiers.close();
  rmSync(dir, { recursive: true, force: true });
});

const fenced = (code: string, tag: string): string => `\`\`\`${tag}\n${code}\n\`\`\``;

/** Verdicts on responses to a row that is JSON text. */
async function outcomes(row: string, ...responses: readonly string[]): Promise<readonly string[]> {
  const verdicts = await verifiers.gradeRow({ ...(parseJson(row) as Row), responses });
  return verdicts.map(({ outcome, evidence }) => (outcome === "infrastructure-error" ? evidence : outcome));
}

/** Python functions, as bodies of f(x). */
const python = (...bodies: readonly string[]): string[] =>
  bodies.map((body) => fenced(`def f(x):\n    ${body}`, "python"));
const javascript = (...bodies: readonly string[]): string[] =>
  bodies.map((body) => fenced(`function f(x) { ${body} }`, "javascript"));

const call = (args: string, expected: string, extra = ""): string =>
  `{"code_task": {"mode": "calls", "language": "python", "entryPoint": "f", "cases": [{"args": ${args}, "expected": ${expected}}]${extra}}}`;
const inJavaScript = (row: string): string => row.replace('"python"', '"javascript"');

const [PASS, FAIL] = ["pass", "fail"];

describe("calls in Python: digits alone are an int of any size, a point or an exponent makes a float", () => {
  test.each<[string, string, readonly string[], readonly string[]]>([
    [
      "10**16 arrives as an int",
      call("[10000000000000000]", "10000000000000001"),
      ["return x + 1", "return x + 1.0"],
      [PASS!, FAIL!],
    ],
    ["2^53", call("[9007199254740992]", "9007199254740993"), ["return x + 1", "return x"], [PASS!, FAIL!]],
    [
      "beyond 64 bits",
      call("[12345678901234567890]", "12345678901234567891"),
      ["return x + 1", "return x"],
      [PASS!, FAIL!],
    ],
    [
      "expected alone",
      call("[0]", "2880067194370816120"),
      ["return 2880067194370816120", "return 2880067194370816000"],
      [PASS!, FAIL!],
    ],
    [
      "negative",
      call("[-12345678901234567890]", '"-12345678901234567890"'),
      ["return str(x)", "return x"],
      [PASS!, FAIL!],
    ],
    [
      "5,000 digits",
      call(`[1${"0".repeat(5000)}]`, `1${"0".repeat(4999)}1`),
      ["return x + 1", "return x"],
      [PASS!, FAIL!],
    ],
    [
      "1.0 is a float, 1 is none",
      call("[[1.0, 1]]", '["float", "int"]'),
      ["return [type(y).__name__ for y in x]"],
      [PASS!],
    ],
    [
      "1e5 too, and 1E+400",
      call("[[1e5, 1E+400]]", '["100000.0", "inf"]'),
      ["return [repr(y) for y in x]"],
      [PASS!],
    ],
    ["-0 is 0, -0.0 is not", call("[[-0, -0.0]]", '["0", "-0.0"]'), ["return [repr(y) for y in x]"], [PASS!]],
    [
      "the nearest float of many digits",
      call("[0.1000000000000000055511151231257827]", "0.1000000000000000055511151231257827"),
      ["return 0.1", "return 0.10000000000000002"],
      [PASS!, FAIL!],
    ],
    [
      "in containers and kwargs",
      call('[{"a": [9007199254740993]}]', '{"b": [9007199254740993, 2.0]}'),
      ["return {'b': [x['a'][0], 2.0]}", "return {'b': [float(x['a'][0]), 2.0]}"],
      [PASS!, FAIL!],
    ],
    [
      "strict types tell 2.0 from 2",
      call("[0]", "2.0", ', "comparison": {"strictTypes": true}'),
      ["return 2.0", "return 2"],
      [PASS!, FAIL!],
    ],
    [
      "tolerances in any spelling",
      call("[0]", "1.0", ', "comparison": {"absolute": 1e-06, "relative": 0.0}'),
      ["return 1.0000005", "return 1.00001"],
      [PASS!, FAIL!],
    ],
    [
      "infinity is what 1e400 reads as",
      call("[0]", "1e400"),
      ["return float('inf')", "return 1.7976931348623157e308"],
      [PASS!, FAIL!],
    ],
    [
      "a Decimal and a Fraction by their exact values",
      call("[0]", "[2.5, 9007199254740993]"),
      [
        "from decimal import Decimal as D; return [D('2.50'), D('9007199254740993')]",
        "from fractions import Fraction as F; return [F(5, 2), F(9007199254740993)]",
        "from decimal import Decimal as D; return [D('2.50'), D('9007199254740992')]",
        "from decimal import Decimal as D; return [D('NaN'), D('1E+999999')]",
      ],
      [PASS!, PASS!, FAIL!, FAIL!],
    ],
  ])("%s", async (_what, row, bodies, expected) => {
    expect(await outcomes(row, ...python(...bodies))).toEqual(expected);
  });

  test("what came is shown as it is", async () => {
    const got = async (body: string, expected = "0"): Promise<string> =>
      (
        await verifiers.gradeRow({ ...(parseJson(call("[0]", expected)) as Row), response: python(body)[0] })
      )[0]!.evidence;
    expect(await got("return -0.0", "7")).toContain("expected 7, got -0.0.");
    expect(await got("return 1.0", "9007199254740993")).toContain("expected 9007199254740993, got 1.0.");
    expect(await got("return [float('inf'), float('nan'), 0.1]")).toContain("got [inf, nan, 0.1].");
    expect(await got("return [1e16, 1e-06, 2.0 ** 60]")).toContain(
      "got [1e+16, 1e-06, 1.152921504606847e+18].",
    );
    expect(await got("return 2 ** 64")).toContain("got 18446744073709551616.");
    expect(await got("from decimal import Decimal as D; return D('0.1')", "0.1")).toContain(
      "expected 0.1, got Decimal('0.1').",
    );
    expect((await got("return 7 ** 400000")).length).toBeLessThan(1000);
  });
});

describe("calls in JavaScript: a whole number that a Number holds is one, any other a BigInt; nothing is rounded", () => {
  test.each<[string, string, readonly string[], readonly string[]]>([
    [
      "2^53 + 1 arrives as a BigInt",
      call("[9007199254740993]", '"bigint 9007199254740993"'),
      ["return typeof x + ' ' + x;"],
      [PASS!],
    ],
    [
      "10**16 as a Number",
      call("[10000000000000000]", '"number 10000000000000000"'),
      ["return typeof x + ' ' + x;"],
      [PASS!],
    ],
    [
      "a BigInt is right, the Number beside it is not",
      call("[0]", "9007199254740993"),
      ["return 9007199254740993n;", "return 9007199254740992;", "return 9007199254740992n;"],
      [PASS!, FAIL!, FAIL!],
    ],
    [
      "a Number that is the integer",
      call("[0]", "10000000000000000"),
      ["return 1e16;", "return 10n ** 16n;", "return 1e16 + 2;"],
      [PASS!, PASS!, FAIL!],
    ],
    [
      "a float of the data is a Number",
      call("[0]", "9007199254740992.0"),
      ["return 9007199254740992;", "return 9007199254740994;"],
      [PASS!, FAIL!],
    ],
    [
      "1.0 and 1 are one type",
      call("[1.0]", "2.0", ', "comparison": {"strictTypes": true}'),
      ["return x + 1;", "return x;"],
      [PASS!, FAIL!],
    ],
  ])("%s", async (_what, row, bodies, expected) => {
    expect(await outcomes(inJavaScript(row), ...javascript(...bodies))).toEqual(expected);
  });
});

describe("conventions of text columns", () => {
  const tag = (cases: string, how: (text: string) => string = (text) => text): string =>
    `{"input_output": ${how(cases)}}`;
  test.each<[string, string, readonly string[], readonly string[]]>([
    [
      "a list of arguments: text of the result is text",
      '{"fn_name": "f", "inputs": [[7]], "outputs": ["7"]}',
      ["return str(x)", "return x"],
      [PASS!, FAIL!],
    ],
    [
      "and stays quoted where it is",
      '{"fn_name": "f", "inputs": [["\\"a\\""]], "outputs": ["\\"a\\""]}',
      ["return x", "return x[1:-1]"],
      [PASS!, FAIL!],
    ],
    [
      "arguments as text: JSON, and so is the result",
      '{"fn_name": "f", "inputs": ["7", "8"], "outputs": ["7", "8"]}',
      ["return x", "return str(x)"],
      [PASS!, FAIL!],
    ],
    [
      "big integers of a text",
      '{"fn_name": "f", "inputs": ["12345678901234567890"], "outputs": ["12345678901234567891"]}',
      ["return x + 1", "return x"],
      [PASS!, FAIL!],
    ],
    [
      "big integers of a list",
      '{"fn_name": "f", "inputs": [[12345678901234567890]], "outputs": [[12345678901234567891]]}',
      ["return x + 1", "return x"],
      [PASS!, FAIL!],
    ],
    [
      "a list of one may be the result, or hold it, in all cases alike",
      '{"fn_name": "f", "inputs": [[1], [2]], "outputs": [[1], [2]]}',
      ["return x", "return [x]", "return [x] if x > 1 else x"],
      [PASS!, PASS!, FAIL!],
    ],
    [
      "but one that is not of one is the result",
      '{"fn_name": "f", "inputs": [[1], [2]], "outputs": [[1], [2, 2]]}',
      ["return [x] * x", "return x"],
      [PASS!, FAIL!],
    ],
    [
      "1.0 in Python's own spelling",
      "{'fn_name': 'f', 'inputs': [[1., 1_0]], 'outputs': ['(1.0, 10)']}",
      ["return 0"],
      ["crash"],
    ],
  ])("%s", async (_what, cases, bodies, expected) => {
    expect(await outcomes(tag(cases, JSON.stringify), ...python(...bodies))).toEqual(expected);
    if (cases.startsWith('{"')) expect(await outcomes(tag(cases), ...python(...bodies))).toEqual(expected);
    const verl = JSON.stringify({ data_source: "taco", reward_model: { ground_truth: cases } });
    expect(await outcomes(verl, ...python(...bodies))).toEqual(expected);
  });

  test("Python's literals: floats and ints as they are written", async () => {
    const row = JSON.stringify({
      input_output:
        "{'fn_name': 'f', 'inputs': [[[1., .5, 1e3, 1_0, 0x10, 12345678901234567890, -0.0]]], 'outputs': ['[1.0, 0.5, 1000.0, 10, 16, 12345678901234567890, -0.0]']}",
    });
    expect(await outcomes(row, ...python("return repr(x)"))).toEqual([PASS]);
    expect(parseLiteral(`(${"7".repeat(1_000_001)},)`)).toBeUndefined();
    expect(parseLiteral("(007,)")).toBeUndefined();
    expect(parseLiteral("(00, 1_000)")).toEqual({ value: [0, 1000] });
    expect(parseLiteral("(1__0,)")).toBeUndefined();
  });

  test("LiveCodeBench: an argument a line", async () => {
    const row = (input: string, output: string): string =>
      JSON.stringify({
        public_test_cases: JSON.stringify([{ input, output, testtype: "functional" }]),
        metadata: '{"func_name": "f"}',
      });
    expect(
      await outcomes(
        row("12345678901234567890", "12345678901234567891"),
        ...python("return x + 1", "return x"),
      ),
    ).toEqual([PASS, FAIL]);
    expect(await outcomes(row("1.0", '"1.0"'), ...python("return repr(x)", "return x"))).toEqual([
      PASS,
      FAIL,
    ]);
    expect(await outcomes(row('"7"', '"7"'), ...python("return x", "return int(x)"))).toEqual([PASS, FAIL]);
    expect(await outcomes(row("seven", "7"), ...python("return x"))).toEqual([
      expect.stringContaining(
        'public_test_cases, case 1: argument 1 is no JSON, which it is where arguments are text, a line each: came "seven"',
      ),
    ]);
    expect(await outcomes(row("7", "seven"), ...python("return x"))).toEqual([
      expect.stringContaining("public_test_cases, case 1: the output is no JSON"),
    ]);
  });

  test("open-r1: a list of arguments, text is text", async () => {
    const row = (output: string): string =>
      `{"verification_info": {"language": "python", "test_cases": [{"type": "function_call", "fn_name": "f", "input": [7], "output": ${output}}]}}`;
    expect(await outcomes(row('"7"'), ...python("return str(x)", "return x"))).toEqual([PASS, FAIL]);
    expect(await outcomes(row("[7]"), ...python("return x", "return [x]", "return '7'"))).toEqual([
      PASS,
      PASS,
      FAIL,
    ]);
  });

  test("programs: a number of the data is the text that the row has for it", async () => {
    const print = (text: string): string => fenced(`print(${text})`, "python");
    for (const row of [
      '{"input_output": {"inputs": ["1"], "outputs": [2.0]}}',
      '{"input_output": "{\\"inputs\\": [\\"1\\"], \\"outputs\\": [2.0]}"}',
      '{"tests": [{"input": {"stdin": "1"}, "output": {"stdout": 2.0}}]}',
      '{"test_cases": [{"input": 1, "output": 2.0}]}',
      '{"public_tests": {"input": ["1"], "output": [2.0]}}',
    ])
      expect(await outcomes(row, print("'2.0'"), print("'2'")), row).toEqual([PASS, FAIL]);
    const echo = fenced("print(input())", "python");
    expect(
      await outcomes(
        '{"input_output": {"inputs": [12345678901234567890], "outputs": [12345678901234567890]}}',
        echo,
      ),
    ).toEqual([PASS]);
    expect(await outcomes('{"input_output": {"inputs": [1e400], "outputs": ["1e400"]}}', echo)).toEqual([
      PASS,
    ]);
  });
});

describe("answers", () => {
  test.each<[string, string, readonly string[], readonly string[]]>([
    [
      "a number beyond 2^53",
      '{"answer": 9007199254740993}',
      ["\\boxed{9007199254740993}", "\\boxed{9007199254740992}"],
      [PASS!, FAIL!],
    ],
    [
      "in a list",
      '{"ground_truth": [1, 9007199254740993]}',
      ["\\boxed{9007199254740993}", "\\boxed{9007199254740992}"],
      [PASS!, FAIL!],
    ],
    [
      "verl's",
      '{"data_source": "math_dapo", "reward_model": {"ground_truth": 12345678901234567890}}',
      ["Answer: 12345678901234567890", "Answer: 12345678901234567891"],
      [PASS!, FAIL!],
    ],
    [
      "many digits",
      '{"answer": 0.12345678901234567891}',
      ["\\boxed{0.12345678901234567891}", "\\boxed{0.12345678901234567892}"],
      [PASS!, FAIL!],
    ],
    [
      "a float of Python's",
      '{"answer": 72.0}',
      ["The answer is 72.", "The answer is 72.0", "The answer is 72.5"],
      [PASS!, PASS!, FAIL!],
    ],
    ["1e400", '{"answer": 1e400}', ["\\boxed{10^{400}}", "\\boxed{10^{401}}"], [PASS!, FAIL!]],
    ["exact: as the row writes it", '{"verifier": "exact", "answer": 2.0}', ["2.0", "2"], [PASS!, FAIL!]],
    [
      "exact, beyond 2^53",
      '{"verifier": "exact", "answer": 9007199254740993}',
      ["9007199254740993", "9007199254740992"],
      [PASS!, FAIL!],
    ],
    [
      "a choice by place, as a float",
      '{"choices": ["red", "green"], "answer": 1.0}',
      ["The answer is (B).", "The answer is (A)."],
      [PASS!, FAIL!],
    ],
    [
      "JSON",
      '{"verifier": "json", "answer": {"a": 9007199254740993}}',
      ['{"a": 9007199254740993}', '{"a": 9007199254740992}'],
      [PASS!, FAIL!],
    ],
    [
      "JSON as text",
      '{"verifier": "json", "answer": "[12345678901234567890]"}',
      ["[12345678901234567890]", "[12345678901234567891]"],
      [PASS!, FAIL!],
    ],
    [
      "JSON numbers by value",
      '{"verifier": "json", "answer": [1.0, 1e2, 1e400]}',
      ["[1, 100, 10e399]", "[1, 100, 1e401]", '["1", 100, 1e400]'],
      [PASS!, FAIL!, FAIL!],
    ],
    [
      "settings in any spelling",
      '{"verifier": {"name": "math", "tolerance": {"absolute": 1e-01}}, "answer": "2"}',
      ["\\boxed{2.05}", "\\boxed{2.2}"],
      [PASS!, FAIL!],
    ],
    [
      "instructions' numbers",
      '{"instruction_id_list": ["length_constraints:number_words"], "kwargs": [{"num_words": 3.0, "relation": "at least"}]}',
      ["one two three", "one two"],
      [PASS!, FAIL!],
    ],
  ])("%s", async (_what, row, responses, expected) => {
    expect(await outcomes(row, ...responses)).toEqual(expected);
  });

  test("a place that is none is named as the row has it", async () => {
    expect(await outcomes('{"choices": ["red", "green"], "answer": 12345678901234567890}', "A")).toEqual([
      expect.stringContaining("expected the place of a choice, from 0 to 1, came 12345678901234567890"),
    ]);
  });
});

test("rows of SQL: integers by their digits, floats within a billionth", async () => {
  const row = (rows: string): string =>
    `{"code_task": {"mode": "query", "language": "sql", "setup": "create table t(x)", "rows": ${rows}}}`;
  const select = (what: string): string => fenced(`select ${what}`, "sql");
  expect(
    await outcomes(row("[[9007199254740993]]"), select("9007199254740993"), select("9007199254740992")),
  ).toEqual([PASS, FAIL]);
  expect(
    await outcomes(
      row("[[1.0], [2]]"),
      select("2 union all select 1"),
      select("2.0 union all select 1.0000000001"),
    ),
  ).toEqual([PASS, PASS]);
});

describe("files", () => {
  test("rows are written back as they came, with all of their numbers", async () => {
    const rows = [
      '{"id":12345678901234567890,"score":1.0,"more":[1e-06,-0,{"x":0.10000000000000001}],"answer":9007199254740993,"response":"\\\\boxed{9007199254740993}"',
      '{"id":1e400,"answer":2.0,"response":"\\\\boxed{3}"',
    ];
    const data = join(dir, "rows.jsonl");
    writeFileSync(data, `${rows.map((row) => `${row}}`).join("\n")}\n`);
    const output = join(dir, "out.jsonl");
    await gradeFile({ data, verifiers, output });
    const lines = readFileSync(output, "utf8").trimEnd().split("\n");
    expect(lines.map((line) => line.slice(0, line.indexOf(',"verdict"')))).toEqual(rows);
    expect(
      lines.map((line) => (JSON.parse(line) as { verdict: { outcome: string } }).verdict.outcome),
    ).toEqual([PASS, FAIL]);
  });

  test("responses and problems meet by numbers that a double confuses", async () => {
    const problems = join(dir, "problems.jsonl");
    writeFileSync(
      problems,
      '{"id": 9007199254740992, "answer": 1}\n{"id": 9007199254740993, "answer": 2}\n{"id": 7.0, "answer": 3}\n',
    );
    const data = join(dir, "responses.jsonl");
    writeFileSync(
      data,
      '{"id": 9007199254740993, "response": "\\\\boxed{2}"}\n{"id": 9007199254740992, "response": "\\\\boxed{1}"}\n{"id": 7, "response": "\\\\boxed{3}"}\n',
    );
    const seen: string[] = [];
    await gradeFile({
      data,
      verifiers,
      problems: await readProblems(problems),
      onRow: async (row) => void seen.push((row as { verdict: { outcome: string } }).verdict.outcome),
    });
    expect(seen).toEqual([PASS, PASS, PASS]);
  });
});
