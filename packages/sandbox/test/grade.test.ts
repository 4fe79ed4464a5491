// Verdicts against those of CPython, by both routes; every mode and language; what is sealed and what is not. Whole sweeps:
// scripts/code-sweep.mjs.

import type { Verdict } from "@posttrain/data";
import {
  type AssertsTask,
  closeSandboxes,
  gradeCode,
  humanEvalTask,
  judgeWith,
  mbppTask,
  type Route,
  runProgram,
  testChecker,
} from "@posttrain/sandbox";
import { afterAll, describe, expect, test } from "vitest";
import { gradeInTurn, needsSandbox, rows } from "./support.js";

afterAll(closeSandboxes);

const every = <T>(items: readonly T[], step: number): T[] => items.filter((_, i) => i % step === 0);

const routes = [
  ["native", needsSandbox],
  ["wasm", {}],
] as const;

// The first WebAssembly program of a process waits for pyodide; a machine that does other work makes that long.
describe.each(routes)("%s", (route: Route, options) => {
  describe("agrees with CPython", options, () => {
    test("on HumanEval's references and mutants", async () => {
      const tasks = new Map(rows("humaneval").map((row) => [row.task_id, row]));
      const graded = await Promise.all(
        every(rows("humaneval_candidates"), route === "native" ? 12 : 20).map(async (row) => {
          const task = tasks.get(row.task_id);
          const verdict = await gradeInTurn(humanEvalTask(task), task.prompt + row.completion, {
            route,
            limits: { cpuSeconds: 3 },
          });
          return {
            id: row.id,
            expected: row.expected,
            outcome: verdict.outcome,
            sealed: verdict.details?.["sealed"],
          };
        }),
      );
      expect(
        graded.filter(({ expected, outcome }) => (expected === "pass") !== (outcome === "pass")),
      ).toEqual([]);
      expect(graded.filter(({ outcome, sealed }) => outcome === "pass" && sealed !== true)).toEqual([]);
      expect(graded.filter(({ outcome }) => outcome === "infrastructure-error")).toEqual([]);
    });

    test("on MBPP's references", async () => {
      // Of those with a trap: a built-in function's name (126), in-place work, complex numbers, patterns.
      const chosen = rows("mbpp_sanitized").filter(({ task_id }, i) => task_id === 126 || i % 36 === 0);
      const verdicts = await Promise.all(
        chosen.map((row) => gradeInTurn(mbppTask(row), row.code, { route })),
      );
      expect(
        verdicts.filter(({ outcome, details }) => outcome !== "pass" || details?.["sealed"] !== true),
      ).toEqual([]);
    });
  });

  const grade = (tests: string, candidate: string, task: Partial<AssertsTask> = {}): Promise<Verdict> =>
    gradeCode({ mode: "asserts", language: "python", tests, ...task }, candidate, {
      route,
      limits: { cpuSeconds: 5 },
    });

  describe("plain data crosses as it is", options, () => {
    test.each([
      [
        "numbers",
        "assert f(2**80) == 2**80\nassert f(-0.0) == 0 and str(f(-0.0)) == '-0.0'\nassert f(float('inf')) == float('inf')\nassert f(float('nan')) != f(float('nan'))\nassert type(f(True)) is bool\nassert f(1 + 2j) == 1 + 2j",
      ],
      [
        "containers",
        "v = [(1, 'é\\ud800'), {2: {3}}, b'\\xff', None, frozenset([4]), range(3), bytearray(b'x')]\nassert f(v) == v\nassert [type(x) for x in f(v)] == [type(x) for x in v]",
      ],
      [
        "identity and sharing",
        "a = [1]\nb = [a, a]\nassert f(b) is b\nr = f([b])\nassert r[0] is b and r[0][0] is r[0][1]",
      ],
      ["cycles", "a = []\na.append(a)\nassert f(a) is a and a[0] is a"],
      [
        "fractions, decimals, deques",
        "from fractions import Fraction\nfrom decimal import Decimal\nfrom collections import deque\nv = [Fraction(1, 3), Decimal('0.1'), deque([1], 2)]\nassert f(v) == v",
      ],
    ])("%s", async (_, tests) => {
      expect(await grade(tests, "def f(x): return x")).toMatchObject({
        outcome: "pass",
        details: { sealed: true },
      });
    });

    test("changes in place, deep ones too, and not when nothing changed", async () => {
      const source =
        "def f(a, d):\n    a[0].append(9)\n    a[1:] = []\n    d['k'] = a\n    a[2:] = [{1}]\n    return None";
      const tests =
        "inner = [1]\na = [inner, 2, 3]\nd = {}\nassert f(a, d) is None\nassert a == [[1, 9], {1}] and a[0] is inner and d['k'] is a";
      expect(await grade(tests, source)).toMatchObject({ outcome: "pass", details: { sealed: true } });
    });

    test("subclasses cross as what they extend, iterators one by one", async () => {
      const source =
        "from collections import Counter, namedtuple, defaultdict\nfrom enum import IntEnum\nP = namedtuple('P', 'x y')\nclass E(IntEnum): A = 3\ndef f(): return [Counter('aab'), P(1, 2), E.A, defaultdict(list, {1: [2]})]\ndef g():\n    n = 0\n    while True:\n        yield n\n        n += 1";
      const tests =
        "assert f() == [{'a': 2, 'b': 1}, (1, 2), 3, {1: [2]}]\nassert [type(x) for x in f()] == [dict, tuple, int, dict]\ni = g()\nassert [next(i), next(i)] == [0, 1]\nfrom itertools import islice\nassert list(islice(g(), 3)) == [0, 1, 2]\nassert g() != [0, 1]";
      expect(await grade(tests, source)).toMatchObject({ outcome: "pass", details: { sealed: true } });
    });
  });

  describe("tests with objects", options, () => {
    const stack =
      "class Full(Exception): pass\nclass Stack:\n    def __init__(self): self.items = []\n    def push(self, x):\n        if x is None: raise Full('no')\n        self.items.append(x)\n    def __len__(self): return len(self.items)\n    def __eq__(self, other): return self.items == other.items";

    test("methods, attributes and exceptions of a class stay sealed", async () => {
      const tests =
        "s = Stack()\ns.push(1)\ns.push([2])\nassert len(s) == 2 and s.items == [1, [2]] and s\ntry:\n    s.push(None)\n    assert False\nexcept Full as e:\n    assert str(e) == 'no'";
      expect(await grade(tests, stack)).toMatchObject({ outcome: "pass", details: { sealed: true } });
    });

    test("comparing two of them, asking for instances and passing functions runs beside, and says so", async () => {
      for (const tests of ["assert Stack() == Stack()", "assert isinstance(Stack(), Stack)"]) {
        expect(await grade(tests, stack)).toMatchObject({ outcome: "pass", details: { sealed: false } });
      }
      expect(await grade("assert f(lambda x: x + 1) == 2", "def f(g): return g(1)")).toMatchObject({
        outcome: "pass",
        details: { sealed: false },
      });
      expect(await grade("assert f(lambda x: x + 1) == 3", "def f(g): return g(1)")).toMatchObject({
        outcome: "fail",
      });
      const task = { mode: "asserts", language: "python", tests: "assert Stack() == Stack()" } as const;
      expect(await gradeCode(task, stack, { route, objects: "refuse" })).toMatchObject({
        outcome: "infrastructure-error",
      });
    });

    test("a candidate cannot choose to have its tests beside it", async () => {
      const always = "class A:\n    def __eq__(s, o): return True\ndef f(x): return A()";
      const verdict = await grade("assert f(1) == 2", always);
      expect(verdict).toMatchObject({ outcome: "fail", details: { sealed: true } });
      expect(verdict.evidence).toContain("object of type A");
    });
  });

  describe("what is whose fault", options, () => {
    test.each<[string, string, string, Verdict["outcome"], RegExp]>([
      [
        "an assertion",
        "assert f(1) == 3",
        "def f(x): return x",
        "fail",
        /line 1 of the tests: assert f\(1\) == 3/,
      ],
      [
        "an exception of the candidate's",
        "f(1)",
        "def f(x):\n    return x / 0",
        "crash",
        /ZeroDivisionError.*line 2/,
      ],
      ["a missing function", "f(1)", "def g(x): return x", "fail", /NameError/],
      ["a wrong type", "f(1)[0]", "def f(x): return x", "fail", /TypeError/],
      [
        "broken tests",
        "assert f(1) ==",
        "def f(x): return x",
        "infrastructure-error",
        /SyntaxError in the tests/,
      ],
      [
        "tests that need a module",
        "import no_such_module",
        "def f(x): return x",
        "infrastructure-error",
        /no_such_module/,
      ],
      ["no program", "f(1)", "  \n", "unparseable", /no program/],
      [
        "caught by the tests",
        "try:\n    f(1)\nexcept ZeroDivisionError:\n    pass",
        "def f(x): return x / 0",
        "pass",
        /passed/,
      ],
    ])("%s", async (_, tests, source, outcome, evidence) => {
      const verdict = await grade(tests, source);
      expect(verdict.outcome).toBe(outcome);
      expect(verdict.evidence).toMatch(evidence);
    });

    test("a helper that the prompt defines is the prompt's", async () => {
      const preamble = "def close(a, b): return abs(a - b) < 1e-6\n\ndef f(x):\n    '''Doubles.'''\n";
      const cheat = "def close(a, b): return True\ndef f(x): return 0";
      const task = { preamble, entryPoint: "f" };
      expect((await grade("assert close(f(2), 4)", cheat, task)).outcome).toBe("fail");
      expect((await grade("assert close(f(2), 4)", "def f(x): return 2 * x", task)).outcome).toBe("pass");
    });
  });

  test("calls: results, arguments in place, tolerance, a checker", options, async () => {
    const calls = (source: string, task: object) =>
      gradeCode({ mode: "calls", language: "python", entryPoint: "f", cases: [], ...task }, source, {
        route,
      });
    const cases = [{ args: [[3, 1, 2]], expected: [1, 2, 3] }];
    expect((await calls("def f(a): return tuple(sorted(a))", { cases })).outcome).toBe("pass");
    expect((await calls("def f(a): return a", { cases })).evidence).toContain(
      "expected [1, 2, 3], got [3, 1, 2]",
    );
    const inPlace = { cases: [{ args: [[3, 1, 2]], expected: [[1, 2, 3]] }], inPlace: true };
    expect((await calls("def f(a): a.sort()", inPlace)).outcome).toBe("pass");
    const near = { cases: [{ args: [3], expected: 0.3333333 }], comparison: { absolute: 1e-6 } };
    expect((await calls("def f(a): return 1 / a", near)).outcome).toBe("pass");
    const checker = {
      language: "python",
      source: "def check(args, got, expected):\n    return (sorted(got) == expected, 'not a permutation')",
    };
    expect((await calls("def f(a): return a", { cases, checker })).outcome).toBe("pass");
    expect((await calls("def f(a): return a[1:]", { cases, checker })).evidence).toContain(
      "not a permutation",
    );
    const broken = { language: "python", source: "def check(args, got, expected): return 1" };
    expect((await calls("def f(a): return a", { cases, checker: broken })).outcome).toBe(
      "infrastructure-error",
    );
  });

  test.each([
    [
      "a namespace",
      "namespace A { export const one = 1; }\nfunction f(x: number): number { return x + A.one; }",
    ],
    [
      "enums",
      "enum A { Zero, One }\nconst enum B { One = 1 }\nfunction f(x: number) { return x + A.One * B.One; }",
    ],
    [
      "parameter properties and accessors",
      "class A { accessor one = 1; constructor(private readonly x: number) {} get sum() { return this.x + this.one; } }\nfunction f(x: number): number { return new A(x).sum; }",
    ],
    [
      "decorators of the standard",
      "function more(method: any, _context: ClassMethodDecoratorContext) { return function (this: any, x: number, ...rest: any[]) { return method.call(this, x) + 1; }; }\nfunction seen(value: any) { return value; }\n@seen class A { @more same(x: number) { return x; } }\nfunction f(x: number) { return new A().same(x); }",
    ],
    [
      "decorators of before it",
      "const more = (by: number) => (target: any, key: string, descriptor: PropertyDescriptor) => { const method = descriptor.value; descriptor.value = function (x: number) { return method.call(this, x) + by; }; };\nfunction given(target: object, key: string, index: number) {}\nclass A { @more(1) same(@given x: number) { return x; } }\nfunction f(x: number) { return new A().same(x); }",
    ],
    [
      "imports, overloads and a generic arrow",
      "import assert = require('node:assert');\nexport type T = number;\nfunction g(x: T): T;\nfunction g(x: any) { return x; }\nexport const f = <X extends T>(x: X): T => { assert.ok(true); return g(x)! + (1 satisfies T); };",
    ],
  ])("TypeScript: %s", options, async (_, source) => {
    const task = {
      mode: "calls",
      language: "typescript",
      entryPoint: "f",
      cases: [{ args: [2], expected: 3 }],
    } as const;
    expect(await gradeCode(task, source, { route })).toMatchObject({ outcome: "pass" });
  });

  test("TypeScript: a program of modules on standard input", options, async () => {
    const task = {
      mode: "stdio",
      language: "typescript",
      cases: [{ stdin: "2", stdout: "3" }],
    } as const;
    const source =
      'import * as fs from "fs";\nnamespace A { export const one = 1; }\nexport const x: number = Number(fs.readFileSync(0, "utf8"));\nconsole.log(x + A.one);';
    expect(await gradeCode(task, source, { route })).toMatchObject({ outcome: "pass" });
  });

  test("JavaScript and TypeScript: asserts, calls, objects", options, async () => {
    const tests =
      "const assert = require('node:assert');\nassert.deepStrictEqual(f([1, { a: new Set([2]) }]), [1, { a: new Set([2]) }]);\nconst a = [3, 1];\nassert.strictEqual(f(a), a);\nassert.throws(() => f(null), TypeError);\n";
    const source = "function f(x) { if (x === null) throw new TypeError('no'); return x; }";
    const javascript = { mode: "asserts", language: "javascript", tests } as const;
    expect(await gradeCode(javascript, source, { route })).toMatchObject({
      outcome: "pass",
      details: { sealed: true },
    });
    expect((await gradeCode(javascript, "const f = (x) => [...x];", { route })).outcome).toBe("fail");
    const typescript = { ...javascript, language: "typescript" } as const;
    const typed =
      "export function f<T>(x: T): T { if (x === null) throw new TypeError('no'); return x as T; }";
    expect(await gradeCode(typescript, typed, { route })).toMatchObject({ outcome: "pass" });
    expect((await gradeCode(typescript, "function f(x: {) {}", { route })).outcome).toBe("crash");
    const broken = { ...typescript, tests: "const n: {) = 1;" };
    expect((await gradeCode(broken, typed, { route })).outcome).toBe("infrastructure-error");
    const modules = { ...javascript, tests: `import { strict } from "node:assert";\nstrict.equal(f(1), 1);` };
    expect(await gradeCode(modules, source, { route })).toMatchObject({ outcome: "pass" });
    const calls = {
      mode: "calls",
      language: "javascript",
      entryPoint: "f",
      cases: [{ args: [2], expected: 4 }],
    } as const;
    expect((await gradeCode(calls, "async function f(x) { return x * 2; }", { route })).outcome).toBe("pass");
    const objects = { ...javascript, tests: "const s = new S(); if (s.get() !== 1) throw new Error('no');" };
    expect(await gradeCode(objects, "class S { get() { return 1; } }", { route })).toMatchObject({
      outcome: "pass",
      details: { sealed: false },
    });
  });

  test("queries: rows in any order or in theirs, duplicates count", options, async () => {
    const task = {
      mode: "query",
      language: "sql",
      setup: "create table t (a, b); insert into t values (1, 'x'), (2, 'y'), (2, 'y');",
    } as const;
    const query = async (sql: string, more: object) =>
      (await gradeCode({ ...task, ...more }, sql, { route })).outcome;
    const reference = "select a, b from t order by a desc";
    expect(await query("select a, b from t", { reference })).toBe("pass");
    expect(await query("select a, b from t", { reference, ordered: true })).toBe("fail");
    expect(await query("select distinct a, b from t", { reference })).toBe("fail");
    expect(await query("select 2.0 / 3", { rows: [[0.666666666666]] })).toBe("pass");
    expect(await query("select nothing from t", { reference })).toBe("crash");
    expect(await query("select 1", { reference: "selec" })).toBe("infrastructure-error");
  });

  test("AutoIF's verification functions on their own cases", options, async () => {
    for (const { verification_functions, cases } of every(rows("autoif_back_translation"), 2)) {
      for (const [source, accuracy] of verification_functions.slice(0, 2)) {
        const tested = await testChecker({ language: "python", source, entryPoint: "evaluate" }, cases, {
          route,
        });
        expect(tested.accuracy).toBeCloseTo(accuracy, 6);
      }
    }
    const checker = {
      language: "javascript",
      source: "function evaluate(r) { return r.length < 5; }",
      entryPoint: "evaluate",
    } as const;
    expect((await judgeWith(checker, ["abc"], { route })).outcome).toBe("pass");
    expect((await judgeWith(checker, ["abcdef"], { route })).outcome).toBe("fail");
    expect((await judgeWith({ ...checker, source: "function evaluate(" }, ["a"], { route })).outcome).toBe(
      "infrastructure-error",
    );
  });
});

