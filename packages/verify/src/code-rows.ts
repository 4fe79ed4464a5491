/** The task in a row of code, in the shapes that public data sets have. */
import { isJsonObject, stringifyJson, withDoubles } from "@posttrain/data";
import {
  type AssertsTask,
  type CallCase,
  type CodeTask,
  comparisonKinds,
  humanEvalTask,
  judgeLanguages,
  type Language,
  languages,
  mbppTask,
  type StdioCase,
} from "@posttrain/sandbox";
import { z } from "zod";
import { dataOf, referenceValue } from "./references.js";
import type { Row } from "./verifier.js";

/** How a program comes out of the response. */
export type Candidate =
  /** A Python prompt that ends in an unfinished function, which the response finishes or writes again. */
  | { readonly kind: "completion"; readonly prompt: string; readonly entryPoint: string }
  /** A prompt in another language, which a response without a fence continues up to a stop word. */
  | { readonly kind: "continuation"; readonly prompt: string; readonly stop: readonly string[] }
  | { readonly kind: "program"; readonly entryPoint?: string };

export interface CodeRow {
  readonly task: CodeTask;
  readonly candidate: Candidate;
  /** The row names no language: a stdin/stdout program may be in any that its fence names. */
  readonly anyLanguage: boolean;
}

/** Columns that hold a row's cases; the first that is there counts. */
const caseColumns = [
  "tests",
  "python_tests",
  "asserts",
  "test_cases",
  "input_output",
  "verification_info",
  "public_tests",
  "public_test_cases",
] as const;

/** Columns of which one makes a row a row of code. */
export const codeColumns = ["code_task", "test", "test_list", ...caseColumns] as const;

const languageNames: Readonly<Record<string, Language>> = {
  ...Object.fromEntries(languages.map((language) => [language, language])),
  py: "python",
  python3: "python",
  js: "javascript",
  nodejs: "javascript",
  node: "javascript",
  ts: "typescript",
  "c++": "cpp",
  golang: "go",
  rs: "rust",
  sh: "bash",
  shell: "bash",
  sqlite: "sql",
};

/** A message that begins with the field, where the row has no task that can be read. */
export function readCodeRow(row: Row): CodeRow | { readonly problem: string } {
  const named = row["language"] ?? (row["verification_info"] as Row | undefined)?.["language"];
  const language = typeof named === "string" ? languageNames[named.toLowerCase()] : undefined;
  if (typeof named === "string" && language === undefined) {
    return { problem: `language: expected one of ${languages.join(", ")}, came ${JSON.stringify(named)}` };
  }
  const anyLanguage = language === undefined;
  const program = language ?? "python";
  return (
    fromTask(row, anyLanguage) ??
    fromHumanEval(row) ??
    fromMultiPlE(row, language) ??
    fromMbpp(row) ??
    fromCases(row, program, anyLanguage) ?? {
      problem: `it has no tests: expected test and entry_point (HumanEval), test_list (MBPP), tests, input_output, verification_info, or a ground_truth with tests, came the columns ${Object.keys(row).join(", ")}`,
    }
  );
}

