import {
  completePython,
  extractCode,
  extractLikeSandboxFusion,
  type SandboxFusionOptions,
  sanitizePython,
} from "@posttrain/verify";
import { describe, expect, test } from "vitest";
import { isPython, longestPython } from "../../src/code/python-source.js";
import { rows } from "./support.js";

const camel = (key: string): string => key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

describe("SandboxFusion's extractor", () => {
  test.each(rows("code_extraction_cases").map((row) => [row.id, row]))(
    "%s",
    (_, { function: name, completion, args, kwargs, expect: wanted }) => {
      const [language, firstBlockOnly] = args;
      const options: SandboxFusionOptions = {
        version: name.endsWith("_v2") ? 2 : 1,
        ...(language === undefined ? {} : { language }),
        ...(firstBlockOnly === undefined ? {} : { firstBlockOnly }),
        ...Object.fromEntries(Object.entries(kwargs).map(([key, value]) => [camel(key), value])),
      };
      const { code, kind } = extractLikeSandboxFusion(completion, options);
      for (const condition of wanted) {
        const [[what, value]] = Object.entries(condition) as [[string, string]];
        if (what === "equals_stripped") expect(code.trim()).toBe(value.trim());
        else if (what === "contains") expect(code).toContain(value);
        else if (what === "not_contains") expect(code).not.toContain(value);
        else if (what === "starts_with") expect(code.trim().startsWith(value)).toBe(true);
        else if (what === "type") expect(kind).toBe(value);
        else throw new Error(`no such condition: ${what}`);
      }
    },
  );
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

  test("English is no Python, though Python 2 would have printed it", () => {
    expect(isPython("print the result")).toBe(false);
    expect(isPython("def f(x) -> int: return x")).toBe(true);
  });

  test("ten thousand lines of brackets and quotes end soon", () => {
    const begun = performance.now();
    for (const line of ["((((((((", "'''", "def f(", "  x = [", "@a"])
      longestPython(`${line}\n`.repeat(10_000));
    expect(performance.now() - begun).toBeLessThan(20_000);
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
  ])("%s", (_, answer) => {
    const program = completePython(prompt, answer, "f");
    expect(isPython(program)).toBe(true);
    expect(program).toMatch(/return [xy] \* 2/);
    expect(program).toContain("import math");
    expect(program.match(/\bdef f\(/g)).toHaveLength(1);
  });
});