describe("WebAssembly's own lacks are nobody's failure", () => {
  test.each([
    ["a thread", "import threading\ndef f():\n    threading.Thread(target=print).start()\n    return 1"],
    ["a package", "import numpy\ndef f(): return 1"],
    ["a module of the library that is not shipped", "import tkinter\ndef f(): return 1"],
    ["a process", "import subprocess\ndef f():\n    subprocess.run(['true'])\n    return 1"],
  ])("%s", async (_, source) => {
    const verdict = await gradeCode(
      { mode: "asserts", language: "python", tests: "assert f() == 1" },
      source,
      { route: "wasm" },
    );
    expect(verdict.outcome).toBe("infrastructure-error");
  });

  test("a language that it has not", async () => {
    const verdict = await gradeCode({ mode: "stdio", language: "cpp", cases: [] }, "int main() {}", {
      route: "wasm",
    });
    expect(verdict.outcome).toBe("infrastructure-error");
    expect(verdict.evidence).toContain("apt-get install bubblewrap");
  });
});

describe("whole programs", needsSandbox, () => {
  test("run, with their output, exit code and limits", async () => {
    expect(
      await runProgram({
        language: "python",
        source: "import sys\nprint(input())\nsys.exit(3)",
        stdin: "hi\n",
      }),
    ).toMatchObject({
      status: "exited",
      exitCode: 3,
      stdout: "hi\n",
    });
    const slept = await runProgram(
      { language: "bash", source: "sleep 60" },
      { limits: { cpuSeconds: 1, wallSeconds: 0.5 } },
    );
    expect(slept).toMatchObject({ status: "stopped", stopped: "wall" });
  });
});
