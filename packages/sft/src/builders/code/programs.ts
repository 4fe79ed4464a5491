// The program of an exercise in several languages: each step is a few lines on `values`, the end an expression.
import { type Exercise, type Kind, type Step, stepText } from "./exercise.js";

export const programLanguages = ["python", "javascript", "typescript", "cpp", "java", "go", "rust"] as const;
export type ProgramLanguage = (typeof programLanguages)[number];

interface Writer {
  readonly name: string;
  readonly comment: string;
  /** Lines of an op; of one on single values also its expression. */
  readonly ops: Readonly<Record<string, (step: Step, kind: Kind) => string>>;
  /** Conditions and values of one `x`. */
  readonly holds: Readonly<Record<string, string>>;
  readonly to: Readonly<Record<string, string>>;
  readonly filter: (condition: string, kind: Kind) => string;
  readonly map: (value: string, kind: Kind) => string;
  readonly ends: Readonly<Record<string, string>>;
  /** Lines before an end's expression. */
  readonly before?: Readonly<Record<string, string>>;
  readonly program: (body: string, kind: Kind, end: string, result: string) => string;
  /** Languages whose functions the sandbox can call. */
  readonly definition?: (body: string, kind: Kind, name: string, end: string, result: string) => string;
}

const indented = (text: string, by: string): string => text.replaceAll(/^(?=.)/gm, by);
const numbers = {
  even: "x % 2 == 0",
  odd: "x % 2 != 0",
  above: "x > {k}",
  below: "x < {k}",
  multiple: "x % {k} == 0",
};
const arithmetic = { add: "x + {k}", times: "x * {k}", from: "{k} - x", square: "x * x" };

const python: Writer = {
  ...{ name: "Python", comment: "#" },
  holds: {
    ...numbers,
    ...{
      longer: "len(x) > {k}",
      shorter: "len(x) < {k}",
      starts: 'not x.startswith("{c}")',
      has: '"{c}" in x',
    },
  },
  to: { ...arithmetic, backwards: "x[::-1]", twice: "x + x", initial: "x[0]", mark: 'x + "!"' },
  filter: (condition) => `values = [x for x in values if ${condition}]`,
  map: (value) => `values = [${value} for x in values]`,
  ops: {
    sort: () => "values = sorted(values)",
    sortDown: () => "values = sorted(values, reverse=True)",
    reverse: () => "values = values[::-1]",
    distinct: () => "values = list(dict.fromkeys(values))",
    take: ({ k }) => `values = values[:${k}]`,
    skip: ({ k }) => `values = values[${k}:]`,
    second: () => "values = values[::2]",
    sums: () =>
      "total = 0\nsums = []\nfor x in values:\n    total += x\n    sums.append(total)\nvalues = sums",
    steps: () => "values = [b - a for a, b in zip(values, values[1:])]",
  },
  ends: {
    ...{
      list: "values",
      count: "len(values)",
      sum: "sum(values)",
      most: "max(values, default=0)",
      least: "min(values, default=0)",
    },
    ...{ letters: "sum(len(x) for x in values)", longest: 'max(values, key=len, default="none")' },
  },
  program: (body, kind, end, result) =>
    `values = ${kind === "number" ? "[int(x) for x in input().split()]" : "input().split()"}\n\n${body}\n\n${end === "list" ? 'print(*values) if values else print("none")' : `print(${result})`}`,
  definition: (body, _, name, __, result) =>
    `def ${name}(values):\n${indented(body, "    ")}\n    return ${result}`,
};

const strict = (table: Readonly<Record<string, string>>) =>
  Object.fromEntries(
    Object.entries(table).map(([name, text]) => [name, text.replace("==", "===").replace("!=", "!==")]),
  );
const type = { number: "number[]", word: "string[]" };

