import { completePython, extractCode, sanitizePython } from "@posttrain/sandbox";
import { describe, expect, test } from "vitest";
import { codeBlocks } from "../src/fences.js";
import { freeNames, isPython, longestPython } from "../src/python-source.js";
import { rows } from "./support.js";

describe("SandboxFusion's extractions", () => {
  // What that harness strips off an extracted program (a scala object, Kotlin's main, asserts) is its own, and not here.
  const stripped = [6, 14, 16, 20].map((n) => `test_extract_code_from_freeform_completion_v2:${n}`);
  test.each(
    rows("code_extraction_cases")
      .filter(({ id }) => !stripped.includes(id))
      .map((row) => [row.id, row]),
  )("%s", (_, { completion, args, expect: wanted }) => {
    const [language, first] = args;
    const { code, kind } = extractCode(completion, { language, choose: first ? "first" : "all" });
    for (const condition of wanted) {
      const [[what, value]] = Object.entries(condition) as [[string, string]];
      if (what === "equals_stripped") expect(code.trim()).toBe(value.trim());
      else if (what === "contains") expect(code).toContain(value);
      else if (what === "type") expect(kind).toBe(value);
      else throw new Error(`no such condition: ${what}`);
    }
  });
});

describe("EvalPlus's sanitizer", () => {
  test.each(rows("evalplus_sanitizer_cases").map((row) => [row.id, row]))("%s", (_, row) => {
    const code =
      row.function === "code_extract"
        ? longestPython(row.completion)
        : sanitizePython(row.completion, row.entry_point ?? undefined);
    expect(code.trim()).toBe(row.expected.trim());
  });

  test("keeps what a function reaches through classes, variables and decorators, not what it does not", () => {
    const source = [
      "import math",
      "LIMIT = 3",
      "UNUSED = 4",
      "@cache",
      "def helper(x):\n    return x + LIMIT",
      "class Box:\n    def get(self): return helper(1)",
      "def f(x):\n    Box().get()",
      "def g(x):\n    return x",
      "print(f(1))",
    ].join("\n");
    expect(sanitizePython(source, "f")).toBe(
      "import math\nLIMIT = 3\n@cache\ndef helper(x):\n    return x + LIMIT\nclass Box:\n    def get(self): return helper(1)\ndef f(x):\n    Box().get()",
    );
  });
});

