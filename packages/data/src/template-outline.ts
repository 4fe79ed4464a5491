/**
 * What a template makes of a conversation, without running it for every one. Most templates put what turns say between texts of their own
 * and decide by roles and by what is there: of two conversations with the same roles and keys they make texts that differ in the contents
 * alone. That is found out, not guessed: the template runs once with marks in place of contents, in an interpreter that refuses every use of
 * a mark but writing it, joining it to other text, handing it on and asking whether it is there. Where it refuses, each conversation is
 * rendered in full.
 */
import { randomUUID } from "node:crypto";
import {
  BoundedInterpreter,
  longestText,
  type ParsedTemplate,
  runTemplate,
  type Statement,
  type Variables,
} from "./bounded-template.js";
import type { ChatMessage } from "./messages.js";
import type { RuntimeValue, TemplateEnvironment } from "./template-numbers.js";

/** Stands for a text of a turn. No template can know it. */
const MARK = randomUUID();
const MARKS = new RegExp(`${MARK}(\\d+)[tu];`);
/** Of a text without white space around it, which trimming leaves as it is. */
const TRIMMED = new RegExp(`^${MARK}\\d+t;$`);

const MAX_SHAPES = 1024;
const MAX_TURNS = 128;
const ROLES: ReadonlySet<unknown> = new Set(["system", "user", "assistant", "tool"]);
/** Keys that hold text. A turn with others has no shape. */
const KEYS: ReadonlySet<string> = new Set([
  "content",
  "name",
  "tool_call_id",
  "reasoning_content",
  "thinking",
]);

/** Texts of the template, and between them the places of the conversation's. */
interface Outline {
  readonly texts: readonly string[];
  readonly places: readonly number[];
}

/**
 * A conversation rendered by its outline; undefined where that takes the template itself. `variables` are all that it is given but the
 * messages, and `settings` says them.
 */
export type FromOutline = (
  messages: readonly ChatMessage[],
  settings: string,
  variables: () => Variables,
) => string | undefined;

export function outlinesOf(template: ParsedTemplate): FromOutline {
  const outlines = new Map<string, Outline | "seen once" | "none">();
  let passing: Passing | undefined;
  return (messages, settings, variables) => {
    const contents: string[] = [];
    const shape = shapeOf(messages, contents);
    if (shape === undefined) return undefined;
    const key = `${settings} ${shape}`;
    let outline = outlines.get(key);
    if (outline === undefined) {
      // What does not come again is not worth an outline.
      if (outlines.size >= MAX_SHAPES) outlines.clear();
      outlines.set(key, "seen once");
      return undefined;
    }
    if (outline === "seen once") {
      passing ??= passingOf(template.program);
      outline = outlineOf(template, passing, messages, variables()) ?? "none";
      outlines.set(key, outline);
    }
    return outline === "none" ? undefined : filled(outline, contents);
  };
}

/** All that a template can tell of these turns but what their texts say; fills `contents` with the texts. */
function shapeOf(messages: readonly ChatMessage[], contents: string[]): string | undefined {
  if (messages.length > MAX_TURNS) return undefined;
  let shape = "";
  for (const message of messages) {
    if (!ROLES.has(message.role)) return undefined;
    for (const key in message) {
      const value = message[key];
      if (key === "role") shape += `role=${message.role} `;
      else if (!KEYS.has(key)) return undefined;
      else if (value === null || value === "") shape += value === null ? `${key}=null ` : `${key}= `;
      else if (typeof value === "string") {
        contents.push(value);
        shape += isTrimmed(value) ? `${key}:t ` : `${key}:u `;
      } else return undefined;
    }
    shape += ";";
  }
  return shape;
}

const isTrimmed = (text: string): boolean => text.trim().length === text.length;

function outlineOf(
  template: ParsedTemplate,
  passing: Passing,
  messages: readonly ChatMessage[],
  variables: Variables,
): Outline | undefined {
  let count = 0;
  const marked = messages.map((message) =>
    Object.fromEntries(
      Object.entries(message).map(([key, value]) => {
        if (key === "role" || typeof value !== "string" || value === "") return [key, value];
        return [key, `${MARK}${count++}${isTrimmed(value) ? "t" : "u"};`];
      }),
    ),
  );
  let text: string;
  try {
    text = runTemplate(template, { ...variables, messages: marked }, (environment, uses, input) => {
      return new MarkedInterpreter(environment, uses, input, passing);
    });
  } catch {
    // Also what the template itself refuses: rendered in full, it says so of the conversation.
    return undefined;
  }
  const parts = text.split(MARKS);
  return {
    texts: parts.filter((_, i) => i % 2 === 0),
    places: parts.filter((_, i) => i % 2 === 1).map(Number),
  };
}

function filled({ texts, places }: Outline, contents: readonly string[]): string | undefined {
  let text = texts[0]!;
  for (const [i, place] of places.entries()) text += contents[place]! + texts[i + 1]!;
  // Such a long one ends in the template's error.
  return text.length > longestText(contents) ? undefined : text;
}

/** Expressions whose value may hold marks, by what it may be. */
interface Passing {
  /** Anything: it is handed on, or asked whether it is there. */
  readonly all: Set<unknown>;
  /** Text, which is written or joined to other text. */
  readonly text: Set<unknown>;
  /** A list or an object that is looked into. */
  readonly containers: Set<unknown>;
  /** An object that is asked for a key. */
  readonly objects: Set<unknown>;
}