const scripted = (isTyped: boolean): Writer => {
  const of = (kind: Kind): string => (isTyped ? `: ${type[kind]}` : "");
  return {
    ...{ name: isTyped ? "TypeScript" : "JavaScript", comment: "//" },
    holds: {
      ...strict(numbers),
      ...{
        longer: "x.length > {k}",
        shorter: "x.length < {k}",
        starts: '!x.startsWith("{c}")',
        has: 'x.includes("{c}")',
      },
    },
    to: {
      ...arithmetic,
      backwards: '[...x].reverse().join("")',
      twice: "x + x",
      initial: "x.slice(0, 1)",
      mark: 'x + "!"',
    },
    filter: (condition) => `values = values.filter((x) => ${condition});`,
    map: (value) => `values = values.map((x) => ${value});`,
    ops: {
      sort: (_, kind) =>
        kind === "number" ? "values = [...values].sort((a, b) => a - b);" : "values = [...values].sort();",
      sortDown: (_, kind) =>
        kind === "number"
          ? "values = [...values].sort((a, b) => b - a);"
          : "values = [...values].sort().reverse();",
      reverse: () => "values = [...values].reverse();",
      distinct: () => "values = [...new Set(values)];",
      take: ({ k }) => `values = values.slice(0, ${k});`,
      skip: ({ k }) => `values = values.slice(${k});`,
      second: () => "values = values.filter((_, i) => i % 2 === 0);",
      sums: () => "let total = 0;\nvalues = values.map((x) => (total += x));",
      steps: () => "values = values.slice(1).map((x, i) => x - values[i]);",
    },
    ends: {
      ...{ list: "values", count: "values.length", sum: "values.reduce((sum, x) => sum + x, 0)" },
      ...{
        most: "values.length === 0 ? 0 : Math.max(...values)",
        least: "values.length === 0 ? 0 : Math.min(...values)",
      },
      letters: 'values.join("").length',
      longest:
        'values.length === 0 ? "none" : values.reduce((best, x) => (x.length > best.length ? x : best))',
    },
    program: (body, kind, end, result) =>
      `${isTyped ? 'import { readFileSync } from "node:fs";' : 'const { readFileSync } = require("node:fs");'}\n\nlet values${of(kind)} = readFileSync(0, "utf8").trim().split(/\\s+/)${kind === "number" ? ".map(Number)" : ""};\n\n${body}\n\nconsole.log(${end === "list" ? 'values.length === 0 ? "none" : values.join(" ")' : result});`,
    definition: (body, kind, name, end, result) => {
      const returned = end === "list" ? type[kind] : end === "longest" ? "string" : "number";
      return `function ${name}(values${of(kind)})${isTyped ? `: ${returned}` : ""} {\n${indented(body, "  ")}\n  return ${result};\n}`;
    },
  };
};

const cppType = (kind: Kind): string => (kind === "number" ? "long long" : "std::string");

const cpp: Writer = {
  ...{ name: "C++", comment: "//" },
  holds: {
    ...numbers,
    ...{
      longer: "x.size() > {k}",
      shorter: "x.size() < {k}",
      starts: "x[0] != '{c}'",
      has: "x.find('{c}') != std::string::npos",
    },
  },
  to: {
    ...arithmetic,
    backwards: "std::string(x.rbegin(), x.rend())",
    twice: "x + x",
    initial: "x.substr(0, 1)",
    mark: 'x + "!"',
  },
  filter: (condition, kind) =>
    `{\n    std::vector<${cppType(kind)}> kept;\n    for (const auto& x : values)\n        if (${condition}) kept.push_back(x);\n    values = kept;\n}`,
  map: (value) => `for (auto& x : values) x = ${value};`,
  ops: {
    sort: () => "std::sort(values.begin(), values.end());",
    sortDown: () => "std::sort(values.rbegin(), values.rend());",
    reverse: () => "std::reverse(values.begin(), values.end());",
    distinct: (_, kind) =>
      `{\n    std::set<${cppType(kind)}> seen;\n    std::vector<${cppType(kind)}> kept;\n    for (const auto& x : values)\n        if (seen.insert(x).second) kept.push_back(x);\n    values = kept;\n}`,
    take: ({ k }) => `if (values.size() > ${k}) values.resize(${k});`,
    skip: ({ k }) => `values.erase(values.begin(), values.begin() + std::min<size_t>(${k}, values.size()));`,
    second: (_, kind) =>
      `{\n    std::vector<${cppType(kind)}> kept;\n    for (size_t i = 0; i < values.size(); i += 2) kept.push_back(values[i]);\n    values = kept;\n}`,
    sums: () => "for (size_t i = 1; i < values.size(); i++) values[i] += values[i - 1];",
    steps: () =>
      "{\n    std::vector<long long> steps;\n    for (size_t i = 1; i < values.size(); i++) steps.push_back(values[i] - values[i - 1]);\n    values = steps;\n}",
  },
  ends: {
    ...{ list: "", count: "values.size()", sum: "std::accumulate(values.begin(), values.end(), 0LL)" },
    most: "(values.empty() ? 0 : *std::max_element(values.begin(), values.end()))",
    least: "(values.empty() ? 0 : *std::min_element(values.begin(), values.end()))",
    ...{ letters: "letters", longest: "longest" },
  },
  before: {
    letters: "size_t letters = 0;\nfor (const auto& x : values) letters += x.size();\n",
    longest:
      'std::string longest = values.empty() ? "none" : values[0];\nfor (const auto& x : values)\n    if (x.size() > longest.size()) longest = x;\n',
  },
  program: (body, kind, end, result) =>
    `#include <algorithm>\n#include <iostream>\n#include <numeric>\n#include <set>\n#include <string>\n#include <vector>\n\nint main() {\n    std::vector<${cppType(kind)}> values;\n    for (${cppType(kind)} x; std::cin >> x;) values.push_back(x);\n\n${indented(body, "    ")}\n\n${indented(
      end === "list"
        ? 'if (values.empty()) std::cout << "none";\nfor (size_t i = 0; i < values.size(); i++) std::cout << (i == 0 ? "" : " ") << values[i];\nstd::cout << "\\n";'
        : `std::cout << ${result} << "\\n";`,
      "    ",
    )}\n}`,
};