describe("code in an answer", () => {
  const two =
    "First:\n```python\ndef f(x):\n    return 1\n```\nBetter:\n```python\ndef f(x):\n    return x * 2  # longer\n```\nRun:\n```bash\npython a.py\n```\n";

  test("the first, last or longest block of the language", () => {
    expect(extractCode(two, { language: "python", choose: "first" }).code).toBe("def f(x):\n    return 1");
    expect(extractCode(two, { language: "python" }).code).toContain("x * 2");
    expect(extractCode(two, { language: "python", choose: "longest" }).code).toContain("longer");
    expect(extractCode(two, { language: "bash" }).code).toBe("python a.py");
    expect(extractCode(two, { language: "rust" })).toEqual({ code: "", kind: "empty" });
  });

  test("a block that defines the entry point goes before one that calls it elsewhere", () => {
    const answer = "```python\ndef f(x):\n    return 1\n```\nExample:\n```python\nprint(3)\n```";
    expect(extractCode(answer, { language: "python", entryPoint: "f" }).code).toContain("def f");
  });

  test.each([
    ["tildes", "~~~py\nx = 1\n~~~", "x = 1"],
    ["a longer fence around a shorter", "````python\ns = '''\n```\n'''\n````", "s = '''\n```\n'''"],
    [
      "indented in a list",
      "1. Do:\n   ```python\n   def f():\n       return 1\n   ```",
      "def f():\n    return 1",
    ],
    ["attributes", '```python title="a.py"\nx = 1\n```', "x = 1"],
    ["after prose", "Here: ```python\nx = 1\n```", "x = 1"],
    ["carriage returns", "```python\r\nx = 1\r\n```\r\n", "x = 1"],
    ["no tag", "```\nx = 1\n```", "x = 1"],
    ["after a colon", "Code:```python\nx = 1\n```", "x = 1"],
    ["a span of code in prose is none", "Use ```f``` so.\n\n```python\nx = 1\n```", "x = 1"],
    ["a dotted tag in braces", "```{.python .numberLines}\nx = 1\n```", "x = 1"],
    ["a version", "```Python3\nx = 1\n```", "x = 1"],
    ["a version with a point", "```python3.11\nx = 1\n```", "x = 1"],
    ["a file's name", "```py:main.py\nx = 1\n```", "x = 1"],
    ["the tag on a line of its own", "```\npython\nx = 1\n```", "x = 1"],
    ["a tag of our own around it", "<answer>\n```python\nx = 1\n```\n</answer>", "x = 1"],
    ["HTML around it", "<details>\n<summary>Code</summary>\n```python\nx = 1\n```\n</details>", "x = 1"],
    ["in a quote", "> So:\n> ```python\n> if x:\n>\n>     y = 1\n> ```", "if x:\n\n    y = 1"],
    [
      "in a list in a list",
      "- a\n  - b\n    ```python\n    if x:\n        y = 1\n    ```",
      "if x:\n    y = 1",
    ],
    ["a list's first line", "- ```python\n  if x:\n      y = 1\n  ```", "if x:\n    y = 1"],
    ["indented by three", "   ```python\n   if x:\n       y = 1\n  z = 2\n   ```", "if x:\n    y = 1\nz = 2"],
    ["all indented", "    Here:\n\n    ```python\n    if x:\n        y = 1\n    ```", "if x:\n    y = 1"],
    ["a longer closing fence", "```python\nx = 1\n`````", "x = 1"],
    ["a closing fence has no tag", "```python\ns = 'a\n```js\n'\n```", "s = 'a\n```js\n'"],
    ["tildes in backticks", "```python\ns = '''\n~~~\n'''\n```", "s = '''\n~~~\n'''"],
    ["Markdown around it", "````markdown\nSo:\n```python\nx = 1\n```\n````", "x = 1"],
    [
      "in a docstring, indented by four",
      '```python\ndef f():\n    """\n    ```\n    f()\n    ```\n    """\n    return 1\n```\nDone.',
      'def f():\n    """\n    ```\n    f()\n    ```\n    """\n    return 1',
    ],
    [
      "in a docstring, indented by two",
      '```python\ndef f():\n  """\n  ```\n  f()\n  ```\n  """\n  return 1\n```\nDone.',
      'def f():\n  """\n  ```\n  f()\n  ```\n  """\n  return 1',
    ],
    ["in a long string", "```py\ns = '''\n```\n'''\nx = 1\n```\nDone.", "s = '''\n```\n'''\nx = 1"],
  ])("fences: %s", (_, answer, code) => {
    expect(extractCode(answer, { language: "python" })).toEqual({ code, kind: "fenced" });
  });

  test("a fence that was cut off, and no fence at all", () => {
    expect(extractCode("So:\n```python\ndef f(x):\n    return 1", { language: "python" })).toEqual({
      code: "def f(x):\n    return 1",
      kind: "incomplete_fenced",
    });
    const prose =
      "Sure! Here's the code (it's short):\n\ndef f(x):\n    # doesn't matter\n    return '(' + x\n\nThis works because it's simple.";
    expect(extractCode(prose, { language: "python" })).toEqual({
      code: "def f(x):\n    # doesn't matter\n    return '(' + x",
      kind: "heuristic",
    });
    expect(extractCode("I cannot help with that, sorry.", { language: "python" }).kind).toBe("empty");
  });

  const define = "def f(x):\n    return g(x)";
  const use = "x = 2\nprint(f(x))";
  const fence = (code: string, tag = "python"): string => `Text.\n\`\`\`${tag}\n${code}\n\`\`\`\n`;
  const python = (answer: string, more: object = { entryPoint: "f" }): string =>
    extractCode(answer, { language: "python", ...more }).code;

  test.each([
    ["usage behind it", fence(define) + fence(use)],
    ["usage before it", fence(use) + fence(define)],
    ["output behind it", fence(define, "") + fence("4", "text") + fence("4", "")],
    ["a corrected one", fence("def f(x):\n    return x") + fence(use) + fence(define)],
    ["another language behind it", fence(define) + fence("python f.py", "bash")],
    ["an untagged one before usage that is tagged", fence(define, "") + fence(use)],
    ["one that was cut off behind it", `${fence(define)}Better:\n\`\`\`python\ndef f(x):\n    if x`],
    ["a part quoted behind it", fence(define) + fence("    return g(x)")],
    [
      "no fence",
      `Here it is:\n\n${define}\n\nIt is used like this, and this, and this:\n\n${use}\n${use}\n${use}\n`,
    ],
    ["code by indentation alone", `Here:\n\n${define.replace(/^/gm, "    ")}\n\nDone.`],
    ["a program with prose behind it", `${define}\n\nThis function calls another one.`],
    ["thinking before it", `<think>\n${fence("def f(x):\n    return 0")}</think>\n${fence(define)}`],
  ])("the block that defines what is asked for: %s", (_, answer) => {
    expect(python(answer)).toBe(define);
    expect(python(answer, { tests: "assert f(2) == 4" })).toBe(define);
  });

  test("the function, the class or the method that is asked for", () => {
    const solution = "class Solution:\n    def f(self, x):\n        return x";
    expect(python(fence(solution) + fence("s = Solution()\ns.f(1)"))).toBe(solution);
    const value = "f = lambda x: x * 2";
    expect(python(fence(value) + fence("print(f(1))"))).toBe(value);
    const kinds = "class A:\n    pass\ndef g(a):\n    return a";
    expect(python(fence(kinds) + fence("a = A()"), { tests: "assert g(A())" })).toBe(kinds);
  });

  test("parts in several blocks: what the block uses goes before it, without its usage", () => {
    const helper = "import math\n\ndef g(x):\n    return h(x) * LIMIT\n\nprint(g(3))";
    const more = "LIMIT = 3\nx = 5\ndef h(x):\n    return math.sqrt(x)\ndef unused(): pass";
    const whole =
      "import math\ndef g(x):\n    return h(x) * LIMIT\nLIMIT = 3\ndef h(x):\n    return math.sqrt(x)\n\ndef f(x):\n    return g(x)";
    expect(python(fence(helper) + fence(more) + fence(define) + fence(use))).toBe(whole);
    const names = fence("def f(x): return A(x)") + fence("class A:\n    pass") + fence("print(1)");
    const both = python(names, { tests: "assert f(1) == A(1)" });
    expect(both).toContain("def f");
    expect(both).toContain("class A");
    const cut = fence("def f(x):\n    y = x + 1") + fence("    return y * 2");
    expect(python(cut)).toBe("def f(x):\n    y = x + 1\n    return y * 2");
    const methods =
      fence("class f:\n    def a(self):\n        return 1") + fence("    def b(self):\n        return 2");
    expect(python(methods)).toContain("def b");
    const script = ["const g = (x) => x + 1;\nfunction h() {}", "function f(x) { return g(x); }", "f(1);"];
    const joined = script.map((one) => fence(one, "js")).join("");
    expect(extractCode(joined, { language: "javascript", entryPoint: "f" }).code).toBe(
      "const g = (x) => x + 1;\nfunction h() {}\n\nfunction f(x) { return g(x); }",
    );
  });

  test("a program that reads its input, not one that shows or tests it", () => {
    const solve = "def solve(n):\n    return n * 2";
    const main = "n = int(input())\nprint(solve(n))";
    const answer = fence(solve) + fence(main) + fence("assert solve(2) == 4") + fence("2", "");
    expect(python(answer, { readsInput: true })).toBe(`${solve}\n\n${main}`);
    const cpp = "int main() { int n; std::cin >> n; }";
    const two = fence(cpp, "c++") + fence("int main() {}", "cpp");
    expect(extractCode(two, { language: "cpp", readsInput: true }).code).toBe(cpp);
  });

  test.each([
    ["first", "def f(x): return 1"],
    ["last", "def f(x): return 2"],
    ["longest", "def f(x): return 3 + 0 + 0"],
    ["all", "def f(x): return 1\n\ndef f(x): return 3 + 0 + 0\n\nprint(f(1))\n\ndef f(x): return 2"],
  ] as const)("%s of several, as it is asked for", (choose, code) => {
    const answer = ["def f(x): return 1", "def f(x): return 3 + 0 + 0", "print(f(1))", "def f(x): return 2"];
    const blocks = answer.map((one) => fence(one)).join("");
    expect(python(blocks, { entryPoint: "f", choose })).toBe(code);
  });

  test.each([
    ["javascript", "const f = async (x) => x;", "const y = f(1);"],
    ["javascript", "exports.f = function (x) { return x; };", "f(1);"],
    ["typescript", "export enum f { A }", "let y: number = f.A;"],
    ["rust", "pub fn f(x: i32) -> i32 { x }", 'fn main() { println!("{}", f(1)); }'],
    ["go", "func f(x int) int { return x }", "func main() { f(1) }"],
    ["java", "class A { static int f(int x) { return x; } }", "class Main { int main() { return A.f(1); } }"],
    ["cpp", "std::vector<int> f(const std::vector<int>& x) {\n  return x;\n}", "int main() { g(f({1})); }"],
    ["bash", "f() {\n  echo 1\n}", "f 1"],
  ])("what defines a function in %s", (language, solution, usage) => {
    for (const parts of [
      [solution, usage],
      [usage, solution],
    ]) {
      const answer = parts.map((one) => fence(one, language)).join("");
      expect(extractCode(answer, { language, entryPoint: "f" }).code).toBe(solution);
    }
  });

  test("names that a program leaves to others", () => {
    const source = [
      "import os.path as p, sys",
      "from a import (b, c as d)",
      "def f(x, *r, y=z1, **k) -> T1:\n    s = sum(v for v in r if v > z2)\n    return [i + j for i, (j, _) in z3] + [q := 1]",
      "a, (e, f2) = g = h1, x",
      "for i in z4:\n    pass",
      "with open(z5) as w: pass",
      "try:\n    pass\nexcept E1 as err:\n    err(key=z6)",
      "o.attribute = lambda u, v=z7: u + v",
      "match z8:\n    case [m, *n]:\n        m(n)",
      "{kk: vv for kk, vv in z9}",
    ].join("\n");
    const names = "E1 T1 h1 o open sum z1 z2 z3 z4 z5 z6 z7 z8 z9".split(" ");
    expect([...freeNames(source)].sort()).toEqual(names);
  });

  test("English is no Python, though Python 2 would have printed it", () => {
    expect(isPython("print the result")).toBe(false);
    expect(isPython("def f(x) -> int: return x")).toBe(true);
  });

  test.each([
    ["quotes in quotes", ">".repeat(200_000)],
    ["quotes in quotes, line by line", `${">".repeat(300)}\n`.repeat(3_000)],
    ["lists in lists", Array.from({ length: 500 }, (_, i) => `${" ".repeat(2 * i)}- a`).join("\n")],
    ["fences", "```\n".repeat(20_000)],
    ["fences in prose", "a ```py\nb\n```\n".repeat(2_000)],
    ["fences in long strings", "```py\nx = '''\n```\n'''\n".repeat(2_000)],
    ["functions that never end", "f(".repeat(100_000)],
    ["parameters that never end", "a b(c\n".repeat(50_000)],
    ["names", "f = f2 = f3 = a.b.c\n".repeat(20_000)],
  ])("a hostile answer ends soon: %s", (_, answer) => {
    const begun = process.cpuUsage();
    codeBlocks(answer);
    for (const language of ["python", "cpp", "java", "typescript"]) {
      const blocks = `\`\`\`${language}\n${answer}\n\`\`\`\n`;
      extractCode(`${blocks}${blocks}`, { language, entryPoint: "f" });
    }
    expect(process.cpuUsage(begun).user / 1e6).toBeLessThan(20);
  });

  test("ten thousand lines of brackets and quotes end soon", () => {
    const begun = process.cpuUsage();
    for (const line of ["((((((((", "'''", "def f(", "  x = [", "@a"])
      longestPython(`${line}\n`.repeat(10_000));
    expect(process.cpuUsage(begun).user / 1e6).toBeLessThan(20);
  });
});

