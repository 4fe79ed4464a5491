/**
 * Jinja with an end. A chat template is code that came with a download, and `@huggingface/jinja` runs what it
 * is given: here each evaluation costs steps, by the size of what it handles, and the steps are counted out
 * beforehand. So a template that loops, or that makes a small value huge, is an error at the same place on
 * every machine, in about a second, before memory is gone. The weights were measured: a step is at most ten
 * microseconds. Overrides methods that the package declares private: its version is pinned, and the tests of
 * hostile templates go red when they move.
 */
import * as jinja from "@huggingface/jinja";
import { createPythonNumbers, type RuntimeValue, type TemplateEnvironment } from "./template-numbers.js";

const STEPS = 100_000;
/** Characters of one value; a conversation that is longer itself may take four times its own. */
const MAX_LENGTH = 1 << 22;
const MAX_SOURCE = 1 << 19;
const MAX_SPACES = 1000;
/** Evaluations inside each other: about 80 macros. */
const MAX_DEPTH = 500;
const MAX_INDENT = 64;

const longestOf = (characters: number): number => Math.max(MAX_LENGTH, 4 * characters);

/** Characters that a text made of these may have. */
export function longestText(texts: readonly string[]): number {
  return longestOf(texts.reduce((sum, { length }) => sum + length, 0));
}

/** A node of the parsed template; the fields of the kinds that are looked into. */
export interface Statement {
  type: string;
  readonly value?: unknown;
  readonly operator?: { readonly value: string };
  readonly left?: Statement;
  readonly right?: Statement;
  readonly callee?: Statement;
  readonly object?: Statement;
  readonly property?: Statement;
  readonly args?: readonly Statement[];
  readonly iterable?: Statement;
  readonly lhs?: Statement;
  operand?: Statement;
  filter?: Statement;
}
interface Interpreter {
  evaluate(statement: Statement | undefined, environment: TemplateEnvironment): RuntimeValue;
  applyFilter(operand: RuntimeValue, filter: Statement, environment: TemplateEnvironment): RuntimeValue;
  evaluateArguments(
    args: readonly Statement[],
    environment: TemplateEnvironment,
  ): [RuntimeValue[], Map<string, RuntimeValue>];
  run(program: Statement): RuntimeValue;
}

// The package's declarations import each other without extensions, which NodeNext does not resolve: typed here instead.
const { Environment, Interpreter, parse, tokenize } = jinja as unknown as {
  readonly Environment: new () => TemplateEnvironment;
  readonly Interpreter: new (environment: TemplateEnvironment) => Interpreter;
  readonly tokenize: (source: string, options: { lstrip_blocks: boolean; trim_blocks: boolean }) => unknown;
  readonly parse: (tokens: unknown) => Statement;
};

const numbers = createPythonNumbers(() => new Environment());

/** What an expression's value is used for, where that costs more than passing it on. */
export interface Uses {
  /** The list that a loop walks. */
  readonly walked: Set<Statement>;
  /** A string that is taken apart, character by character. */
  readonly split: Set<Statement>;
  /** A value that may be written out or compared as text, with all that it holds. */
  readonly written: Set<Statement>;
  /** Nodes of a macro or call block, which the package walks wherever it is defined. */
  readonly sizes: Map<Statement, number>;
}

export interface ParsedTemplate {
  readonly program: Statement;
  readonly uses: Uses;
}

export type Variables = Readonly<Record<string, unknown>>;

/** Parses a template, with transformers' trim_blocks and lstrip_blocks. Throws Error on bad syntax. */
export function parseTemplate(source: string): ParsedTemplate {
  if (source.length > MAX_SOURCE) throw new Error(`it is longer than ${MAX_SOURCE} characters`);
  // The package looks for a tag after white space in a way that takes the square of its length.
  if (source.split(/\S+/).some((spaces) => spaces.length > MAX_SPACES)) {
    throw new Error(`it has more than ${MAX_SPACES} characters of white space together`);
  }
  const program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
  const uses: Uses = { walked: new Set(), split: new Set(), written: new Set(), sizes: new Map() };
  findUses(program, uses);
  return { program, uses };
}

/** Renders with these variables. Throws Error with the reason. */
export function runTemplate(
  { program, uses }: ParsedTemplate,
  variables: Variables,
  open = (environment: TemplateEnvironment, uses: Uses, input: Size): BoundedInterpreter =>
    new BoundedInterpreter(environment, uses, input),
): string {
  const environment = new Environment();
  for (const [name, value] of Object.entries(variables)) numbers.set(environment, name, value);
  return String(open(environment, uses, sizeOf(variables)).run(program).value);
}

