/**
 * A candidate and its tests as one program, for languages whose tests are compiled or sourced together with it (MultiPL-E's form: a main
 * function, Go's Test functions, a script). A nonce comes in on standard input; only code after the last test prints it. What
 * that code and the tests say is not the candidate's to redefine: macros, aliases, names of the language's own.
 */
import { randomBytes } from "node:crypto";
import { sourceText } from "./interpreter.js";
import type { Files } from "./recipes.js";

export type Compiled = "cpp" | "java" | "go" | "rust" | "bash";

export interface Joined {
  readonly source: string;
  readonly more?: Files;
}

interface Parts {
  readonly candidate: string;
  readonly tests: string;
  /** The function under test, where the task names it. */
  readonly entryPoint: string | undefined;
  /** C++: what the preprocessor makes of a source. */
  readonly preprocess: (source: string) => Promise<string>;
}

/** The candidate declares what belongs to the language: it is refused, as by a compiler. */
export class Redefined extends Error {
  override readonly name = "Redefined";
}

export const joinTests: Readonly<Record<Compiled, (parts: Parts) => Joined | Promise<Joined>>> = {
  // The candidate is preprocessed on its own, after all that the tests include: its macros end there.
  cpp: async ({ candidate, tests, preprocess }) => {
    const includes = tests.match(/^[ \t]*#[ \t]*include\b.*$/gm) ?? [];
    const head = ["#include <cassert>", "#include <cstdio>", ...includes].join("\n");
    const mark = `int posttrain_${randomBytes(8).toString("hex")};`;
    const expanded = await preprocess(
      `${head}\n${mark}\n#define main candidate_main\n#line 1\n${candidate}\n`,
    );
    const source = [
      head,
      expanded.slice(expanded.indexOf(mark)),
      '#line 1 "tests.cpp"\n#define main tests_main',
      returning(tests),
      "#undef main\nint main() {\n  int status = tests_main();\n  if (status != 0) return status;",
      '  char nonce[65] = {0};\n  if (std::scanf("%64s", nonce) != 1) return 1;\n  std::printf("\\n%s\\n", nonce);\n}',
    ];
    return { source: source.join("\n") };
  },

  // The tests' main gets a name that the candidate cannot know, wherever its braces put it; what calls it is in a package of its
  // own, where no class of the candidate's hides java.lang.
  java: ({ candidate, tests }) => {
    refuseJava(withoutComments(candidate), tests);
    const main = `posttrain_${randomBytes(8).toString("hex")}`;
    const imports = new Set<string>();
    const body = `${candidate}\n${tests.replace(/\bvoid\s+main\s*\(/, `void ${main}(`)}`
      .replace(/^\s*import\s+[\w.*\s]+;/gm, (line) => {
        imports.add(line.trim());
        return "";
      })
      .replace(/^\s*package\s+[\w.]+;/gm, "")
      .replace(/^(\s*)public\s+(?=(?:final\s+|abstract\s+)*(?:class|interface|enum|record)\s)/gm, "$1");
    return {
      source: [...imports, body].join("\n"),
      more: { "/sandbox/posttrain/Seal.java": javaSeal(main) },
    };
  },

  go: ({ candidate, tests }) => {
    refuseGo(withoutComments(candidate), tests);
    const asMain = (text: string): string => text.replace(/^\s*package\s+\w+/m, "package main");
    const renamed = tests.replace(/^func\s+main\s*\(\s*\)/m, "func posttrainTests()");
    const apart = /^\s*package\s/m.test(tests);
    const names = [...tests.matchAll(/^func\s+(Test\w*)\s*\(/gm)].map((match) => match[1]!);
    return {
      source: asMain(apart ? candidate : `${candidate}\n${renamed}`),
      more: {
        ...(apart ? { "/sandbox/tests.go": asMain(renamed) } : {}),
        "/sandbox/seal.go": goSeal(names),
      },
    };
  },

  // The tests come first, in a module: macro_rules reach what stands below them, and an import hides macros that are exported.
  rust: ({ candidate, tests }) => {
    const imported = (tests.match(/\buse\s[^;]*;/g) ?? []).join(" ");
    const macros = rustMacros.filter((name) => !new RegExp(`\\b${name}\\b`).test(imported));
    return {
      source: [
        "mod posttrain_tests {\nuse super::*;",
        `use ::std::{${macros.join(", ")}};`,
        tests.replace(/^(?:pub\s+)?fn\s+main\s*\(/m, "pub fn posttrain_tests("),
        "}\nfn main() {\n    let _ = posttrain_tests::posttrain_tests();\n    let mut nonce = ::std::string::String::new();",
        '    ::std::io::stdin().read_line(&mut nonce).unwrap();\n    ::std::println!("\\n{}", nonce.trim());\n}',
        candidate
          .replace(/^\s*#!\[[^\]]*\]/gm, "")
          .replace(/^(?:pub\s+)?fn\s+main\s*\(/m, "fn candidate_main("),
      ].join("\n"),
    };
  },

  // Two shells: tests.sh asks call.sh, which has the candidate, and nothing that it defines reaches the tests.
  bash: ({ candidate, tests, entryPoint }) => {
    const words = new Set(tests.match(/[A-Za-z_][\w.:-]*/g));
    const defined = [
      ...candidate.matchAll(/(?:^|[\s;&|({])([A-Za-z_][\w.:-]*)\s*\(\s*\)/g),
      ...candidate.matchAll(/\bfunction\s+([A-Za-z_][\w.:-]*)/g),
    ].map((match) => match[1]!);
    const functions = [...new Set(defined)].filter((name) => words.has(name));
    const entry = entryPoint ?? /^\s*candidate\s*\(\)\s*\{\s*([\w.:-]+)\s+"\$@"/m.exec(tests)?.[1] ?? "";
    const assigned = (text: string, name: string): boolean =>
      new RegExp(
        `(?:^|[\\s;&|({])${name}(?:\\[[^\\]]*\\])?\\+?=|\\b(?:local|read|for|mapfile)\\b[^\\n]*\\b${name}\\b`,
        "m",
      ).test(text);
    const read = [...tests.matchAll(/\$\{?[#!]?([A-Za-z_]\w*)/g)].map((match) => match[1]!);
    const names = [...new Set(read)].filter(
      (name) => !shellsOwn.test(name) && assigned(candidate, name) && !assigned(tests, name),
    );
    const given = [
      `posttrain_functions=${quoted(functions)}`,
      `posttrain_entry=${quoted(/^[\w.:-]*$/.test(entry) ? [entry] : [])}`,
      `posttrain_names=${quoted(names)}`,
    ];
    return {
      source: [
        ...given,
        sourceText("child/tests.sh"),
        tests,
        "IFS= read -r -u 9 posttrain_nonce",
        "printf '\\n%s\\n' \"$posttrain_nonce\"\n",
      ].join("\n"),
      more: { "/sandbox/candidate.sh": candidate, "/sandbox/call.sh": sourceText("child/call.sh") },
    };
  },
};

const quoted = (words: readonly string[]): string => `'${words.join(" ")}'`;
const shellsOwn =
  /^(?:PATH|IFS|HOME|PWD|OLDPWD|SHELL|ENV|PS\d|OPT\w+|REPLY|RANDOM|SECONDS|UID|EUID|PPID|BASH\w*|SHELLOPTS|LC_\w+|LANG|posttrain_\w+)$/;

const rustMacros =
  "assert assert_eq assert_ne debug_assert debug_assert_eq debug_assert_ne eprint eprintln format matches panic print println todo unimplemented unreachable vec write writeln".split(
    " ",
  );

/** MultiPL-E's tests begin with the brace that ends the function, which its completions leave out and whole programs have. */
export function closeBrace(candidate: string, tests: string): { candidate: string; tests: string } {
  const brace = /^\s*\}/.exec(tests);
  if (brace === null) return { candidate, tests };
  const count = (character: string): number => candidate.split(character).length;
  return {
    candidate: count("{") > count("}") ? `${candidate}\n}` : candidate,
    tests: tests.slice(brace[0].length),
  };
}

/** Comments, strings and characters as spaces of the same length, strings with their quotes; for C's family. */
function withoutComments(source: string): string {
  return source.replace(
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"""[\s\S]*?"""|`[^`]*`|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/g,
    (text) => (/^["`]/.test(text) ? `"${" ".repeat(text.length - 2)}"` : " ".repeat(text.length)),
  );
}

/** A main that ends without a return: only `main` itself may. */
function returning(tests: string): string {
  const code = withoutComments(tests);
  const main = /\bint\s+main\s*\([^)]*\)\s*\{/.exec(code);
  if (main === null) return tests;
  let depth = 1;
  let at = main.index + main[0].length;
  for (; at < code.length && depth > 0; at++) depth += code[at] === "{" ? 1 : code[at] === "}" ? -1 : 0;
  return depth > 0 ? tests : `${tests.slice(0, at - 1)}return 0;\n${tests.slice(at - 1)}`;
}

function refuseJava(candidate: string, tests: string): void {
  const plain = candidate.replace(/\\u+([0-9a-fA-F]{4})/g, (_, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
  for (const [, name] of plain.matchAll(/\b(?:class|interface|enum|record)\s+(\w+)/g)) {
    if (javaNames.has(name!) && new RegExp(`\\b${name}\\b`).test(tests))
      throw new Redefined(`it declares a type ${name}, which is Java's own and used by the tests`);
  }
}

const javaNames = new Set(
  (
    "AssertionError Boolean Byte Character Class Comparable Double Enum Error Exception Float Integer Iterable Long Math " +
    "Number Object Objects Record Runtime RuntimeException Short String StringBuilder System Thread Throwable " +
    "Arrays ArrayList Collection Collections Deque HashMap HashSet Iterator List Map Optional Set Stream IntStream Collectors"
  ).split(" "),
);

function javaSeal(main: string): string {
  return [
    "package posttrain;",
    "public class Seal {",
    "  public static void main(String[] arguments) throws Throwable {",
    "    java.lang.reflect.Method tests = null;",
    '    try (var jar = new java.util.jar.JarFile(System.getProperty("java.class.path"))) {',
    "      for (var entry : java.util.Collections.list(jar.entries())) {",
    '        if (!entry.getName().endsWith(".class")) continue;',
    "        String name = entry.getName().replace('/', '.').substring(0, entry.getName().length() - 6);",
    "        for (var method : Class.forName(name, false, Seal.class.getClassLoader()).getDeclaredMethods())",
    `          if (method.getName().equals("${main}")) tests = method;`,
    "      }\n    }",
    "    tests.setAccessible(true);",
    "    try {",
    "      if (tests.getParameterCount() == 0) tests.invoke(null); else tests.invoke(null, (Object) arguments);",
    "    } catch (java.lang.reflect.InvocationTargetException error) {\n      throw error.getCause();\n    }",
    "    String nonce = new java.io.BufferedReader(new java.io.InputStreamReader(System.in)).readLine();",
    '    System.out.println("\\n" + nonce);\n    System.out.flush();\n  }\n}',
  ].join("\n");
}

// Without min, max and clear, which programs have defined for themselves since before Go did.
const goNames = new Set(
  (
    "any append bool byte cap close comparable complex complex128 complex64 copy delete error false float32 float64 imag int int16 " +
    "int32 int64 int8 iota len make new nil panic print println real recover rune string true uint uint16 uint32 uint64 uint8 uintptr"
  ).split(" "),
);

/** What a package declares hides what Go declares; in what stands at the top, outside of all braces. */
function refuseGo(candidate: string, tests: string): void {
  let top = candidate;
  for (let before = ""; before !== top; ) {
    before = top;
    top = top.replace(/\{[^{}]*\}/g, " ");
  }
  const declarations = [
    ...top.matchAll(/\bfunc\s+(\w+)/g),
    ...top.matchAll(/\bimport\s+(\w+)\s+"/g),
    ...top.matchAll(/\b(?:var|const|type)\s+(\w[\w\s,]*)/g),
  ].map((match) => match[1]!);
  const groups = [...top.matchAll(/\b(?:var|const|type|import)\s*\(([^)]*)/g)].flatMap((match) =>
    match[1]!.split(/[\n;]/).map((line) => line.split(/[="]/)[0]!),
  );
  for (const text of [...declarations, ...groups]) {
    const declared = text.split(",").map((part) => /^\s*(\w+)/.exec(part)?.[1] ?? "");
    const own = declared.find((name) => goNames.has(name) && new RegExp(`\\b${name}\\b`).test(tests));
    if (own !== undefined) throw new Redefined(`it declares ${own}, which is Go's own and used by the tests`);
  }
}

function goSeal(names: readonly string[]): string {
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
  return `${seal}\n${print}`;
}
