/**
 * Tests of compiled languages and shells, which are compiled or sourced together with the candidate (MultiPL-E's form:
 * a main function, Go's Test functions, a script). A nonce comes in on standard input; only code after the last test
 * prints it. The candidate shares the process and could look for it: these verdicts say `sealed: false`.
 */
import { randomBytes } from "node:crypto";
import type { Verdict } from "../verdict.js";
import type { Layout } from "./bubblewrap.js";
import { crash, ended, fail, pass } from "./code-verdict.js";
import type { Limits } from "./limits.js";
import { prepareProgram } from "./run-program.js";
import type { AssertsTask } from "./task.js";

type Compiled = "cpp" | "java" | "go" | "rust" | "bash";

interface Joined {
  readonly source: string;
  readonly more?: readonly string[];
}

const join: Readonly<Record<Compiled, (candidate: string, tests: string) => Joined>> = {
  // The candidate's macros must not reach `assert`; its own main, if any, gets another name.
  cpp: (candidate, tests) => ({
    source: [
      "#include <cassert>\n#include <cstdio>\n#define main candidate_main",
      candidate,
      "#undef main\n#undef NDEBUG\n#undef assert\n#include <assert.h>\n#define main tests_main",
      tests,
      "#undef main\nint main() {\n  int status = tests_main();\n  if (status != 0) return status;",
      '  char nonce[65] = {0};\n  if (std::scanf("%64s", nonce) != 1) return 1;\n  std::printf("\\n%s\\n", nonce);\n}',
    ].join("\n"),
  }),
  java: (candidate, tests) => {
    const imports = new Set<string>();
    const body = `${candidate}\n${tests}`
      .replace(/^\s*import\s+[\w.*\s]+;/gm, (line) => {
        imports.add(line.trim());
        return "";
      })
      .replace(/^\s*package\s+[\w.]+;/gm, "")
      .replace(/^(\s*)public\s+(?=(?:final\s+|abstract\s+)*(?:class|interface|enum|record)\s)/gm, "$1");
    const main = /\bstatic\s+(?:final\s+)?void\s+main\s*\(/.exec(body)?.index ?? body.length;
    const tested =
      [...body.slice(0, main).matchAll(/^(?:final\s+|abstract\s+)*class\s+(\w+)/gm)].at(-1)?.[1] ?? "Main";
    const seal = [
      "class PosttrainSeal {",
      "  public static void main(String[] arguments) throws Throwable {",
      `    ${tested}.main(arguments);`,
      "    String nonce = new java.io.BufferedReader(new java.io.InputStreamReader(System.in)).readLine();",
      '    System.out.println("\\n" + nonce);\n    System.out.flush();\n  }\n}',
    ];
    return { source: [...imports, body, ...seal].join("\n") };
  },
  go: (candidate, tests) => {
    const asMain = (text: string): string => text.replace(/^\s*package\s+\w+/m, "package main");
    const renamed = tests.replace(/^func\s+main\s*\(\s*\)/m, "func posttrainTests()");
    const files = /^\s*package\s/m.test(tests)
      ? [asMain(candidate), asMain(renamed)]
      : [asMain(`${candidate}\n${renamed}`)];
    const names = [...tests.matchAll(/^func\s+(Test\w*)\s*\(/gm)].map((match) => match[1]!);
    // testing.Main runs them as `go test` does and leaves by itself: so the seal is a last test, after all that passed.
    const counted = names.map(
      (name) =>
        `{Name: "${name}", F: func(t *testing.T) { defer func() { if !t.Failed() { passed++ } }(); ${name}(t) }},`,
    );
    const seal =
      names.length === 0
        ? 'package main\nimport (\n"bufio"\n"fmt"\n"os"\n)\nfunc main() {\n\tposttrainTests()\n\tprintNonce()\n}'
        : `package main\nimport (\n"bufio"\n"fmt"\n"os"\n"testing"\n)\nfunc main() {\n\tpassed := 0\n\ttesting.Main(func(_, _ string) (bool, error) { return true, nil }, []testing.InternalTest{\n${counted.join("\n")}\n{Name: "PosttrainSeal", F: func(t *testing.T) { if passed == ${names.length} { printNonce() } }},\n}, nil, nil)\n}`;
    const print =
      "func printNonce() {\n\tnonce, _ := bufio.NewReader(os.Stdin).ReadString('\\n')\n\tfmt.Println(\"\\n\" + nonce)\n}";
    const [source, ...rest] = files;
    return { source: source!, more: [...rest, `${seal}\n${print}`] };
  },
  rust: (candidate, tests) => ({
    source: [
      candidate.replace(/^(?:pub\s+)?fn\s+main\s*\(/m, "fn candidate_main("),
      tests.replace(/^(?:pub\s+)?fn\s+main\s*\(/m, "fn posttrain_tests("),
      "fn main() {\n    let _ = posttrain_tests();\n    let mut nonce = String::new();",
      '    std::io::stdin().read_line(&mut nonce).unwrap();\n    println!("\\n{}", nonce.trim());\n}',
    ].join("\n"),
  }),
  bash: (candidate, tests) => ({
    source: `${candidate}\nset -e\n${tests}\nIFS= read -r posttrain_nonce\nprintf '\\n%s\\n' "$posttrain_nonce"\n`,
  }),
};

export function testsRunBeside(language: string): language is Compiled {
  return Object.hasOwn(join, language);
}

export async function gradeBeside(
  task: AssertsTask & { readonly language: Compiled },
  candidate: string,
  layout: Layout,
  limits: Limits,
  signal: AbortSignal | undefined,
): Promise<Verdict> {
  const details = { sealed: false };
  const { source, more } = join[task.language](candidate, task.tests);
  const prepared = await prepareProgram(task.language, source, layout, limits, signal, more);
  if (prepared.kind === "refused") {
    const { exit, text } = prepared;
    if (exit && (exit.stopped !== undefined || !exit.started))
      return ended(exit, limits, "while it was compiled");
    return crash(`It does not compile together with its tests: ${text}`, details);
  }
  const nonce = randomBytes(16).toString("hex");
  const exit = await prepared.run(`${nonce}\n`);
  if (exit.stopped !== undefined || !exit.started) return ended(exit, limits, "in its tests");
  const said =
    exit.stderr.toString("utf8").trim().slice(-1000) || exit.stdout.toString("utf8").trim().slice(-1000);
  const sealed = exit.stdout.toString("latin1").split("\n").includes(nonce);
  if (exit.code === 0 && sealed) return pass("All tests passed, beside the candidate.", details);
  if (exit.code === 0)
    return crash(`It ended before its tests did (exit code 0, no nonce). It had said: ${said}`, details);
  const outcome = ended(exit, limits, "in its tests");
  return outcome.outcome === "timeout"
    ? outcome
    : fail(`Its tests ended with exit code ${exit.code}. It had said: ${said}`, details);
}
