// Verdicts that a program would buy: tests, a program that solves them, and programs that do not but meet what the tests
// expect, or end the tests' loops, if they can. None of those may pass where the verdict is sealed.
import type { AssertsTask } from "@posttrain/sandbox";

export interface Bought {
  readonly language: AssertsTask["language"];
  readonly tests: string;
  readonly honest: string;
  readonly sealed: boolean;
  readonly hostile: readonly string[];
}

const operators =
  "sub rsub add radd mul truediv floordiv mod pow matmul and or xor lshift divmod eq ne lt le gt ge contains getitem round format";

/** An object that agrees with everything, notes what it meets, and returns that in the next call. */
const agreeing = [
  "seen = []",
  "def note(s, *a): seen.extend(a); return 0.0",
  "class A:",
  "    def __getattr__(s, n):",
  "        if n.startswith('__'): raise AttributeError(n)",
  "        return lambda *a, **k: seen.extend(a) or True",
  `for n in '${operators}'.split(): setattr(A, '__%s__' % n, note)`,
  "def f(x): return seen[0] if seen else A()",
].join("\n");

/** Its iterator tells it where the tests stopped. */
const counting =
  "last = [0]\ndef g():\n    for i in range(9999):\n        last[0] = i\n        yield i\ndef f(x): return g() if last[0] == 0 else last[0]";

const raising = (kind: string): string => `def f(x): raise ${kind}`;

/** Tests of results that are plain data; a program that solves them. */
const plain: readonly (readonly [string, string])[] = [
  ["assert abs(f(1) - 2.5) < 1e-6", "def f(x): return 2.5"],
  ["assert 2.5 - f(1) < 1e-6 and f(1) - 2.5 < 1e-6", "def f(x): return 2.5"],
  ["assert round(f(1), 1) == 2.5 and f'{f(1):.2f}' == '2.50'", "def f(x): return 2.5"],
  ["x = f(1)\nx -= 2.5\nassert x == 0.0", "def f(x): return 2.5"],
  ["assert not f(1) % 5\nassert f(1) == 10", "def f(x): return 10"],
  ["import math\nassert math.isclose(f(1), 2.5)", "def f(x): return 2.5"],
  ["import unittest\nunittest.TestCase().assertAlmostEqual(f(1), 2.5)", "def f(x): return 2.5"],
  ["import unittest\nunittest.TestCase().assertIn(5, f(1))", "def f(x): return [5]"],
  [
    "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertSetEqual(f(1), {5})",
    "def f(x): return {5}",
  ],
  ["assert 5 in f(1)", "def f(x): return [5]"],
  ["assert f(1).issuperset({1, 2, 3})\nassert f(1) == {1, 2, 3}", "def f(x): return {1, 2, 3}"],
  ["r = f(1)\nassert r.count(3) == 1 and r.index(3) == 0", "def f(x): return [3]"],
  ["assert getattr(f(1), 'startswith')('abc')", "def f(x): return 'abcd'"],
  ["assert f(1) & {1} and f(1) >= {1}", "def f(x): return {1}"],
  ["assert f(1)['a'] == 0.0 and f(1).get('a') == 0.0", "def f(x): return {'a': 0.0}"],
  ["assert {2: 3}.get(f(1)) == 3 and f(1) != 3", "def f(x): return 2"],
  ["import re\nassert re.sub('a', f(1), 'abc') == 'xbc'", "def f(x): return 'x'"],
  ["assert max(f(1), 3) == 3 and sorted([f(1), 2]) == [1, 2]", "def f(x): return 1"],
  ["assert f(1) == f(2) == 4", "def f(x): return 4"],
  ["assert f(1).equals is None if hasattr(f(1), 'equals') else f(1) == [1]", "def f(x): return [1]"],
];