describe("a prompt and what came after it", () => {
  const prompt = 'import math\n\ndef helper(x):\n    return x\n\ndef f(x):\n    """Doubles."""\n';
  test.each([
    ["the rest of the function", "    return x * 2\n"],
    ["the rest, its indentation lost", "return x * 2"],
    ["the rest, its first line's indentation lost", "y = x\n    return y * 2"],
    ["the prompt repeated", `${prompt}    return x * 2\n`],
    ["the function again, without the imports", "def f(x):\n    return x * 2"],
    ["a fence", "Here:\n```python\ndef f(x):\n    return x * 2\n```\nDone."],
    ["a fence with the body only", "```python\n    return x * 2\n```"],
    ["usage before the function", "```python\nprint(f(2))\n```\n```python\ndef f(x):\n    return x * 2\n```"],
    ["usage behind the function", "```python\ndef f(x):\n    return x * 2\n```\n```python\nprint(f(2))\n```"],
    ["usage before the body", "```python\nprint(f(2))\n```\n```python\n    return x * 2\n```"],
    ["usage behind the body", "```python\n    return x * 2\n```\n```python\nprint(f(2))\n```"],
    ["a fence closed that the prompt had opened", "    return x * 2\n```\n\nIt doubles x."],
    ["numbers that end in their points", "    y = x * 1. / 1.\n    return y * 2\n"],
    ["the rest and prose", "    return x * 2\n\nThis doubles the number, as asked."],
    ["the rest and a second function, cut off", "    return x * 2\n\n\ndef other(y, z"],
    ["the function and prose, no fence", "def f(x):\n    return x * 2\n\nThis doubles the number."],
    ["prose and the function, no fence", "Sure, here it is:\n\ndef f(x):\n    return x * 2\n\nDone."],
    [
      "a first try and a better one",
      "```python\ndef f(x):\n    return 3\n```\nBetter:\n```python\ndef f(x):\n    return x * 2\n```",
    ],
  ])("%s", (_, answer) => {
    const program = completePython(prompt, answer, "f");
    expect(isPython(program)).toBe(true);
    expect(program).toMatch(/return [xy] \* 2/);
    expect(program).toContain("import math");
    expect(program.match(/\bdef f\(/g)).toHaveLength(1);
  });

  test("what the grammar does not know is nobody's prose", () => {
    const rest = "    with (open(x) as a, open(x) as b):\n        pass\n    return x * 2\n";
    expect(completePython(prompt, rest, "f")).toBe(`${prompt}${rest}`);
  });
});
