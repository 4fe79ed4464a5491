/**
 * What the self-test asks: for every verifier, and for every language of programs, a response that is right, one that is wrong and one
 * that tries to get a pass or the machine without being right.
 */
import type { CodeTask, Language, Route } from "@posttrain/sandbox";
import type { Row } from "./verifier.js";

export type CanaryKind = "right" | "wrong" | "hostile";

export interface CanaryGroup {
  /** The verifier under test. */
  readonly verifier: string;
  /** What of it: a mode, or a language and a way of testing. */
  readonly variant: string;
  readonly language?: Language;
  /** Native groups need the sandbox and the language's tools; WebAssembly groups nothing. */
  readonly route?: Route;
  readonly row: Row;
  readonly responses: readonly (readonly [CanaryKind, string])[];
}

const deep = "{".repeat(5000);
const tower = "10^{10^{10^{10}}}";

function answers(
  verifier: string,
  variant: string,
  row: Row,
  [right, wrong, ...hostile]: readonly string[],
): CanaryGroup {
  return {
    verifier,
    variant,
    row: { ...row, verifier: { name: verifier, ...(row["settings"] as object | undefined) } },
    responses: [["right", right!], ["wrong", wrong!], ...hostile.map((text) => ["hostile", text] as const)],
  };
}

const mode = (name: string): { readonly settings: object } => ({ settings: { mode: name } });

const answerGroups: readonly CanaryGroup[] = [
  answers("math", "own", { answer: "\\frac{1}{2}" }, [
    "It is \\boxed{0.5}.",
    "It is \\boxed{0.51}.",
    `\\boxed{${tower}}`,
    `\\boxed{${deep}`,
    "0.5, or 1/2, or 50 %, take one",
  ]),
  answers("math", "qwen2.5-math", { answer: "12", ...mode("qwen2.5-math") }, [
    "\\boxed{12}",
    "\\boxed{13}",
    `\\boxed{${tower}}`,
  ]),
  answers("math", "hendrycks", { answer: "12", ...mode("hendrycks") }, [
    "\\boxed{12}",
    "\\boxed{13}",
    `\\boxed{${deep}`,
  ]),
  answers("math", "math-verify", { answer: "12", ...mode("math-verify") }, [
    "\\boxed{12}",
    "\\boxed{13}",
    `\\boxed{${tower}}`,
  ]),
  answers("math", "open-instruct", { answer: "12", ...mode("open-instruct") }, [
    "\\boxed{12}",
    "\\boxed{13}",
    `\\boxed{${deep}`,
  ]),
  answers("gsm8k", "own", { answer: "6 * 12 = 72\n#### 72" }, [
    "So 72.\n#### 72",
    "#### 73",
    `#### ${tower}`,
    "72 and 73 and 74",
  ]),
  answers("gsm8k", "gsm8k", { answer: "72", ...mode("gsm8k") }, ["#### 72", "#### 73", `#### ${deep}`]),
  ...(
    [
      ["auto", "The sum is 7, so 72.", "The sum is 72, so 73.", "72 or 73"],
      ["boxed", "\\boxed{72}", "\\boxed{73}", `\\boxed{72${deep}`],
      ["hash", "72\n#### 72", "72\n#### 73", "#### 72 or 73"],
      ["answer", "Answer: 72.", "Answer: 73", "Answer: 72, answer: 73"],
      ["last_number", "It is 72", "72 and 73", "72.72"],
      ["whole", "72", "It is 72", "72 72"],
    ] as const
  ).map(([extract, ...responses]) =>
    answers("exact_match", extract, { answer: 72, settings: { extract } }, responses),
  ),
  answers("multiple_choice", "letters", { choices: ["red", "green", "blue"], answer: 1 }, [
    "The answer is B.",
    "The answer is C.",
    "A, B, C",
  ]),
  answers("exact", "text", { answer: "yes" }, ["yes", "no", "yes no"]),
  answers("text", "text", { answer: "The Nile" }, [
    "<answer>nile</answer>",
    "<answer>Rhine</answer>",
    "Nile, Rhine, Danube",
  ]),
  answers("json", "JSON", { answer: { a: [1, 2] } }, ['{"a": [1, 2]}', '{"a": [2, 1]}', "[".repeat(100_000)]),
  answers("strict_math", "open-instruct", { answer: "12" }, [
    "Final Answer: The final answer is 12. I hope it is correct.",
    "Final Answer: The final answer is 13. I hope it is correct.",
    deep,
  ]),
  answers("puzzle", "open-instruct", { answer: "the red house" }, [
    "<think>?</think><answer>Red house</answer>",
    "<answer>blue house</answer>",
    "red house blue house",
  ]),
  answers("string_matcher", "open-instruct", { answer: "red" }, [
    "<answer>Red</answer>",
    "<answer>blue</answer>",
    "red",
  ]),
  answers("flan", "open-instruct", { answer: "red" }, [
    "The answer is: red",
    "The answer is: blue",
    "red, The answer is: any",
  ]),
  answers("string_f1", "open-instruct", { answer: "red house" }, [
    "the red house",
    "blue",
    "red ".repeat(10_000),
  ]),
  answers("re_search", "open-instruct", { answer: ["Paris"] }, [
    "<finish>paris</finish>",
    "<finish>Rome</finish>",
    "Paris",
  ]),
  answers("re_search_f1", "open-instruct", { answer: ["Paris"] }, [
    "<finish>paris</finish>",
    "<finish>Rome</finish>",
    "Paris",
  ]),
];