const limits = { absolute: z.number().optional(), relative: z.number().optional() };
const judge = z.strictObject({
  language: z.enum(judgeLanguages),
  source: z.string(),
  entryPoint: z.string().optional(),
});
const taskSchema = z.discriminatedUnion("mode", [
  z.strictObject({
    mode: z.literal("asserts"),
    language: z.enum(languages).exclude(["sql"]),
    tests: z.string(),
    preamble: z.string().optional(),
    entryPoint: z.string().optional(),
  }),
  z.strictObject({
    mode: z.literal("calls"),
    language: z.enum(["python", "javascript", "typescript"]),
    entryPoint: z.string(),
    cases: z
      .array(
        z.strictObject({
          args: z.array(z.unknown()),
          kwargs: z.record(z.string(), z.unknown()).optional(),
          expected: z.unknown(),
        }),
      )
      .min(1),
    inPlace: z.boolean().optional(),
    comparison: z
      .preprocess(withDoubles, z.strictObject({ ...limits, strictTypes: z.boolean().optional() }))
      .optional(),
    checker: judge.optional(),
  }),
  z.strictObject({
    mode: z.literal("stdio"),
    language: z.enum(languages).exclude(["sql"]),
    cases: z.array(z.strictObject({ stdin: z.string(), stdout: z.string() })).min(1),
    comparison: z
      .preprocess(
        withDoubles,
        z.strictObject({
          kind: z.enum(comparisonKinds),
          ...limits,
          ignoreCase: z.boolean().optional(),
        }),
      )
      .optional(),
    checker: judge.optional(),
  }),
  z.strictObject({
    mode: z.literal("query"),
    language: z.literal("sql"),
    setup: z.string(),
    reference: z.string().optional(),
    rows: z.array(z.array(z.unknown())).optional(),
    ordered: z.boolean().optional(),
  }),
]);

function fromTask(row: Row, anyLanguage: boolean): CodeRow | { problem: string } | undefined {
  if (row["code_task"] == null) return undefined;
  const given = row["code_task"];
  const read = taskSchema.safeParse(given);
  if (!read.success) {
    const { path, message } = read.error.issues[0]!;
    return { problem: `code_task${path.length > 0 ? `.${path.join(".")}` : ""}: ${message}` };
  }
  const task = read.data as CodeTask;
  const entryPoint = "entryPoint" in task ? task.entryPoint : undefined;
  return {
    task,
    candidate: { kind: "program", ...(entryPoint !== undefined && { entryPoint }) },
    anyLanguage: anyLanguage && (given as Row)["language"] === undefined,
  };
}

function fromHumanEval(row: Row): CodeRow | { problem: string } | undefined {
  const { test, entry_point: entryPoint, prompt } = row as Record<string, unknown>;
  if (typeof test !== "string") return undefined;
  if (typeof entryPoint !== "string" || typeof prompt !== "string")
    return { problem: "test: beside it entry_point and prompt are expected, as HumanEval has them" };
  return {
    task: humanEvalTask({ prompt, entry_point: entryPoint, test }),
    candidate: { kind: "completion", prompt, entryPoint },
    anyLanguage: false,
  };
}

/** MultiPL-E: a prompt in another language and its tests as text. */
function fromMultiPlE(row: Row, language: Language | undefined): CodeRow | undefined {
  const { tests, prompt, stop_tokens: stop, name } = row as Record<string, unknown>;
  if (typeof tests !== "string" || language === undefined || language === "sql") return undefined;
  if (dataOf(tests) !== undefined) return undefined;
  const task: AssertsTask = { mode: "asserts", language, tests };
  const words = Array.isArray(stop) ? stop.filter((word) => typeof word === "string") : [];
  const continued = typeof prompt === "string" && (stop !== undefined || name !== undefined);
  return {
    task,
    candidate: continued ? { kind: "continuation", prompt, stop: words } : { kind: "program" },
    anyLanguage: false,
  };
}

function fromMbpp(row: Row): CodeRow | { problem: string } | undefined {
  const list = asserts(row["test_list"]);
  if (list === undefined) {
    return row["test_list"] == null ? undefined : { problem: "test_list: expected a list of assert lines" };
  }
  const imports = row["test_imports"];
  const setup = row["test_setup_code"];
  const code = row["code"];
  const task = mbppTask({
    test_list: list,
    ...(typeof code === "string" && { code }),
    ...(Array.isArray(imports) && { test_imports: imports.map(String) }),
    ...(typeof setup === "string" && { test_setup_code: setup }),
  });
  return fromAsserts(row, task);
}

