/**
 * A model folder's chat template, rendered as transformers does (trim_blocks, lstrip_blocks, tojson without
 * ASCII escapes), by `@huggingface/jinja`. A template is code that came with a download: it is stopped after
 * a fixed number of steps, so that a loop is an error at the same place on every machine, and it never sees
 * the clock: `strftime_now` reads the date that the caller passes, or a run would not be repeatable.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import * as jinja from "@huggingface/jinja";
import type { ChatMessage } from "./messages.js";
import { canonicalJson } from "./record-id.js";
import { strftime } from "./strftime.js";
import { readIfThere, readTokenizerConfig } from "./tokenizer-config.js";
import { UserError } from "./user-error.js";

export interface RenderOptions {
  /** End with the opening of an assistant turn, for the model to go on. */
  readonly addGenerationPrompt: boolean;
  /** JSON schemas of functions, as the `tools` column has them. */
  readonly tools?: readonly unknown[] | undefined;
  /** What `strftime_now` reads: an ISO date, with a time or without (`2025-07-10`, `2025-07-10T14:30`). */
  readonly now?: string | undefined;
  /** Further variables of the template, such as `enable_thinking` (a row's `chat_template_kwargs`). */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

export interface ChatTemplate {
  /** Where the template came from, for messages. */
  readonly path: string;
  /** SHA-256 of the template's text and of the special tokens that it can write, in hex. */
  readonly digest: string;
  /** Whether the template's text names this variable or key: one that it does not name, it never writes. */
  reads(name: string): boolean;
  /**
   * Throws UserError `bad_template` with the template's own message when it raises, fails or does not end.
   */
  render(messages: readonly ChatMessage[], options: RenderOptions): string;
}

/** A template's text, or several by name (`default`, `tool_use`: taken when there are tools). */
export type TemplateSource = string | Readonly<Record<string, string>>;

const MAX_STEPS = 300_000;
const MAX_LENGTH = 1 << 24;

/**
 * Reads `chat_template.jinja`, else `chat_template` of `tokenizer_config.json`; the special tokens of the
 * latter (`bos_token`, `eos_token`, ...) become variables. Throws UserError `missing_template` or
 * `bad_template`.
 */
export async function loadChatTemplate(modelDir: string): Promise<ChatTemplate> {
  const jinjaPath = join(modelDir, "chat_template.jinja");
  const { path: configPath, specialTokens, chatTemplate } = await readTokenizerConfig(modelDir);
  const jinja = await readIfThere(jinjaPath);
  if (jinja !== undefined) return compileChatTemplate(jinjaPath, jinja, specialTokens);
  const source = templateSource(configPath, chatTemplate);
  if (source !== undefined) return compileChatTemplate(configPath, source, specialTokens);
  throw new UserError(
    "missing_template",
    `${modelDir} has no chat template: neither chat_template.jinja nor a chat_template in tokenizer_config.json. ` +
      "Base models often come without one: copy chat_template.jinja from the instruct model of the same family into the folder " +
      "(for Qwen2.5, from Qwen2.5-7B-Instruct), or give rows that are already tokenised (input_ids, labels).",
  );
}

/**
 * A template from its text. `specialTokens` are variables such as `eos_token`. Throws UserError
 * `bad_template` on bad syntax.
 */
export function compileChatTemplate(
  path: string,
  source: TemplateSource,
  specialTokens: Readonly<Record<string, string>>,
): ChatTemplate {
  const compile = (text: string): Program => {
    try {
      return parse(tokenize(text, { lstrip_blocks: true, trim_blocks: true }));
    } catch (error) {
      throw badTemplate(path, "has a syntax error", error);
    }
  };
  const sources = typeof source === "string" ? { default: source } : source;
  const programs = new Map(Object.entries(sources).map(([name, text]) => [name, compile(text)]));
  return {
    path,
    digest: createHash("sha256").update(canonicalJson({ sources, specialTokens })).digest("hex"),
    reads: (name) => Object.values(sources).some((text) => new RegExp(`\\b${name}\\b`).test(text)),
    render: (messages, { addGenerationPrompt, tools, now, variables }) => {
      const program = (tools && programs.get("tool_use")) ?? programs.get("default");
      if (!program) {
        throw new UserError(
          "bad_template",
          `${path} has no template named "default", only: ${[...programs.keys()].join(", ")}.`,
        );
      }
      // transformers passes None for what is absent: `tools is defined` holds, `if tools` does not.
      const names = { ...specialTokens, messages, tools: tools ?? null, documents: null, ...variables };
      try {
        return run(program, { ...globals(path, now), ...names, add_generation_prompt: addGenerationPrompt });
      } catch (error) {
        throw error instanceof UserError ? error : badTemplate(path, "failed on a conversation", error);
      }
    },
  };
}

