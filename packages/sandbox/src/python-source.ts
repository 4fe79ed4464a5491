/**
 * Python text as top-level statements, without running Python: which lines of an answer are a program, and what of a
 * program a function needs. Parsed by @lezer/python, which always gives a tree and marks what is no Python.
 */
import { parser } from "@lezer/python";

type SyntaxNode = ReturnType<typeof parser.parse>["topNode"];

export interface TopLevel {
  readonly kind: "import" | "function" | "class" | "assignment" | "other";
  /** What it defines, for all kinds but `other`. */
  readonly names: readonly string[];
  /** Every name that occurs in it, attributes too. */
  readonly uses: ReadonlySet<string>;
  readonly returns: boolean;
  readonly text: string;
}

/** Beyond this an answer is no solution, and the search for its code would take long. */
const maxLines = 5_000;

export function topLevelStatements(source: string): readonly TopLevel[] {
  return children(parser.parse(source).topNode)
    .filter((node) => node.name !== "Comment")
    .map((node) => topLevelOf(node, source));
}

function topLevelOf(node: SyntaxNode, source: string): TopLevel {
  const uses = new Set<string>();
  let returns = false;
  walk(node, (inner) => {
    if (inner.name === "VariableName" || inner.name === "PropertyName")
      uses.add(source.slice(inner.from, inner.to));
    if (
      inner.name === "ReturnStatement" ||
      inner.name === "YieldStatement" ||
      inner.name === "YieldExpression"
    )
      returns = true;
  });
  const inner =
    node.name === "DecoratedStatement"
      ? (children(node).find(({ name }) => name.endsWith("Definition")) ?? node)
      : node;
  const text = source.slice(node.from, node.to).trimEnd();
  const named = (kind: TopLevel["kind"], names: readonly string[]): TopLevel => ({
    kind,
    names,
    uses,
    returns,
    text,
  });
  switch (inner.name) {
    case "ImportStatement":
      return named("import", importedNames(inner, source));
    case "FunctionDefinition":
    case "ClassDefinition": {
      const name = children(inner).find((child) => child.name === "VariableName");
      const kind = inner.name === "ClassDefinition" ? "class" : "function";
      return named(kind, name ? [source.slice(name.from, name.to)] : []);
    }
    case "AssignStatement": {
      const assigned: string[] = [];
      for (const child of children(inner)) {
        if (child.name === "AssignOp") break;
        walk(child, (target) => {
          if (target.name === "VariableName") assigned.push(source.slice(target.from, target.to));
        });
      }
      return named("assignment", assigned);
    }
    default:
      return named("other", []);
  }
}

/** The name each import binds: the last of `a as b`, the first of `a.b`. */
function importedNames(node: SyntaxNode, source: string): string[] {
  const text = source.slice(node.from, node.to).replace(/[()]/g, " ");
  const list = /\bimport\s+([\s\S]*)$/.exec(text)?.[1] ?? "";
  return list
    .split(",")
    .map((part) =>
      part
        .trim()
        .split(/\s+as\s+/)
        .at(-1)!
        .split(".")[0]!
        .trim(),
    )
    .filter(Boolean);
}

/** Whether it parses as Python 3. */
export function isPython(source: string): boolean {
  let valid = true;
  // The grammar knows no number that ends in its point.
  const known = source.replaceAll(/(?<![\w.])(\d+)\.(?![\w.])/g, "$1.0");
  // All of the tree: what lacks its end has the error behind its last character.
  parser.parse(known).iterate({
    enter: ({ type }) => {
      // `print x` is Python 2, and also how people write English.
      if (type.isError || type.name === "PrintStatement") valid = false;
      return valid;
    },
  });
  return valid;
}

/** The longest run of lines that is Python, by lines that are not blank. */
export function longestPython(text: string): string {
  const runs = pythonRuns(text);
  return runs.length === 0 ? "" : runs.reduce((best, run) => (run.size > best.size ? run : best)).code;
}

export interface PythonRun {
  readonly code: string;
  /** Lines that are not blank. */
  readonly size: number;
}