/** Assert lines, of the function that the row names, if it does. */
function fromAsserts(row: Row, task: AssertsTask): CodeRow {
  const entryPoint = functionOf(row) ?? task.entryPoint;
  const named = entryPoint === undefined ? {} : { entryPoint };
  return { task: { ...task, ...named }, candidate: { kind: "program", ...named }, anyLanguage: false };
}

function asserts(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) && value.length > 0 && value.every((line) => typeof line === "string")
    ? (value as readonly string[])
    : undefined;
}

/** Everything with lists of cases: CodeContests, APPS, TACO, verl, open-instruct, LiveCodeBench, open-r1. */
function fromCases(
  row: Row,
  language: Language,
  anyLanguage: boolean,
): CodeRow | { problem: string } | undefined {
  const column = caseColumns.find((name) => row[name] != null);
  const found = column === undefined ? referenceValue(row) : { column, value: row[column] };
  if (found === undefined) return undefined;
  const { value } = found;
  const data = dataOf(value) ?? value;
  if (found.column === "public_tests") return stdio(codeContests(row), language, anyLanguage, found.column);
  // Tests as a program: a line each, or a text of assert lines.
  const lines =
    asserts(data) ?? (typeof data === "string" && /^\s*assert\b/m.test(data) ? [data] : undefined);
  if (lines !== undefined) {
    return fromAsserts(row, { mode: "asserts", language: "python", tests: lines.join("\n") });
  }
  const list = Array.isArray(data)
    ? data
    : ((data as Row | null)?.["test_cases"] ?? (data as Row | null)?.["tests"]);
  if (Array.isArray(list)) return fromList(row, list, language, anyLanguage, found.column);
  if (isJsonObject(data) && Array.isArray(data["inputs"]) && Array.isArray(data["outputs"]))
    return fromInputsOutputs(data, language, anyLanguage, found.column);
  return {
    problem: `${found.column}: expected assert lines, a list of cases with input and output, or inputs and outputs, came ${stringifyJson(value)?.slice(0, 80)}`,
  };
}

/** CodeContests as DeepMind has it: three sets of cases. */
function codeContests(row: Row): readonly StdioCase[] {
  return ["public_tests", "private_tests", "generated_tests"].flatMap((name) => {
    const set = row[name];
    if (!isJsonObject(set) || !Array.isArray(set["input"]) || !Array.isArray(set["output"])) return [];
    const outputs = set["output"] as readonly unknown[];
    return set["input"].map((stdin: unknown, i) => ({
      stdin: String(stdin),
      stdout: String(outputs[i] ?? ""),
    }));
  });
}

function stdio(
  cases: readonly StdioCase[],
  language: Language,
  anyLanguage: boolean,
  column: string,
): CodeRow | { problem: string } {
  if (language === "sql") return { problem: "language: a stdin/stdout program cannot be in SQL" };
  if (cases.length === 0) return { problem: `${column}: it has no cases` };
  return { task: { mode: "stdio", language, cases }, candidate: { kind: "program" }, anyLanguage };
}

/** A list of {input, output}, with their variants; functional cases name a function. */
function fromList(
  row: Row,
  list: readonly unknown[],
  language: Language,
  anyLanguage: boolean,
  column: string,
): CodeRow | { problem: string } {
  const wrong = list.findIndex((item) => !isJsonObject(item) || !("input" in item || "args" in item));
  if (wrong >= 0 || list.length === 0) {
    return {
      problem: `${column}, entry ${wrong + 1}: expected a case with input and output, came ${stringifyJson(list[wrong])?.slice(0, 80)}`,
    };
  }
  const cases = list as readonly Row[];
  const name = functionOf(row) ?? functionOf(cases[0]!);
  const functional =
    cases.some(
      ({ testtype, type, args }) =>
        testtype === "functional" || type === "function_call" || args !== undefined,
    ) && name !== undefined;
  if (functional) {
    const given = cases.map(
      (one) => [one["args"] ?? one["input"], one["expected"] ?? one["output"]] as const,
    );
    return calls(given, name, language, column);
  }
  return stdio(
    cases.map((one) => ({
      stdin: streamOf(one["input"], "stdin"),
      stdout: streamOf(one["output"], "stdout"),
    })),
    language,
    anyLanguage,
    column,
  );
}