/** Tests of what kind a value is. */
const TESTS_OF_KIND: ReadonlySet<unknown> = new Set([
  "boolean",
  "callable",
  "defined",
  "integer",
  "iterable",
  "mapping",
  "none",
  "number",
  "sequence",
  "string",
  "undefined",
]);

function passingOf(program: Statement): Passing {
  const passing: Passing = { all: new Set(), text: new Set(), containers: new Set(), objects: new Set() };
  const { all, text, containers, objects } = passing;
  const visit = (node: unknown): void => {
    if (typeof node !== "object" || node === null) return;
    for (const child of node instanceof Map ? [...node].flat() : Object.values(node)) visit(child);
    if (Array.isArray(node) || !("type" in node)) return;
    const statement = node as Statement & Readonly<Record<string, unknown>>;
    for (const key of ["body", "alternate", "defaultBlock"]) {
      const block = statement[key];
      if (Array.isArray(block)) for (const written of block) text.add(written);
    }
    switch (statement.type) {
      case "If":
        all.add(statement["test"]);
        break;
      case "Ternary":
        for (const key of ["condition", "trueExpr", "falseExpr"]) all.add(statement[key]);
        break;
      case "SelectExpression":
        for (const key of ["test", "lhs"]) all.add(statement[key]);
        break;
      case "UnaryExpression":
        if (statement.operator?.value === "not") all.add(statement["argument"]);
        break;
      case "Set":
        all.add(statement.value);
        break;
      case "For":
        containers.add(statement.iterable);
        if (statement.iterable?.type === "SelectExpression") containers.add(statement.iterable.lhs);
        break;
      case "ArrayLiteral":
      case "TupleLiteral":
        for (const item of statement.value as Iterable<unknown>) all.add(item);
        break;
      case "ObjectLiteral":
        for (const item of (statement.value as Map<unknown, unknown>).values()) all.add(item);
        break;
      case "MemberExpression":
        containers.add(statement.object);
        break;
      case "FilterExpression":
        // Judged by the filter.
        all.add(statement.operand);
        break;
      case "TestExpression":
        if (TESTS_OF_KIND.has((statement["test"] as Statement).value)) all.add(statement.operand);
        break;
      case "BinaryExpression": {
        const operator = statement.operator?.value ?? "";
        const sides = [statement.left, statement.right];
        if (operator === "and" || operator === "or") for (const side of sides) all.add(side);
        if (operator === "+" || operator === "~") for (const side of sides) text.add(side);
        if (operator === "in" || operator === "not in") objects.add(statement.right);
      }
    }
  };
  visit(program);
  text.add(program);
  return passing;
}

/** Filters that give a text back as it is. */
const SAME_TEXT = new Set(["default", "safe", "string"]);
/** Filters that say nothing of what a list or an object holds. */
const OF_CONTAINERS = new Set([
  "default",
  "first",
  "items",
  "keys",
  "last",
  "length",
  "list",
  "reverse",
  "safe",
]);

class Refused extends Error {}

class MarkedInterpreter extends BoundedInterpreter {
  constructor(
    environment: TemplateEnvironment,
    uses: ConstructorParameters<typeof BoundedInterpreter>[1],
    input: ConstructorParameters<typeof BoundedInterpreter>[2],
    private readonly passing: Passing,
  ) {
    super(environment, uses, input);
  }

  override evaluate(statement: Statement | undefined, environment: TemplateEnvironment): RuntimeValue {
    const result = super.evaluate(statement, environment);
    if (!this.mayPass(statement, result) && holdsMark(result)) throw new Refused();
    // An object's own method that sorts by what it holds.
    if (result.type === "FunctionValue" && statement?.type === "MemberExpression") {
      const { type, value } = statement.property ?? {};
      if (value === "dictsort" || (type !== "Identifier" && type !== "StringLiteral")) throw new Refused();
    }
    return result;
  }

  private mayPass(statement: Statement | undefined, { value }: RuntimeValue): boolean {
    const { all, text, containers, objects } = this.passing;
    if (all.has(statement)) return true;
    if (typeof value === "string") return text.has(statement);
    return containers.has(statement) || (objects.has(statement) && value instanceof Map);
  }

  override applyFilter(
    operand: RuntimeValue,
    filter: Statement,
    environment: TemplateEnvironment,
  ): RuntimeValue {
    if (holdsMark(operand)) {
      const name = String((filter.callee ?? filter).value);
      const { value } = operand;
      const passes =
        typeof value === "string"
          ? SAME_TEXT.has(name) || (name === "trim" && TRIMMED.test(value))
          : OF_CONTAINERS.has(name);
      if (!passes) throw new Refused();
    }
    return super.applyFilter(operand, filter, environment);
  }
}

function holdsMark({ value }: RuntimeValue, seen = new Set<unknown>()): boolean {
  if (typeof value === "string") return value.includes(MARK);
  if (typeof value !== "object" || value === null || seen.has(value)) return false;
  seen.add(value);
  const items = value instanceof Map ? value.values() : Array.isArray(value) ? value : [];
  for (const item of items as Iterable<RuntimeValue>) if (holdsMark(item, seen)) return true;
  return false;
}