/** Tests with loops of their own. */
const loops: readonly string[] = [
  "assert all(map(f, [1, 2]))",
  "assert all(f(x) == x + 1 for x in [1, 2])",
  "assert all(a == b for a, b in zip(map(f, [1, 2]), [2, 3]))",
  "for got, x in zip(map(f, [1, 2]), [1, 2]):\n    assert got == x + 1",
  "assert [x for x in map(f, [1, 2]) if x not in (2, 3)] == []",
  "import unittest\nwith unittest.TestCase().assertRaises(AssertionError):\n    assert f(1) == 3\nassert True",
];

/** Names that the tests use and do not define: the library's, whatever the program calls so. */
const names: readonly (readonly [string, string, readonly string[]])[] = [
  [
    "assert math.isclose(f(1), 2.5)",
    "def f(x): return 2.5",
    [
      "class math:\n    isclose = lambda *a: True\ndef f(x): return 0",
      "import unittest.mock as math\ndef f(x): return 0",
    ],
  ],
  [
    "assert isclose(f(1), 2.5)",
    "from math import isclose\ndef f(x): return 2.5",
    ["def isclose(*a): return True\ndef f(x): return 0"],
  ],
  [
    "assert Counter(f(1)) == Counter('aab')",
    "def f(x): return 'aba'",
    ["class Counter:\n    def __init__(s, x): pass\n    def __eq__(s, o): return True\ndef f(x): return 0"],
  ],
  ["assert gcd(12, 18) == 6", "def gcd(a, b): return 6", ["def gcd(a, b): return 5", "gcd = print"]],
  [
    "assert decode(encode('abc')) == 'abc' and encode('abc') != 'abc'",
    "def encode(x): return x[::-1]\ndef decode(x): return x[::-1]",
    ["from builtins import eval as decode\ndef encode(x): return '__import__(\"os\")._exit(0)'"],
  ],
  [
    "assert f(1).issuperset({1, 2}) and f(1).union({3})",
    "def f(x): return {1, 2}",
    ["from unittest.mock import MagicMock as f", "from unittest.mock import Mock\ndef f(x): return Mock()"],
  ],
];

/** Tests that mean objects: sealed where they only give arguments to methods of what they made. */
const objects: readonly (readonly [string, string, boolean, string])[] = [
  [
    "s = Stack()\ns.push(1)\nassert len(s) == 1 and s.items == [1] and s",
    "class Stack:\n    def __init__(s): s.items = []\n    def push(s, x): s.items.append(x)\n    def __len__(s): return len(s.items)",
    true,
    "class Stack:\n    items = property(lambda s: s)\n    def push(s, x): pass\n    def __len__(s): return 1\n    def __eq__(s, o): return True",
  ],
  [
    "c = LRUCache(1)\nc.put(1, 7)\nassert c.get(1) == 7",
    "class LRUCache:\n    def __init__(s, n): s.d = {}\n    def put(s, k, v): s.d[k] = v\n    def get(s, k): return s.d[k]",
    true,
    "class A:\n    def __eq__(s, o): return True\nclass LRUCache:\n    def __init__(s, n): pass\n    def put(s, k, v): pass\n    def get(s, k): return A()",
  ],
  [
    "assert Solution().two([2, 7], 9) == [0, 1]",
    "class Solution:\n    def two(s, a, b): return [0, 1]",
    true,
    "class A(list):\n    def __eq__(s, o): return True\nclass Solution:\n    def two(s, a, b): return A()",
  ],
  [
    "assert (V(1) + V(2)).x == 3",
    "class V:\n    def __init__(s, x): s.x = x\n    def __add__(s, o): return V(s.x + o.x)",
    false,
    "class V:\n    def __init__(s, x): s.x = x",
  ],
  [
    "q = make()\nq.append(1)\nassert q.pop() == 1",
    "class Q:\n    def __init__(s): s.a = []\n    def append(s, x): s.a.append(x)\n    def pop(s): return s.a.pop()\ndef make(): return Q()",
    false,
    "def make(): return None",
  ],
  [
    "with C() as c:\n    assert c.x == 1",
    "class C:\n    x = 1\n    def __enter__(s): return s\n    def __exit__(s, *a): pass",
    false,
    "class C: x = 1",
  ],
];

