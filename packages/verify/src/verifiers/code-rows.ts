/** The task in a row of code, in the shapes that public data sets have. */
import { z } from "zod";
import { humanEvalTask, mbppTask } from "../code/benchmarks.js";
import {
  type AssertsTask,
  type CallCase,
  type CodeTask,
  type Language,
  languages,
  type StdioCase,
} from "../code/task.js";
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
  language: z.enum(["python", "javascript"]),
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
    comparison: z.strictObject({ ...limits, strictTypes: z.boolean().optional() }).optional(),
    checker: judge.optional(),
  }),
  z.strictObject({
    mode: z.literal("stdio"),
    language: z.enum(languages).exclude(["sql"]),
    cases: z.array(z.strictObject({ stdin: z.string(), stdout: z.string() })).min(1),
    comparison: z
      .strictObject({
        kind: z.enum(["exact", "tokens", "lines", "floats"]),
        ...limits,
        ignoreCase: z.boolean().optional(),
      })
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
  if (isRecord(data) && Array.isArray(data["inputs"]) && Array.isArray(data["outputs"]))
    return fromInputsOutputs(data, language, anyLanguage, found.column);
  return {
    problem: `${found.column}: expected assert lines, a list of cases with input and output, or inputs and outputs, came ${JSON.stringify(value)?.slice(0, 80)}`,
  };
}

/** CodeContests as DeepMind has it: three sets of cases. */
function codeContests(row: Row): readonly StdioCase[] {
  return ["public_tests", "private_tests", "generated_tests"].flatMap((name) => {
    const set = row[name];
    if (!isRecord(set) || !Array.isArray(set["input"]) || !Array.isArray(set["output"])) return [];
    const outputs = set["output"] as readonly unknown[];
    return set["input"].map((stdin: unknown, i) => ({
      stdin: String(stdin),
      stdout: String(outputs[i] ?? ""),
    }));
  });
}

function isRecord(value: unknown): value is Row {
  return typeof value === "object" && value !== null && !Array.isArray(value);
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
  const wrong = list.findIndex((item) => !isRecord(item) || !("input" in item || "args" in item));
  if (wrong >= 0 || list.length === 0) {
    return {
      problem: `${column}, entry ${wrong + 1}: expected a case with input and output, came ${JSON.stringify(list[wrong])?.slice(0, 80)}`,
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
    return calls(
      cases.map((one) => ({
        args: argumentsOf(one["args"] ?? one["input"]),
        expected: plainValue(one["expected"] ?? one["output"]),
      })),
      name,
      language,
      column,
    );
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
    (isRecord(meta) ? meta["func_name"] : undefined);
  return typeof name === "string" && name !== "" ? name : undefined;
}

/** Text, or SandboxFusion's {"stdin": text}. */
function streamOf(value: unknown, name: "stdin" | "stdout"): string {
  const stream = isRecord(value) ? value[name] : value;
  if (Array.isArray(stream)) return stream.map(String).join("\n");
  return stream === undefined || stream === null ? "" : String(stream);
}

/** LiveCodeBench writes an argument a line, as JSON. */
function argumentsOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  if (typeof value !== "string") return [value];
  return value
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map(plainValue);
}

function plainValue(value: unknown): unknown {
  return typeof value === "string" ? (dataOf(value) ?? value) : value;
}

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
  // APPS wraps the result in a list of one where it gives the arguments as a list.
  const wrapped =
    inputs.every(Array.isArray) && outputs.every((one) => Array.isArray(one) && one.length === 1);
  const cases = inputs.map((input, i) => ({
    args: argumentsOf(input),
    expected: wrapped ? (outputs[i] as readonly unknown[])[0] : plainValue(outputs[i]),
  }));
  return calls(cases, name, language, column);
}

function calls(
  cases: readonly CallCase[],
  entryPoint: string,
  language: Language,
  column: string,
): CodeRow | { problem: string } {
  if (language !== "python" && language !== "javascript" && language !== "typescript") {
    return {
      problem: `${column}: functions are called in Python, JavaScript and TypeScript, not in ${language}`,
    };
  }
  return {
    task: { mode: "calls", language, entryPoint, cases },
    candidate: { kind: "program", entryPoint },
    anyLanguage: false,
  };
}