const java: Writer = {
  ...{ name: "Java", comment: "//" },
  holds: {
    ...numbers,
    ...{
      longer: "x.length() > {k}",
      shorter: "x.length() < {k}",
      starts: '!x.startsWith("{c}")',
      has: 'x.contains("{c}")',
    },
  },
  to: {
    ...arithmetic,
    backwards: "new StringBuilder(x).reverse().toString()",
    twice: "x + x",
    initial: "x.substring(0, 1)",
    mark: 'x + "!"',
  },
  filter: (condition) => `values = values.stream().filter(x -> ${condition}).collect(Collectors.toList());`,
  map: (value) => `values = values.stream().map(x -> ${value}).collect(Collectors.toList());`,
  ops: {
    sort: () => "Collections.sort(values);",
    sortDown: () => "values.sort(Comparator.reverseOrder());",
    reverse: () => "Collections.reverse(values);",
    distinct: () => "values = values.stream().distinct().collect(Collectors.toList());",
    take: ({ k }) => `values = values.stream().limit(${k}).collect(Collectors.toList());`,
    skip: ({ k }) => `values = values.stream().skip(${k}).collect(Collectors.toList());`,
    second: (_, kind) =>
      `{\n    List<${kind === "number" ? "Long" : "String"}> kept = new ArrayList<>();\n    for (int i = 0; i < values.size(); i += 2) kept.add(values.get(i));\n    values = kept;\n}`,
    sums: () => "for (int i = 1; i < values.size(); i++) values.set(i, values.get(i) + values.get(i - 1));",
    steps: () =>
      "{\n    List<Long> steps = new ArrayList<>();\n    for (int i = 1; i < values.size(); i++) steps.add(values.get(i) - values.get(i - 1));\n    values = steps;\n}",
  },
  ends: {
    ...{
      list: 'values.isEmpty() ? "none" : values.stream().map(String::valueOf).collect(Collectors.joining(" "))',
      count: "values.size()",
    },
    sum: "values.stream().mapToLong(x -> x).sum()",
    most: "values.stream().mapToLong(x -> x).max().orElse(0)",
    least: "values.stream().mapToLong(x -> x).min().orElse(0)",
    ...{ letters: 'String.join("", values).length()', longest: "longest" },
  },
  before: {
    longest:
      'String longest = values.isEmpty() ? "none" : values.get(0);\nfor (String x : values)\n    if (x.length() > longest.length()) longest = x;\n',
  },
  program: (body, kind, _, result) =>
    `import java.util.*;\nimport java.util.stream.*;\n\npublic class Main {\n    public static void main(String[] args) {\n        Scanner in = new Scanner(System.in);\n        List<${kind === "number" ? "Long" : "String"}> values = new ArrayList<>();\n        while (in.hasNext${kind === "number" ? "Long" : ""}()) values.add(in.next${kind === "number" ? "Long" : ""}());\n\n${indented(body, "        ")}\n\n        System.out.println(${result});\n    }\n}`,
};

const goType = (kind: Kind): string => (kind === "number" ? "[]int" : "[]string");