const instructionGroups: readonly CanaryGroup[] = [
  answers(
    "ifeval",
    "IFEval",
    {
      instruction_id_list: ["punctuation:no_comma", "keywords:existence"],
      kwargs: [{}, { keywords: ["sea"] }],
    },
    ["The sea is calm.", "The sea, calm.", ""],
  ),
  answers(
    "instructions",
    "strict",
    {
      instructions: [
        { id: "length_constraints:number_words", kwargs: { num_words: 3, relation: "at least" } },
      ],
    },
    ["one two three", "one two", `${" ".repeat(100_000)}one`],
  ),
];

/** A program that reads two numbers and writes their sum, with a hole for what it writes. */
const programs: Readonly<
  Record<Exclude<Language, "sql">, { readonly sum: (operator: string) => string; readonly hostile: string }>
> = {
  python: {
    sum: (operator) => `a, b = map(int, input().split())\nprint(a ${operator} b)`,
    hostile: "while True:\n    pass",
  },
  javascript: {
    sum: (operator) =>
      `const [a, b] = require("fs").readFileSync(0, "utf8").trim().split(/\\s+/).map(Number);\nconsole.log(a ${operator} b);`,
    hostile: "for (;;) {}",
  },
  typescript: {
    sum: (operator) =>
      `const fs = require("fs");\nconst numbers: number[] = fs.readFileSync(0, "utf8").trim().split(/\\s+/).map(Number);\nconsole.log(numbers[0] ${operator} numbers[1]);`,
    hostile: "const forever: boolean = true;\nwhile (forever) {}",
  },
  cpp: {
    sum: (operator) =>
      `#include <iostream>\nint main() { long a, b; std::cin >> a >> b; std::cout << (a ${operator} b) << std::endl; }`,
    hostile: "int main() { volatile int i = 0; for (;;) i = i + 1; }",
  },
  java: {
    sum: (operator) =>
      `import java.util.Scanner;\npublic class Main { public static void main(String[] args) { Scanner in = new Scanner(System.in); System.out.println(in.nextLong() ${operator} in.nextLong()); } }`,
    hostile: "public class Main { public static void main(String[] args) { while (true) {} } }",
  },
  go: {
    sum: (operator) =>
      `package main\nimport "fmt"\nfunc main() { var a, b int; fmt.Scan(&a, &b); fmt.Println(a ${operator} b) }`,
    hostile: "package main\nfunc main() { for {} }",
  },
  rust: {
    sum: (operator) =>
      `use std::io::Read;\nfn main() { let mut s = String::new(); std::io::stdin().read_to_string(&mut s).unwrap(); let v: Vec<i64> = s.split_whitespace().map(|x| x.parse().unwrap()).collect(); println!("{}", v[0] ${operator} v[1]); }`,
    hostile: "fn main() { let mut i: u64 = 0; loop { i = std::hint::black_box(i.wrapping_add(1)); } }",
  },
  bash: {
    sum: (operator) => `read a b\necho $((a ${operator} b))`,
    hostile: "while :; do :; done",
  },
};