/** Filters that go through a list or an object, or write it out. */
const THOROUGH = new Set([
  "tojson",
  "string",
  "join",
  "sort",
  "dictsort",
  "unique",
  "map",
  "selectattr",
  "rejectattr",
  "reverse",
]);
/** Filters and methods that take a string apart. */
const SPLITTING = new Set(["split", "title", "join", "indent", "replace"]);
/** Filters that use a text, a separator or the path of an attribute, at each item. */
const PAIRING = new Set(["join", "map", "sort"]);
const COMPARING = new Set(["==", "!=", "~", "+", "in", "not in"]);

/** Fills `uses`, makes a filter of each call of the method `replace`; returns the number of nodes. */
function findUses(node: unknown, uses: Uses): number {
  if (typeof node !== "object" || node === null) return 0;
  const inner = node instanceof Map ? [...node].flat() : Object.values(node);
  let nodes = Array.isArray(node) ? 0 : 1;
  for (const child of inner) nodes += findUses(child, uses);
  if (Array.isArray(node) || !("type" in node)) return nodes;
  const statement = node as Statement;
  for (const [key, block] of Object.entries(statement)) {
    if (!["body", "alternate", "defaultBlock"].includes(key) || !Array.isArray(block)) continue;
    for (const written of block as Statement[]) uses.written.add(written);
  }
  const { callee, args, filter, operand, left, right, iterable, object, property } = statement;
  switch (statement.type) {
    case "For":
      if (iterable)
        uses.walked.add(iterable.type === "SelectExpression" ? (iterable.lhs ?? iterable) : iterable);
      break;
    case "Macro":
    case "CallStatement":
      uses.sizes.set(statement, nodes);
      break;
    case "BinaryExpression":
      if (!COMPARING.has(statement.operator?.value ?? "")) break;
      for (const side of [left, right]) if (side) uses.written.add(side);
      break;
    case "MemberExpression":
      if (object && property?.type === "SliceExpression") uses.split.add(object);
      break;
    case "FilterExpression": {
      const name = String((filter?.callee ?? filter)?.value);
      if (operand && THOROUGH.has(name)) uses.written.add(operand);
      if (operand && SPLITTING.has(name)) uses.split.add(operand);
      break;
    }
    case "CallExpression": {
      if (callee?.type !== "MemberExpression" || !callee.object) break;
      const name = String(callee.property?.value);
      if (SPLITTING.has(name)) uses.split.add(callee.object);
      if (["startswith", "endswith"].includes(name)) for (const arg of args ?? []) uses.written.add(arg);
      if (name !== "replace" || callee.property?.type !== "Identifier") break;
      statement.type = "FilterExpression";
      statement.operand = callee.object;
      statement.filter = { type: "CallExpression", callee: callee.property, args: args ?? [] };
    }
  }
  return nodes;
}

/** What a value measures when it is written out: an item costs more than a character. */
export interface Size {
  items: number;
  characters: number;
}

export class BoundedInterpreter extends Interpreter {
  private readonly maxLength: number;
  private readonly maxSteps: number;
  private steps = 0;
  private depth = 0;
  /** The filter that is applied, while its arguments are evaluated. */
  private filtering: { readonly name: string; readonly operand: RuntimeValue } | undefined;

  constructor(
    environment: TemplateEnvironment,
    private readonly uses: Uses,
    input: Size,
  ) {
    super(environment);
    this.maxLength = longestOf(input.characters);
    this.maxSteps = STEPS + 64 * input.items + Math.floor(input.characters / 4);
  }

  override evaluate(statement: Statement | undefined, environment: TemplateEnvironment): RuntimeValue {
    if (!statement) return super.evaluate(statement, environment);
    this.charge(1 + Math.floor((this.uses.sizes.get(statement) ?? 0) / 256));
    // Both are exceptions inside the package, each with a stack trace.
    if (statement.type === "Continue" || statement.type === "Break") this.charge(2);
    const result = this.deeper(() => super.evaluate(statement, environment));
    const { type, value } = result;
    if (type === "UndefinedValue") this.charge(2 + Math.floor(this.depth / 16));
    else if (typeof value === "string") {
      if (value.length > this.maxLength) throw new Error(`it made a text longer than ${this.maxLength}`);
      this.charge(Math.floor(value.length / (this.uses.split.has(statement) ? 16 : 1024)));
    } else if (typeof value === "object" && value !== null) this.chargeContainer(statement, result);
    return result;
  }