/**
 * The runs of lines that are Python. A text is Python if each of its top-level statements is, so one pass over the statements finds
 * them; a line that begins none ends a run.
 */
export function pythonRuns(text: string): readonly PythonRun[] {
  const lines = text.split("\n").slice(0, maxLines);
  const budget = { characters: parsedAtMost };
  const runs: PythonRun[] = [];
  let run = { size: 0, from: 0, to: 0 };
  const end = (): void => {
    if (run.size > 0) runs.push({ size: run.size, code: lines.slice(run.from, run.to).join("\n").trimEnd() });
    run = { size: 0, from: 0, to: 0 };
  };
  for (let i = 0; i < lines.length && budget.characters > 0; ) {
    if (lines[i]!.trim() === "") {
      i++;
      continue;
    }
    const to = statementEnd(lines, i, budget);
    if (to === undefined) {
      i++;
      end();
      continue;
    }
    const size = lines.slice(i, to).filter((line) => line.trim() !== "").length;
    run = { size: run.size + size, from: run.size === 0 ? i : run.from, to };
    i = to;
  }
  end();
  return runs;
}

/** An answer whose every line begins something that never ends would be parsed again from each: about a second's worth. */
const parsedAtMost = 4_000_000;

// Lines that go on with a statement that began at the margin.
const continues = /^(?:\s|[)\]}]|(?:elif|else|except|finally)\b)/;
const decoratorsAtMost = 20;

/** Where the statement that begins on this line ends; undefined if none begins here. */
function statementEnd(
  lines: readonly string[],
  start: number,
  budget: { characters: number },
): number | undefined {
  if (/^\s/.test(lines[start]!)) return undefined;
  const state: Nesting = { depth: 0, quote: "" };
  let end = start;
  let decorators = 0;
  do {
    const line = lines[end++]!;
    advance(state, line);
    budget.characters -= line.length + 1;
    // A decorator belongs to what follows it.
    if (/^@/.test(line) && state.depth === 0 && ++decorators <= decoratorsAtMost) continue;
    const next = lines[end];
    if (
      next !== undefined &&
      next.trim() !== "" &&
      !continues.test(next) &&
      state.depth <= 0 &&
      state.quote === ""
    )
      break;
  } while (end < lines.length && budget.characters > 0);
  while (end > start + 1 && lines[end - 1]!.trim() === "") end--;
  if (state.quote !== "" || state.depth > 0) return undefined;
  // Shorter: a block that indented prose, or the end of the answer, cut off. As much of it as stands.
  for (let shorter = end; shorter > start && end - shorter < 200 && budget.characters > 0; shorter--) {
    if (lines[shorter - 1]!.trim() === "") continue;
    const text = lines.slice(start, shorter).join("\n");
    budget.characters -= text.length;
    if (isPython(text)) return shorter;
  }
  return undefined;
}

/** The quotes of a long string that is still open at the end. */
export function endsInLongString(source: string): string | undefined {
  const state: Nesting = { depth: 0, quote: "" };
  for (const line of source.split("\n")) advance(state, line);
  return state.quote === "" ? undefined : state.quote;
}

/** Open brackets, and the long string that is open. */
interface Nesting {
  depth: number;
  quote: string;
}

/** Reads one line. A short string ends with its line, whatever it lacks. */
function advance(state: Nesting, line: string): void {
  let i = 0;
  while (i < line.length) {
    if (state.quote !== "") {
      if (line[i] === "\\") i += 2;
      else if (line.startsWith(state.quote, i)) {
        i += state.quote.length;
        state.quote = "";
      } else i++;
      continue;
    }
    const c = line[i]!;
    if (c === "#") return;
    if (c === '"' || c === "'") {
      if (line.startsWith(c.repeat(3), i)) {
        state.quote = c.repeat(3);
        i += 3;
        continue;
      }
      for (i++; i < line.length && line[i] !== c; i++) if (line[i] === "\\") i++;
    } else if ("([{".includes(c)) state.depth++;
    else if (")]}".includes(c)) state.depth--;
    i++;
  }
}