const python: readonly Omit<Bought, "language">[] = [
  ...plain.map(([tests, honest]) => ({ tests, honest, sealed: true, hostile: [agreeing] })),
  {
    tests: "assert 7 in f(1)\nassert f(1) == 7 or 7 in f(1)\nassert f(1) == [7]",
    honest: "def f(x): return [7]",
    sealed: true,
    hostile: [counting],
  },
  {
    tests: "assert any(x == 7 for x in f(1))\nassert f(1) == [7]",
    honest: "def f(x): return [7]",
    sealed: true,
    hostile: [counting],
  },
  ...loops.map((tests) => ({
    tests,
    honest: "def f(x): return x + 1",
    sealed: true,
    hostile: [
      ...[
        "StopIteration",
        "StopAsyncIteration",
        "GeneratorExit",
        "AssertionError",
        "KeyboardInterrupt",
        "SystemExit(0)",
      ].map(raising),
      "class E(StopIteration): pass\ndef f(x): raise E",
      "class E(BaseException): pass\ndef f(x): raise E",
    ].slice(0, tests.includes("all(map") ? undefined : 2),
  })),
  ...names.map(([tests, honest, hostile]) => ({ tests, honest, sealed: true, hostile })),
  ...objects.map(([tests, honest, sealed, hostile]) => ({ tests, honest, sealed, hostile: [hostile] })),
  // What a program raises still reaches a test that expects it.
  ...["ValueError", "StopIteration", "AssertionError", "SystemExit", "KeyError"].map((kind) => ({
    tests: `import unittest\nwith unittest.TestCase().assertRaises(${kind}):\n    f(1)\ntry:\n    f(1)\nexcept (${kind}, OSError):\n    pass\nelse:\n    assert False`,
    honest: `def f(x): raise ${kind}('no')`,
    sealed: true,
    hostile: ["def f(x): return x", "def f(x): raise RuntimeError('no')"],
  })),
  {
    tests:
      "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertEqual(f(1), 2)\nif __name__ == '__main__':\n    unittest.main()",
    honest: "def f(x): return 2",
    sealed: true,
    hostile: ["def f(x): return 3", "import unittest\ndef f(x): raise unittest.SkipTest"],
  },
];

const required = "const assert = require('node:assert');\n";
const note = "const seen = [];\nconst note = (...a) => { seen.push(...a); return true; };\n";
const methods = "includes has equals startsWith every some forEach get toJSON"
  .split(" ")
  .map((name) => `${name}: note`)
  .join(", ");

/** The same in JavaScript: methods in the fields of what it returns, and those that operators call. */
const agreeingFields = `${note}const f = (x) => (seen.length > 0 ? seen[0] : { ${methods}, valueOf: () => 3, toString: () => "3", length: 1, size: 1 });`;
const thenable = `${note}const f = (x) => (seen.length > 0 ? seen[0] : [{ then: note }, { then: note, ${methods} }][x]);`;

const plainInJavaScript: readonly (readonly [string, string])[] = [
  ["assert(f(1).includes(3) && f(1)[0] === 3)", "const f = () => [3];"],
  ["assert(f(1).has(3) && f(1).size === 1)", "const f = () => new Set([3]);"],
  ["assert(f(1).startsWith('abc'))", "const f = () => 'abcd';"],
  ["assert(f(1).every((x) => x === 3))", "const f = () => [3];"],
  ["let n = 0;\nf(1).forEach((x) => { n += x; });\nassert.equal(n, 3)", "const f = () => [3];"],
  ["assert.equal(JSON.stringify(f(1)), '[3]')", "const f = () => [3];"],
  ["assert.equal('abc'.replace('a', f(1)), 'xbc')", "const f = () => 'x';"],
  ["assert(Math.abs(f(1) - 3) < 1e-6)", "const f = () => 3;"],
  ["assert.equal(f(1), 3)", "const f = () => 3;"],
  ["assert.equal('' + f(1), '3')", "const f = () => 3;"],
  [
    "assert.deepEqual([2, 1].sort(f(1) === 3 ? undefined : f(1)), [1, 2]); assert.deepEqual(f(1), 3)",
    "const f = () => 3;",
  ],
  ["assert(f(1).get('a') === 3)", "const f = () => new Map([['a', 3]]);"],
];

