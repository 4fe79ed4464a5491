/**
 * A model folder's chat template, rendered as transformers does (trim_blocks, lstrip_blocks, tojson without
 * ASCII escapes), within bounds. It never sees the clock: `strftime_now` reads the date that the caller
 * passes, or a run would not be repeatable.
 */
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { parseTemplate, runTemplate, type Variables } from "./bounded-template.js";
import type { ChatMessage } from "./messages.js";
import { canonicalJson } from "./record-id.js";
import { strftime } from "./strftime.js";
import { outlinesOf } from "./template-outline.js";
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
  /** A file with another template, which does not count beside this one. */
  readonly passedOver?: string;
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

const MAX_RANGE = 100_000;

/** Where transformers puts templates that have a name, each as NAME.jinja, beside chat_template.jinja. */
export const namedTemplates = "additional_chat_templates";

/**
 * Reads `chat_template.jinja` and the named ones beside it, else `chat_template` of `tokenizer_config.json`; the special tokens of the
 * latter (`bos_token`, `eos_token`, ...) become variables. Throws UserError `missing_template` or `bad_template`.
 */
export async function loadChatTemplate(modelDir: string): Promise<ChatTemplate> {
  const jinjaPath = join(modelDir, "chat_template.jinja");
  const { path: configPath, specialTokens, chatTemplate } = await readTokenizerConfig(modelDir);
  const jinja = await readIfThere(jinjaPath);
  if (jinja !== undefined) {
    const named = await readNamed(join(modelDir, namedTemplates));
    const own = named.length === 0 ? jinja : { default: jinja, ...Object.fromEntries(named) };
    return {
      ...compileChatTemplate(jinjaPath, own, specialTokens),
      ...(typeof chatTemplate === "string" && chatTemplate !== jinja && { passedOver: configPath }),
    };
  }
  const source = templateSource(configPath, chatTemplate);
  if (source !== undefined) return compileChatTemplate(configPath, source, specialTokens);
  throw new UserError(
    "missing_template",
    `${modelDir} has no chat template: neither chat_template.jinja nor a chat_template in tokenizer_config.json. ` +
      "Base models often come without one: copy chat_template.jinja from the instruct model of the same family into the folder " +
      "(for Qwen2.5, from Qwen2.5-7B-Instruct), or give rows that are already tokenised (input_ids, labels).",
  );
}

async function readNamed(dir: string): Promise<readonly (readonly [name: string, text: string])[]> {
  const files = (await readdir(dir).catch(() => [])).filter((name) => name.endsWith(".jinja")).sort();
  return Promise.all(
    files.map(
      async (name) => [basename(name, ".jinja"), (await readIfThere(join(dir, name))) ?? ""] as const,
    ),
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
  const compile = (text: string) => {
    try {
      const template = parseTemplate(text);
      return { template, fromOutline: outlinesOf(template) };
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
      const rest = (): Variables => ({
        ...globals(path, now),
        ...specialTokens,
        // transformers passes None for what is absent: `tools is defined` holds, `if tools` does not.
        ...{ tools: tools ?? null, documents: null },
        ...variables,
        add_generation_prompt: addGenerationPrompt,
      });
      try {
        const { template, fromOutline } = program;
        const plain = tools === undefined && Object.values(variables ?? {}).every(isPlain);
        const settings = plain ? JSON.stringify([addGenerationPrompt, now, variables]) : undefined;
        const known = settings === undefined ? undefined : fromOutline(messages, settings, rest);
        return known ?? runTemplate(template, { ...rest(), messages });
      } catch (error) {
        throw error instanceof UserError ? error : badTemplate(path, "failed on a conversation", error);
      }
    },
  };
}

/** What JSON text tells apart. */
const isPlain = (value: unknown): boolean =>
  typeof value === "string" || typeof value === "boolean" || value === null;

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
        `The chat template ${path} refuses the conversation: ${typeof message === "string" ? message : "it gives no reason"}`,
      );
    },
    strftime_now: (format: unknown) => {
      if (typeof format !== "string") throw new Error("strftime_now expects a format");
      if (now !== undefined) return strftime(now, format);
      throw new UserError(
        "template_needs_date",
        `The chat template ${path} writes today's date into the text (strftime_now). A run that can be repeated needs a fixed one: ` +
          "give a date, for example --template_date 2025-07-10.",
      );
    },
  };
}

/** Python's range, for templates that count. */
function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  // Of a list this would make text, at any length.
  if (![start, stop, step].every((bound) => typeof bound === "number"))
    throw new Error("range expects numbers");
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= MAX_RANGE)) throw new Error(`range(${start}, ${stop}, ${step}) is too long`);
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