interface RuntimeValue {
  readonly value: unknown;
}
interface Environment {
  set(name: string, value: unknown): void;
}
/** A node of the parsed template; the fields of the one kind that is looked into. */
interface Statement {
  readonly type: string;
  readonly iterable?: Statement;
  readonly lhs?: Statement;
}
interface Interpreter {
  evaluate(statement: Statement | undefined, environment: Environment): RuntimeValue;
  run(program: Program): RuntimeValue;
}
type Program = jinja.Template["parsed"];

// The package's declarations import each other without extensions, which NodeNext does not resolve: typed here instead.
const { Environment, Interpreter, parse, tokenize } = jinja as unknown as {
  readonly Environment: new () => Environment;
  readonly Interpreter: new (environment: Environment) => Interpreter;
  readonly tokenize: (source: string, options: { lstrip_blocks: boolean; trim_blocks: boolean }) => unknown;
  readonly parse: (tokens: unknown) => Program;
};

/**
 * Counts evaluations and refuses values that grow without end. A list that a loop walks costs a step an item,
 * since walking is the loop's work; other values cost by their size, little. A long conversation takes
 * thousands of steps, the limit is two seconds away.
 */
class BoundedInterpreter extends Interpreter {
  private steps = 0;
  private readonly walked = new Set<Statement | undefined>();

  override evaluate(statement: Statement | undefined, environment: Environment): RuntimeValue {
    const list = statement?.type === "For" ? statement.iterable : undefined;
    if (list) this.walked.add(list.type === "SelectExpression" && list.lhs ? list.lhs : list);
    const result = super.evaluate(statement, environment);
    const { value } = result;
    const size = typeof value === "string" || Array.isArray(value) ? value.length : 0;
    if (size > MAX_LENGTH) throw new Error(`it made a value longer than ${MAX_LENGTH}`);
    this.steps += 1 + (this.walked.has(statement) ? size : Math.floor(size / 1024));
    if (this.steps > MAX_STEPS) throw new Error(`it did not end within ${MAX_STEPS} steps`);
    return result;
  }
}

function run(program: Program, variables: Readonly<Record<string, unknown>>): string {
  const environment = new Environment();
  for (const [name, value] of Object.entries(variables)) environment.set(name, value);
  return String(new BoundedInterpreter(environment).run(program).value);
}

function globals(path: string, now: string | undefined): Readonly<Record<string, unknown>> {
  return {
    true: true,
    True: true,
    false: false,
    False: false,
    none: null,
    None: null,
    range,
    raise_exception: (message: unknown) => {
      throw new UserError(
        "bad_template",
        `The chat template ${path} refuses the conversation: ${String(message)}`,
      );
    },
    strftime_now: (format: unknown) => {
      if (now !== undefined) return strftime(now, String(format));
      throw new UserError(
        "template_needs_date",
        `The chat template ${path} writes today's date into the text (strftime_now). A run that can be repeated needs a fixed one: ` +
          "give a date, for example now: 2025-07-10.",
      );
    },
  };
}

/** Python's range, for templates that count. */
function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= MAX_STEPS)) throw new Error(`range(${start}, ${stop}, ${step}) is too long`);
  return Array.from({ length }, (_, index) => start + index * step);
}

function badTemplate(path: string, what: string, cause: unknown): UserError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new UserError("bad_template", `The chat template ${path} ${what}: ${reason}.`, { cause });
}

function templateSource(path: string, value: unknown): TemplateSource | undefined {
  if (value === undefined || value === null || typeof value === "string") return value ?? undefined;
  const entries = Array.isArray(value) ? (value as readonly Readonly<Record<string, unknown>>[]) : [];
  if (
    entries.length > 0 &&
    entries.every((entry) => typeof entry?.name === "string" && typeof entry.template === "string")
  ) {
    return Object.fromEntries(entries.map((entry) => [entry.name, entry.template]));
  }
  throw new UserError(
    "bad_template",
    `${path}: chat_template is neither a string nor a list of {name, template}.`,
  );
}