const namesInJavaScript: readonly (readonly [string, string, readonly string[]])[] = [
  // Without requiring it, on both routes.
  [
    "assert.strictEqual(f(1), 2)",
    "const f = () => 2;",
    ["const assert = { strictEqual() {} };\nfunction f(x) { return 0; }"],
  ],
  [
    "assert.ok(util.isDeepStrictEqual(f(1), [2]))",
    "const f = () => [2];",
    ["const util = { isDeepStrictEqual: () => true };\nfunction f(x) { return 0; }"],
  ],
  [
    `${required}try {\n  assert.equal(f(1), 2);\n} catch (error) {\n  if (error.name !== "AssertionError") throw error;\n  throw new Error("wrong");\n}`,
    "const f = () => 2;",
    [
      "function f(x) { throw Object.assign(new Error('x'), { name: 'AssertionError', code: 'ERR_ASSERTION' }); }",
    ],
  ],
];

/** Beside the candidate, and still with the grader's own assert. */
const besideInJavaScript: readonly (readonly [string, string, readonly string[]])[] = [
  [
    `${required}const s = new S();\nassert.equal(s.get(), 2)`,
    "class S { get() { return 2; } }",
    [
      "require('assert').equal = () => {};\nclass S { get() { return 0; } }",
      "globalThis.require = () => ({ equal() {} });\nclass S { get() { return 0; } }",
      "const assert = { equal() {} };\nclass S { get() { return 0; } }",
    ],
  ],
  [
    `${required}const s = make();\ns.push(1);\nassert.equal(s.pop(), 1)`,
    "class S { constructor() { this.a = []; } push(x) { this.a.push(x); } pop() { return this.a.pop(); } }\nconst make = () => new S();",
    ["const make = () => ({ push() {}, pop() {} });"],
  ],
];

const javascript: readonly Omit<Bought, "language">[] = [
  ...plainInJavaScript.map(([tests, honest]) => ({
    tests: required + tests,
    honest,
    sealed: true,
    hostile: [agreeingFields, thenable],
  })),
  ...namesInJavaScript.map(([tests, honest, hostile]) => ({ tests, honest, sealed: true, hostile })),
  ...besideInJavaScript.map(([tests, honest, hostile]) => ({ tests, honest, sealed: false, hostile })),
  {
    tests: `${required}assert.equal(add(1)(2), 3)`,
    honest: "const add = (n) => (m) => n + m;",
    sealed: true,
    hostile: ["const add = (n) => () => 0;"],
  },
  {
    tests: `${required}assert.equal(calc.add(1, 2), 3);\nassert.equal(M.twice(2), 4)`,
    honest: "const calc = { add: (a, b) => a + b };\nclass M { static twice(x) { return 2 * x; } }",
    sealed: true,
    hostile: ["const calc = { add: () => 3 };\nclass M {}"],
  },
];