function functionOf(row: Row): string | undefined {
  const meta = dataOf(row["metadata"]);
  const name =
    row["fn_name"] ??
    row["func_name"] ??
    row["entry_point"] ??
    (isJsonObject(meta) ? meta["func_name"] : undefined);
  return typeof name === "string" && name !== "" ? name : undefined;
}

/** Text, or SandboxFusion's {"stdin": text}; a number is the text that the row has for it. */
function streamOf(value: unknown, name: "stdin" | "stdout"): string {
  const stream = isJsonObject(value) ? value[name] : value;
  if (Array.isArray(stream)) return stream.map(String).join("\n");
  return stream === undefined || stream === null ? "" : String(stream);
}

/**
 * Arguments and result of a call, as two conventions write them. A list of arguments (APPS, TACO) is data, and so is the result: text
 * there is text. Arguments that are text (LiveCodeBench, verl) are JSON, one a line, and so is the result.
 */
function callCase(input: unknown, output: unknown): CallCase | { readonly problem: string } {
  if (typeof input !== "string") return { args: Array.isArray(input) ? input : [input], expected: output };
  const lines = input.split("\n").filter((line) => line.trim() !== "");
  const args = lines.map(dataOf);
  const wrong = args.indexOf(undefined);
  if (wrong >= 0) return { problem: `argument ${wrong + 1} ${notData(lines[wrong])}` };
  const expected = dataOf(output);
  return expected === undefined ? { problem: `the output ${notData(output)}` } : { args, expected };
}

const notData = (text: unknown): string =>
  `is no JSON, which it is where arguments are text, a line each: came ${stringifyJson(text)?.slice(0, 80)}`;

/** APPS, TACO and verl's ground_truth: {inputs, outputs}, and fn_name where a function is called. */
function fromInputsOutputs(
  data: Row,
  language: Language,
  anyLanguage: boolean,
  column: string,
): CodeRow | { problem: string } {
  const inputs = data["inputs"] as readonly unknown[];
  const outputs = data["outputs"] as readonly unknown[];
  if (inputs.length === 0) return { problem: `${column}.inputs: it has no cases` };
  if (inputs.length !== outputs.length) {
    return { problem: `${column}: ${inputs.length} inputs and ${outputs.length} outputs, expected as many` };
  }
  const name = functionOf(data);
  if (name === undefined) {
    const cases = inputs.map((input, i) => ({
      stdin: streamOf(input, "stdin"),
      stdout: streamOf(outputs[i], "stdout"),
    }));
    return stdio(cases, language, anyLanguage, column);
  }
  return calls(
    inputs.map((input, i) => [input, outputs[i]]),
    name,
    language,
    column,
  );
}

function calls(
  given: readonly (readonly [input: unknown, output: unknown])[],
  entryPoint: string,
  language: Language,
  column: string,
): CodeRow | { problem: string } {
  if (language !== "python" && language !== "javascript" && language !== "typescript") {
    return {
      problem: `${column}: functions are called in Python, JavaScript and TypeScript, not in ${language}`,
    };
  }
  const cases: CallCase[] = [];
  for (const [i, [input, output]] of given.entries()) {
    const one = callCase(input, output);
    if ("problem" in one) return { problem: `${column}, case ${i + 1}: ${one.problem}` };
    cases.push(one);
  }
  const isWrapped = given.every(
    ([input, output]) => Array.isArray(input) && Array.isArray(output) && output.length === 1,
  );
  return {
    task: { mode: "calls", language, entryPoint, cases, ...(isWrapped && { mayBeWrapped: true }) },
    candidate: { kind: "program", entryPoint },
    anyLanguage: false,
  };
}