  /** A loop's `continue` is an exception: the level it came from is left too. */
  private deeper<T>(body: () => T): T {
    const { depth, filtering } = this;
    this.depth++;
    this.filtering = undefined;
    try {
      if (depth > MAX_DEPTH) throw new Error(`it nests deeper than ${MAX_DEPTH} levels`);
      return body();
    } finally {
      this.depth = depth;
      this.filtering = filtering;
    }
  }

  override applyFilter(
    operand: RuntimeValue,
    filter: Statement,
    environment: TemplateEnvironment,
  ): RuntimeValue {
    const name = String((filter.callee ?? filter).value);
    const items = lengthOf(operand);
    if (name === "sort" || name === "dictsort") this.charge(Math.ceil((items * Math.log2(items + 1)) / 8));
    this.filtering = { name, operand };
    if (name !== "tojson") return super.applyFilter(operand, filter, environment);
    return numbers.written(operand, (marked) => super.applyFilter(marked, filter, environment));
  }

  /** What a filter will do with its arguments may be the product of their sizes. */
  override evaluateArguments(
    args: readonly Statement[],
    environment: TemplateEnvironment,
  ): [RuntimeValue[], Map<string, RuntimeValue>] {
    const { filtering } = this;
    this.filtering = undefined;
    const evaluated = super.evaluateArguments(args, environment);
    if (!filtering) return evaluated;
    const [positional, named] = evaluated;
    const { name, operand } = filtering;
    for (const { value } of [...positional, ...named.values()]) {
      if (name === "tojson" || name === "indent") {
        if (typeof value === "number" && value > MAX_INDENT) throw new Error(`it indents by ${value}`);
      } else if (PAIRING.has(name) && typeof value === "string") {
        const product = lengthOf(operand) * value.length;
        if (product > this.maxLength) throw new Error(`it made a text longer than ${this.maxLength}`);
        this.charge(Math.floor(product / 64));
      }
    }
    const [from, to] = positional.map(({ value }) => value);
    if (name === "replace" && typeof operand.value === "string" && typeof to === "string") {
      const length = operand.value.length + occurrences(operand.value, String(from)) * to.length;
      if (length > this.maxLength) throw new Error(`it made a text longer than ${this.maxLength}`);
    }
    return evaluated;
  }

  private chargeContainer(statement: Statement, result: RuntimeValue): void {
    const length = lengthOf(result);
    const { walked, written } = this.uses;
    const passed = statement.type === "Identifier" || statement.type === "MemberExpression";
    this.charge(walked.has(statement) ? length : Math.floor(length / (passed ? 64 : 8)));
    if (!written.has(statement)) return;
    const size: Size = { items: 0, characters: 0 };
    measure(result, size, this.maxLength, 0);
    this.charge(Math.floor(size.items / 8 + size.characters / 1024));
  }

  private charge(steps: number): void {
    this.steps += steps;
    if (this.steps > this.maxSteps) throw new Error(`it did not end within ${this.maxSteps} steps`);
  }
}

function lengthOf({ value }: RuntimeValue): number {
  if (typeof value === "string" || Array.isArray(value)) return value.length;
  return value instanceof Map ? value.size : 0;
}

/** Adds up what a value holds, what it holds twice twice. Throws where that is more than `limit`. */
function measure({ value }: RuntimeValue, size: Size, limit: number, depth: number): void {
  size.items++;
  if (typeof value === "string") size.characters += value.length;
  if (size.items + size.characters > limit) throw new Error(`it made a value longer than ${limit}`);
  if (depth > MAX_DEPTH) throw new Error(`it made a value that nests deeper than ${MAX_DEPTH} levels`);
  if (Array.isArray(value)) for (const item of value) measure(item, size, limit, depth + 1);
  if (!(value instanceof Map)) return;
  for (const [key, item] of value) {
    size.characters += String(key).length;
    measure(item, size, limit, depth + 1);
  }
}

/** What a template is given. */
function sizeOf(input: unknown): Size {
  const size: Size = { items: 0, characters: 0 };
  const add = (value: unknown): void => {
    size.items++;
    if (typeof value === "string") size.characters += value.length;
    else if (typeof value === "object" && value !== null) for (const item of Object.values(value)) add(item);
  };
  add(input);
  return size;
}

function occurrences(text: string, part: string): number {
  if (part === "") return text.length + 1;
  let count = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) count++;
  return count;
}