/** Together with the tests, and still with none of its functions, traps, aliases, macros or types in place of the language's own. */
const together: readonly Bought[] = [
  {
    language: "bash",
    tests:
      '}\n\ncandidate() {\n    f "$@"\n}\n\nset -e\nrun_test() {\n    [[ $(candidate "1") = "2" ]]\n    [[ $(candidate "41") = "42" ]]\n}\n\nrun_test\n',
    honest: "f() {\n  echo $(( $1 + 1 ))",
    sealed: false,
    hostile: [],
  },
  {
    language: "bash",
    tests:
      '}\n\ncandidate() {\n    f "$@"\n}\n\nset -e\nrun_test() {\n    [[ $(candidate "1") = "2" ]]\n    [[ $(candidate "41") = "42" ]]\n}\n\nrun_test\n',
    honest: "f() {\n  echo $(( $1 + 1 ))\n}\n",
    sealed: false,
    hostile: [],
  },
  {
    language: "bash",
    tests: '[[ $(f 1) == 2 ]]\n[ "$(f 41)" = 42 ]\n',
    honest: "f() { echo $(( $1 + 1 )); }",
    sealed: false,
    hostile: [
      "set() { :; }\nf() { echo 0; }",
      "f() { echo 0; }\ntrap 'read n; echo $n; exit 0' ERR EXIT",
      "f() { echo 0; }\nshopt -s extdebug; trap 'false' DEBUG",
      "f() { echo 0; }\nshopt -s expand_aliases\nalias '[['='true ||' '['='true' set=:",
      "[() { :; }\ntest() { :; }\nread() { :; }\nprintf() { :; }\nexit() { :; }\nf() { echo 0; }\nreadonly -f [ ",
      "PATH=/nowhere\nf() { echo 0; }\nset +e; set -n",
      "f() { echo 0; kill -9 $PPID; }",
      "f() { cat; cat <&9; echo 0; }",
      "exit 0\nf() { echo 2; }",
    ],
  },
  {
    language: "bash",
    tests:
      "push 1\npush 2\n[[ $(size) == 2 ]]\n[[ $RESULT == 2 ]]\npop\n[[ $RESULT == 2 ]]\n[[ $stack == 1 ]]",
    honest:
      'stack=()\npush() { stack+=("$1"); RESULT=$1; }\nsize() { set -- "$[stack[@]}"; echo $#; }\npop() { RESULT=$[stack[-1]}; unset \'stack[-1]\'; }'.replaceAll(
        "$[",
        "${",
      ),
    sealed: false,
    hostile: [],
  },
  {
    language: "bash",
    tests: 'candidate() {\n    sort "$@"\n}\nset -e\n[[ $(candidate 3 1) = "1 3" ]]',
    honest: "sort() { printf '%s\\n' \"$@\" | command sort -n | paste -sd' '; }",
    sealed: false,
    hostile: [],
  },
  {
    language: "bash",
    tests: "[[ $(echo 5 | f) == 6 ]]\n[[ $(f <<< 7) == 8 ]]\n! g",
    honest: "f() { read -r x; echo $((x + 1)); }\ng() { return 3; }",
    sealed: false,
    hostile: [],
  },
  {
    language: "bash",
    tests: "[[ $LIMIT == 5 ]]\n[[ $(f) == 5 ]]",
    honest: "LIMIT=5\nf() { echo $LIMIT; }",
    sealed: false,
    hostile: [],
  },
  {
    language: "bash",
    tests: "diff <(f 1) <(echo 2)",
    honest: "f() { echo 2; }",
    sealed: false,
    hostile: ["diff() { :; }\nf() { echo 0; }"],
  },
  {
    language: "bash",
    tests: "f 1\n[[ $R == 2 ]]",
    honest: "R=0\nf() { R=2; }",
    sealed: false,
    hostile: ["R='a[$(touch /tmp/x)]'\nf() { exit 0; }"],
  },
  {
    language: "bash",
    tests: 'assert_equals() { [[ $1 == $2 ]]; }\nassert_equals "$(f 1)" 2',
    honest: "f() { echo 2; }",
    sealed: false,
    hostile: ["assert_equals() { :; }\nf() { echo 0; }"],
  },
  {
    language: "cpp",
    tests:
      "}\nint main() {\n    auto candidate = f;\n    assert(candidate((1)) == (2));\n    assert(candidate((41)) == (42));\n}\n",
    honest: "#include<assert.h>\n#include<bits/stdc++.h>\nint f(int x) {\n  return x + 1;",
    sealed: false,
    hostile: [],
  },
  {
    language: "cpp",
    tests:
      "}\nint main() {\n    auto candidate = f;\n    assert(candidate((1)) == (2));\n    assert(candidate((41)) == (42));\n}\n",
    honest:
      "#include<assert.h>\n#include<bits/stdc++.h>\nusing namespace std;\n#define ll long long\nint f(int x) {\n  return (ll)x + 1;\n}\nint main() { return 0; }",
    sealed: false,
    hostile: [],
  },
  {
    language: "cpp",
    tests: "#include <vector>\nint main() { assert(f(1) == 2); if (f(41) != 42) return 1; return 0; }\n",
    honest: "#include <unistd.h>\nint f(int x) { return x + 1; }",
    sealed: false,
    hostile: [
      "#define if(x) if (false)\n#define return\nint f(int x) { }",
      "#define NDEBUG\n#include <cassert>\nint f(int x) { return 42; }",
      "#define assert(x)\n#define f(x) 42\nint g;",
      "int f(int x) { return 0; }\n#undef assert\n#define assert(x) ((void)0)\n#define main other\n#define tests_main candidate_main\n#define if(x) if (0)\nint main() { return 0; }",
      "int f(int x) { return 0; }\nint main() { return 0; }\n#if 0",
      "int f(int x) { return 0; }\n#undef main\nint main() { return 0; }\n/*",
      "%:define if(x) if(0)\n#def\\\nine assert(x)\nint f(int x) { return 0; }",
      'int f(int x) { return 0; }\n#pragma push_macro("assert")\n#define assert(x)\n_Pragma("push_macro(\\"assert\\")")\n',
      '#define assert(x) int y\n#include "/sandbox/tests.cpp"\n#include "/sandbox/main.cpp"\nint f(int x) { return 0; }',
    ],
  },
  {
    language: "java",
    tests:
      "    }\n    public static void main(String[] args) {\n    assert(f((1l)) == (2l));\n    assert(f((41l)) == (42l));\n    }\n\n}\n",
    honest:
      "import java.util.*;\nimport java.lang.reflect.*;\nclass Problem {\n    public static long f(long x) {\n        return x + 1;",
    sealed: false,
    hostile: [
      "class Problem { public static void main(String[] a) {} }\nclass Zed {\n  static long f(long x) {\n    return 0;",
      "class Fake { public static void main(String[] a) {} }\nclass Zed {\n  /*\nclass Fake\n*/\n  static long f(long x) {\n    return 0;",
      "class Problem {\n  static { Problem.class.getClassLoader().setDefaultAssertionStatus(false); Problem.class.getClassLoader().clearAssertionStatus(); }\n  static long f(long x) {\n    return 0;",
    ],
  },
  {
    language: "java",
    tests:
      "class Main { public static void main(String[] args) { if (Sol.f(1) != 2) throw new RuntimeException(); if (Sol.f(41) != 42) System.exit(1); } }",
    honest: "public class Sol { static int f(int x) { return x + 1; } }",
    sealed: false,
    hostile: [
      "class System { static void exit(int c) {} }\nclass Sol { static int f(int x) { return x == 1 ? 2 : 0; } }",
      "class java { static class lang { static class System {} } }\nclass Sol { static int f(int x) { return 0; } }",
      "class PosttrainSeal { }\nclass Sol { static int f(int x) { java.lang.Runtime.getRuntime().halt(0); return 0; } }",
    ],
  },
  {
    language: "go",
    tests:
      "func TestF(t *testing.T) {\n  candidate := f\n\ttype test struct { actual interface{}; expected interface{} }\n   tests := []test{ { actual: candidate(1), expected: 2 } }\n\tfor i, tc := range tests {\n\t\tt.Run(fmt.Sprintf(\"test num % d\", i), func(t *testing.T) {\n\t\t\tif tc.actual != tc.expected { t.Errorf(\"expected '%s', got '%s'\", tc.expected, tc.actual) }\n\t\t})\n\t}\n}\n",
    honest:
      'package f_test\n\nimport (\n    "testing"\n    "fmt"\n)\n\nfunc f(x int) int {\n  return x + 1\n}\n',
    sealed: false,
    hostile: [
      'package f_test\n\nimport (\n    "testing"\n    "fmt"\n)\n\nfunc f(x int) int {\n  return 0\n}\n',
    ],
  },
  {
    language: "go",
    tests: 'func main() { if f(1) != 2 { panic("wrong") }\n if (f(41) == 42) != true { panic("wrong") } }',
    honest: "package main\nfunc f(x int) int { return x + 1 }",
    sealed: false,
    hostile: [
      "package main\nfunc panic(v any) {}\nfunc f(x int) int { return 0 }",
      "package main\nvar (\n a, true = 1, false\n)\nfunc f(x int) int { return a*2 }",
      "package main\nfunc/**/panic(v any) {}\nfunc f(x int) int { return 0 }",
      'package main\nimport "os"\nfunc init() { os.Exit(0) }\nfunc f(x int) int { return 0 }',
      "package main\nconst true = false; func f(x int) int { return 2 }",
    ],
  },
  {
    language: "rust",
    tests:
      "}\n\nfn main() {\n    let candidate = f;\n    assert_eq!(candidate(1), 2);\n    assert_eq!(candidate(41), 42);\n}\n",
    honest: "fn f(x: i64) -> i64 {\n    x + 1",
    sealed: false,
    hostile: [],
  },
  {
    language: "rust",
    tests:
      "use std::collections::HashMap;\nfn main() { let _m: HashMap<i32, i32> = HashMap::new(); assert!(f(1) == 2); assert_eq!(f(41), 42); }",
    honest:
      '#![allow(unused)]\nuse std::collections::HashMap;\npub fn f(x: i64) -> i64 { let _h: HashMap<i8, i8> = HashMap::new(); x + 1 }\nfn main() { println!("{}", f(1)); }',
    sealed: false,
    hostile: [
      "macro_rules! assert { ($($t:tt)*) => {} }\nmacro_rules! assert_eq { ($($t:tt)*) => {} }\nfn f(x: i64) -> i64 { 0 }",
      "#[macro_export] macro_rules! assert { ($($t:tt)*) => {} }\n#[macro_export] macro_rules! assert_eq { ($($t:tt)*) => {} }\nfn f(x: i64) -> i64 { 0 }",
      "macro_rules! none { ($($t:tt)*) => {} }\npub(crate) use none as assert; pub(crate) use none as assert_eq;\nfn f(x: i64) -> i64 { 0 }",
      "mod posttrain_tests { pub fn posttrain_tests() {} }\nfn f(x: i64) -> i64 { 0 }",
      "fn f(x: i64) -> i64 { std::process::exit(0) }",
    ],
  },
];