const isInWasm = (language: Language): boolean =>
  language === "python" || language === "javascript" || language === "typescript";

function code(
  route: Route,
  variant: string,
  task: CodeTask,
  [right, wrong, ...hostile]: readonly string[],
): CanaryGroup {
  return {
    verifier: "code",
    variant,
    language: task.language,
    route,
    row: { code_task: task, verifier: { name: "code", cpu_seconds: 2 } },
    responses: [["right", right!], ["wrong", wrong!], ...hostile.map((text) => ["hostile", text] as const)],
  };
}

function stdio(route: Route, language: Exclude<Language, "sql">): CanaryGroup {
  const { sum, hostile } = programs[language];
  const fenced = (source: string): string => `\`\`\`${language}\n${source}\n\`\`\``;
  return code(
    route,
    "stdin, stdout",
    { mode: "stdio", language, cases: [{ stdin: "3 4\n", stdout: "7\n" }] },
    [fenced(sum("+")), fenced(sum("*")), fenced(hostile)],
  );
}

/** Compilers take longer than the programs may; their time is their own. */
const routes: readonly Route[] = ["native", "wasm"];

const codeGroups: readonly CanaryGroup[] = routes.flatMap((route) => [
  ...(Object.keys(programs) as (keyof typeof programs)[])
    .filter((language) => route === "native" || isInWasm(language))
    .map((language) => stdio(route, language)),
  code(
    route,
    "asserts",
    { mode: "asserts", language: "python", tests: "assert add(1, 2) == 3\nassert add(2, 2) == 4" },
    [
      "```python\ndef add(a, b):\n    return a + b\n```",
      "```python\ndef add(a, b):\n    return 3\n```",
      "```python\nimport os\nos._exit(0)\ndef add(a, b): pass\n```",
      "```python\nclass Any:\n    def __eq__(self, other):\n        return True\ndef add(a, b):\n    return Any()\n```",
    ],
  ),
  code(
    route,
    "asserts",
    {
      mode: "asserts",
      language: "javascript",
      tests: 'const assert = require("assert");\nassert.strictEqual(add(1, 2), 3);',
    },
    [
      "```javascript\nfunction add(a, b) { return a + b; }\n```",
      "```javascript\nfunction add(a, b) { return a * b; }\n```",
      "```javascript\nfunction add() { return { valueOf: () => 3 }; }\n```",
      '```javascript\nfunction add() { throw new Error("no"); }\n```',
    ],
  ),
  code(
    route,
    "calls",
    {
      mode: "calls",
      language: "python",
      entryPoint: "add",
      cases: [{ args: [1, 2], expected: 3 }],
    },
    [
      "```python\ndef add(a, b):\n    return a + b\n```",
      "```python\ndef add(a, b):\n    return a - b\n```",
      "```python\nimport sys\ndef add(a, b):\n    sys.exit(0)\n```",
    ],
  ),
]);

const sql = (route: Route): CanaryGroup =>
  code(
    route,
    "query",
    {
      mode: "query",
      language: "sql",
      setup: "CREATE TABLE t (x INTEGER); INSERT INTO t VALUES (1), (2);",
      rows: [[1], [2]],
    },
    [
      "```sql\nSELECT x FROM t\n```",
      "```sql\nSELECT x + 1 FROM t\n```",
      "```sql\nSELECT readfile('/etc/passwd')\n```",
    ],
  );

const checkers: readonly CanaryGroup[] = routes.map((route) => ({
  verifier: "checker",
  variant: "AutoIF",
  language: "python",
  route,
  row: {
    checker: { language: "python", source: "def evaluate(response):\n    return 'sea' in response" },
    verifier: "checker",
  },
  responses: [
    ["right", "the sea"],
    ["wrong", "the land"],
  ],
}));

export const canaryGroups: readonly CanaryGroup[] = [
  ...answerGroups,
  ...instructionGroups,
  ...codeGroups,
  ...routes.map(sql),
  ...checkers,
];