const go: Writer = {
  ...{ name: "Go", comment: "//" },
  holds: {
    ...numbers,
    ...{
      longer: "len(x) > {k}",
      shorter: "len(x) < {k}",
      starts: '!strings.HasPrefix(x, "{c}")',
      has: 'strings.Contains(x, "{c}")',
    },
  },
  to: { ...arithmetic, backwards: "backwards(x)", twice: "x + x", initial: "x[:1]", mark: 'x + "!"' },
  filter: (condition, kind) =>
    `{\n\tkept := ${goType(kind)}{}\n\tfor _, x := range values {\n\t\tif ${condition} {\n\t\t\tkept = append(kept, x)\n\t\t}\n\t}\n\tvalues = kept\n}`,
  map: (value) => `for i, x := range values {\n\tvalues[i] = ${value}\n}`,
  ops: {
    sort: (_, kind) => `sort.${kind === "number" ? "Ints" : "Strings"}(values)`,
    sortDown: () => "sort.Slice(values, func(i, j int) bool { return values[i] > values[j] })",
    reverse: () =>
      "for i, j := 0, len(values)-1; i < j; i, j = i+1, j-1 {\n\tvalues[i], values[j] = values[j], values[i]\n}",
    distinct: (_, kind) =>
      `{\n\tseen := map[${goType(kind).slice(2)}]bool{}\n\tkept := ${goType(kind)}{}\n\tfor _, x := range values {\n\t\tif !seen[x] {\n\t\t\tseen[x] = true\n\t\t\tkept = append(kept, x)\n\t\t}\n\t}\n\tvalues = kept\n}`,
    take: ({ k }) => `if len(values) > ${k} {\n\tvalues = values[:${k}]\n}`,
    skip: ({ k }) => `if len(values) > ${k} {\n\tvalues = values[${k}:]\n} else {\n\tvalues = values[:0]\n}`,
    second: (_, kind) =>
      `{\n\tkept := ${goType(kind)}{}\n\tfor i := 0; i < len(values); i += 2 {\n\t\tkept = append(kept, values[i])\n\t}\n\tvalues = kept\n}`,
    sums: () => "for i := 1; i < len(values); i++ {\n\tvalues[i] += values[i-1]\n}",
    steps: () =>
      "{\n\tsteps := []int{}\n\tfor i := 1; i < len(values); i++ {\n\t\tsteps = append(steps, values[i]-values[i-1])\n\t}\n\tvalues = steps\n}",
  },
  ends: {
    list: "",
    count: "len(values)",
    sum: "sum",
    most: "most",
    least: "least",
    letters: 'len(strings.Join(values, ""))',
    longest: "longest",
  },
  before: {
    sum: "sum := 0\nfor _, x := range values {\n\tsum += x\n}\n",
    most: "most := 0\nfor i, x := range values {\n\tif i == 0 || x > most {\n\t\tmost = x\n\t}\n}\n",
    least: "least := 0\nfor i, x := range values {\n\tif i == 0 || x < least {\n\t\tleast = x\n\t}\n}\n",
    longest:
      'longest := "none"\nfor i, x := range values {\n\tif i == 0 || len(x) > len(longest) {\n\t\tlongest = x\n\t}\n}\n',
  },
  program: (body, kind, end, result) => {
    const read = `in := bufio.NewScanner(os.Stdin)\nin.Split(bufio.ScanWords)\nvalues := ${goType(kind)}{}\nfor in.Scan() {\n${kind === "number" ? "\tx, _ := strconv.Atoi(in.Text())\n\tvalues = append(values, x)" : "\tvalues = append(values, in.Text())"}\n}`;
    const print =
      end === "list"
        ? 'if len(values) == 0 {\n\tfmt.Println("none")\n} else {\n\tfmt.Println(strings.Trim(fmt.Sprint(values), "[]"))\n}'
        : `fmt.Println(${result})`;
    const main = `func main() {\n${indented(`${read}\n\n${body}\n\n${print}`, "\t")}\n}`;
    const helper = body.includes("backwards(")
      ? 'func backwards(x string) string {\n\ty := ""\n\tfor _, letter := range x {\n\t\ty = string(letter) + y\n\t}\n\treturn y\n}\n\n'
      : "";
    const used = ["bufio", "fmt", "os", "sort", "strconv", "strings"].filter((name) =>
      main.includes(`${name}.`),
    );
    return `package main\n\nimport (\n${used.map((name) => `\t"${name}"`).join("\n")}\n)\n\n${helper}${main}`;
  },
};