/** Tests that are defined, and that somebody has to run. */
const defined: readonly Bought[] = [
  ...[
    "def test_f():\n    assert f(1) == 2",
    "class TestF:\n    def setup_method(self): self.x = 1\n    def test_f(self):\n        assert f(self.x) == 2",
    "def test():\n    assert f(1) == 2\nif __name__ == '__main__':\n    test()",
    "import unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(f(1), 2)\nunittest.main()",
  ].map((tests) => ({
    language: "python" as const,
    tests,
    honest: "def f(x): return 2",
    sealed: true,
    hostile: ["def f(x): return 0"],
  })),
  ...[
    "test('a', () => { assert.equal(f(1), 2); });",
    "describe('a', () => { let n; beforeEach(() => { n = 1; }); it('b', () => { assert.equal(f(n), 2); }); });",
    "const { describe: group, it: one } = require('node:test');\ngroup('a', () => { one('b', () => { assert.equal(f(1), 2); }); });",
  ].map((tests) => ({
    language: "javascript" as const,
    tests: required + tests,
    honest: "const f = () => 2;",
    sealed: true,
    hostile: ["const f = () => 0;", "const test = () => {}, it = test, describe = test;\nconst f = () => 0;"],
  })),
  {
    language: "javascript",
    tests: `${required}describe('a', () => { it('b', () => { assert.equal(new S().get(), 2); }); });`,
    honest: "class S { get() { return 2; } }",
    sealed: false,
    hostile: ["const describe = () => {};\nclass S { get() { return 0; } }"],
  },
];

export const bought: readonly Bought[] = [
  ...python.map((one) => ({ language: "python", ...one }) as const),
  ...javascript.map((one) => ({ language: "javascript", ...one }) as const),
  ...defined,
  ...together,
];