/**
 * Imports and definitions; with an entry point, only what it reaches. The first definition of a name counts, as in
 * EvalPlus's sanitizer, whose purpose this serves: an answer may go on with second tries and tests.
 * Without one, functions that return nothing are tests, not answers.
 */
export function keepReachable(source: string, entryPoint?: string): string {
  const statements = topLevelStatements(source);
  const defined = new Map<string, TopLevel>();
  const definitions: TopLevel[] = [];
  for (const statement of statements) {
    if (!["function", "class", "assignment"].includes(statement.kind)) continue;
    if (statement.names.length === 0 || statement.names.some((name) => defined.has(name))) continue;
    if (entryPoint === undefined && statement.kind === "function" && !statement.returns) continue;
    for (const name of statement.names) defined.set(name, statement);
    definitions.push(statement);
  }
  let kept = definitions;
  if (entryPoint !== undefined) {
    const reached = new Set<TopLevel>();
    const queue = [entryPoint];
    for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
      const statement = defined.get(name);
      if (statement === undefined || reached.has(statement)) continue;
      reached.add(statement);
      queue.push(...statement.uses);
    }
    kept = definitions.filter((statement) => reached.has(statement));
  }
  return [...statements.filter(({ kind }) => kind === "import"), ...kept].map(({ text }) => text).join("\n");
}

/** Names that a program uses and nowhere gives a value: what others must bring. */
export function freeNames(source: string): readonly string[] {
  const used = new Set<string>();
  const bound = new Set<string>();
  walk(parser.parse(source).topNode, (node) => {
    if (node.name === "ImportStatement") for (const name of importedNames(node, source)) bound.add(name);
    if (node.name !== "VariableName" || node.parent?.name === "ImportStatement") return;
    (binds(node) ? bound : used).add(source.slice(node.from, node.to));
  });
  return [...used].filter((name) => !bound.has(name));
}

const loops = /^(?:ForStatement|(?:|Array|Set|Dictionary)ComprehensionExpression|ArgList)$/;

/** Whether a name stands where it gets a value: a parameter, left of `=`, between `for` and `in`, after `as`. */
function binds(node: SyntaxNode): boolean {
  const { parent } = node;
  if (parent === null) return false;
  if (parent.name === "FunctionDefinition" || parent.name === "ClassDefinition")
    return parent.getChild("VariableName")?.from === node.from;
  if (parent.name === "ParamList") return node.prevSibling?.name !== "AssignOp";
  // The name of an argument is nobody's variable: as good as bound.
  if (parent.name === "ArgList" && node.nextSibling?.name === "AssignOp") return true;
  if (parent.name === "NamedExpression" || parent.name === "CapturePattern")
    return parent.firstChild?.from === node.from;
  if (node.prevSibling?.name === "as") return true;
  let target = node;
  while (/^(?:Tuple|Array|Parenthesized)Expression$/.test(target.parent?.name ?? "")) target = target.parent!;
  if (target.parent?.name === "AssignStatement") {
    for (let next = target.nextSibling; next !== null; next = next.nextSibling)
      if (next.name === "AssignOp") return true;
    return false;
  }
  if (!loops.test(target.parent?.name ?? "")) return false;
  // The nearest keyword before it: `for`, not `in` or `if`.
  for (let before = target.prevSibling; before !== null; before = before.prevSibling)
    if (/^(?:for|in|if)$/.test(before.name)) return before.name === "for";
  return false;
}

function children(node: SyntaxNode): SyntaxNode[] {
  const found: SyntaxNode[] = [];
  for (let child = node.firstChild; child !== null; child = child.nextSibling) found.push(child);
  return found;
}

function walk(node: SyntaxNode, visit: (node: SyntaxNode) => void): void {
  const cursor = node.cursor();
  const { to } = node;
  do {
    if (cursor.from > to || (cursor.from === to && cursor.from !== node.from)) break;
    visit(cursor.node);
  } while (cursor.next());
}