const rust: Writer = {
  ...{ name: "Rust", comment: "//" },
  holds: {
    ...numbers,
    ...{
      longer: "x.len() > {k}",
      shorter: "x.len() < {k}",
      starts: "!x.starts_with('{c}')",
      has: "x.contains('{c}')",
    },
  },
  to: {
    ...arithmetic,
    backwards: "x.chars().rev().collect::<String>()",
    twice: "x.repeat(2)",
    initial: "x[..1].to_string()",
    mark: 'format!("{x}!")',
  },
  filter: (condition, kind) => `values.retain(|${kind === "number" ? "&x" : "x"}| ${condition});`,
  map: (value) => `values = values.iter().map(|x| ${value}).collect();`,
  ops: {
    sort: () => "values.sort();",
    sortDown: () => "values.sort_by(|a, b| b.cmp(a));",
    reverse: () => "values.reverse();",
    distinct: () => "let mut seen = HashSet::new();\nvalues.retain(|x| seen.insert(x.clone()));",
    take: ({ k }) => `values.truncate(${k});`,
    skip: ({ k }) => `values = values.into_iter().skip(${k}).collect();`,
    second: () => "values = values.into_iter().step_by(2).collect();",
    sums: () => "for i in 1..values.len() {\n    values[i] += values[i - 1];\n}",
    steps: () => "values = values.windows(2).map(|pair| pair[1] - pair[0]).collect();",
  },
  ends: {
    ...{ list: "", count: "values.len()", sum: "values.iter().sum::<i64>()" },
    most: "values.iter().max().copied().unwrap_or(0)",
    least: "values.iter().min().copied().unwrap_or(0)",
    ...{ letters: "values.iter().map(|x| x.len()).sum::<usize>()", longest: "longest" },
  },
  before: {
    longest:
      'let mut longest = values.first().cloned().unwrap_or("none".to_string());\nfor x in &values {\n    if x.len() > longest.len() {\n        longest = x.clone();\n    }\n}\n',
  },
  program: (body, kind, end, result) => {
    const parse = kind === "number" ? "x.parse::<i64>().unwrap()" : "x.to_string()";
    const print =
      end === "list"
        ? 'let shown: Vec<String> = values.iter().map(|x| x.to_string()).collect();\nprintln!("{}", if shown.is_empty() { "none".to_string() } else { shown.join(" ") });'
        : `println!("{}", ${result});`;
    const uses = body.includes("HashSet") ? "use std::collections::HashSet;\n" : "";
    return `${uses}use std::io;\n\nfn main() {\n    let mut line = String::new();\n    io::stdin().read_line(&mut line).unwrap();\n    let mut values: Vec<${kind === "number" ? "i64" : "String"}> = line.split_whitespace().map(|x| ${parse}).collect();\n\n${indented(`${body}\n\n${print}`, "    ")}\n}`;
  },
};

const writers: Readonly<Record<ProgramLanguage, Writer>> = {
  ...{ python, javascript: scripted(false), typescript: scripted(true) },
  ...{ cpp, java, go, rust },
};

export const languageName = (language: ProgramLanguage): string => writers[language].name;

/** Whether the sandbox can call a function in it. */
export const hasFunctions = (language: ProgramLanguage): language is "python" | "javascript" | "typescript" =>
  writers[language].definition !== undefined;

/** A program on standard input; with `name` a function of it. */
export function programOf({ kind, steps, end }: Exercise, language: ProgramLanguage, name?: string): string {
  const writer = writers[language];
  const body = steps
    .map((step) => {
      const text = stepText(kind, step);
      return `${writer.comment} ${text[0]!.toUpperCase()}${text.slice(1)}.\n${linesOf(writer, step, kind)}`;
    })
    .join("\n");
  const before = writer.before?.[end];
  const whole = before === undefined ? body : `${body}\n\n${before.trimEnd()}`;
  const result = writer.ends[end]!;
  return name === undefined
    ? writer.program(whole, kind, end, result)
    : writer.definition!(whole, kind, name, end, result);
}

function linesOf(writer: Writer, step: Step, kind: Kind): string {
  const filled = (text: string): string => text.replaceAll("{k}", String(step.k)).replaceAll("{c}", step.c);
  const { [step.op]: condition } = writer.holds;
  if (condition !== undefined) return writer.filter(filled(condition), kind);
  const { [step.op]: value } = writer.to;
  if (value !== undefined) return writer.map(filled(value), kind);
  return writer.ops[step.op]!(step, kind);
}
