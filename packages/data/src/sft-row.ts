/**
 * What a row of a fine-tuning file may be, and the one place that checks it. The kind is told by its columns:
 * `messages` (with optional `tools`, `chat_template_kwargs`), or already tokenised: `input_ids` with
 * `labels`, with `completion_mask` / `assistant_masks`, or alone. `input_ids` wins where both are there, as
 * in TRL. Columns that would change the meaning and are not supported are refused; any other column is the
 * row's own business.
 */
import { z } from "zod";
import { UserError } from "./user-error.js";

/** A label that is not trained, as in PyTorch and Hugging Face. */
export const IGNORED_LABEL = -100;

/** A turn as templates see it. Further keys (`reasoning_content`, ...) are passed on to the template. */
export interface ChatMessage {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly content?: string | null;
  readonly tool_calls?: readonly ToolCall[];
  readonly name?: string;
  readonly tool_call_id?: string;
  readonly [key: string]: unknown;
}

export interface ToolCall {
  readonly function: { readonly name: string; readonly arguments?: unknown; readonly [key: string]: unknown };
  readonly [key: string]: unknown;
}

export type SftRow =
  | {
      readonly kind: "messages";
      readonly messages: readonly ChatMessage[];
      readonly tools: readonly unknown[] | undefined;
      /** `chat_template_kwargs`: further variables for the template. */
      readonly variables: Readonly<Record<string, unknown>> | undefined;
    }
  | {
      readonly kind: "tokens";
      readonly inputIds: readonly number[];
      /** labels[i] is the target AT position i (predicted from i - 1), or IGNORED_LABEL. */
      readonly labels: readonly number[];
    };

/** Where a row stands, for messages. */
export interface RowPlace {
  readonly path: string;
  readonly line: number;
}

/** A UserError `code` about one row: "FILE, line N: ...". */
export function rowError(code: string, place: RowPlace, text: string, cause?: unknown): UserError {
  return new UserError(code, `${place.path}, line ${place.line}: ${text}`, { cause });
}

/**
 * Checks one row and gives it its kind. Throws UserError `bad_row` naming file, line, field, what was
 * expected and what came.
 */
export function parseSftRow(value: unknown, place: RowPlace): SftRow {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw rowError("bad_row", place, `expected a JSON object, came ${describe(value)}.`);
  }
  const present = Object.entries(value).filter(([, column]) => column !== null);
  const row = Object.fromEntries(present);
  for (const [column, reason] of Object.entries(REFUSED_COLUMNS)) {
    if (column in row) throw rowError("bad_row", place, `column ${column} is not supported: ${reason}.`);
  }
  if ("input_ids" in row) return tokenRow(check(tokensSchema, row, place), place);
  if ("messages" in row) {
    const { messages, tools, chat_template_kwargs: variables } = check(messagesSchema, row, place);
    return { kind: "messages", messages: messages as readonly ChatMessage[], tools, variables };
  }
  const columns = Object.keys(row);
  throw rowError(
    "unknown_row",
    place,
    `this kind of row is not known. Found ${columns.length > 0 ? `columns ${columns.join(", ")}` : "no columns"}; accepted are ` +
      "messages (optionally tools), or input_ids (optionally labels, or completion_mask). Rename or convert the columns.",
  );
}

const REFUSED_COLUMNS: Readonly<Record<string, string>> = {
  images: "these are language models; remove the column and the rows that need it",
  videos: "these are language models; remove the column and the rows that need it",
  seq_lengths: "give one sequence a row; packing is done later, without leaks",
  position_ids: "give one sequence a row; positions count from 0",
};

/** Parquet-born files write absent fields as null. */
const optional = <T extends z.ZodType>(schema: T) =>
  schema.nullish().transform((value) => value ?? undefined);

function jsonOr<T extends z.ZodType>(schema: T, expected: string) {
  return z
    .union([schema, z.string()], { error: `expected ${expected}` })
    .transform((value, context): z.output<T> => {
      if (typeof value !== "string") return value as z.output<T>;
      const parsed = schema.safeParse(parseJson(value));
      if (parsed.success) return parsed.data;
      context.addIssue({ code: "custom", message: `expected ${expected}`, input: value });
      return z.NEVER;
    });
}

const toolCallSchema = z.looseObject({
  function: z.looseObject({
    name: z.string(),
    arguments: jsonOr(z.record(z.string(), z.unknown()), "an object, or a JSON string of one").optional(),
  }),
});

const messageSchema = z
  .looseObject({
    role: z.enum(["system", "user", "assistant", "tool", "developer"]),
    content: z.string().nullish(),
    tool_calls: optional(z.array(toolCallSchema)),
    name: optional(z.string()),
    tool_call_id: optional(z.string()),
  })
  .transform((message, context) => {
    const calls = message.tool_calls?.length ?? 0;
    if (calls > 0 && message.role !== "assistant") {
      context.addIssue({
        code: "custom",
        path: ["tool_calls"],
        message: "expected only on assistant turns",
        input: message.tool_calls,
      });
    }
    if (calls === 0 && typeof message.content !== "string") {
      context.addIssue({
        code: "custom",
        path: ["content"],
        message: "expected text",
        input: message.content,
      });
    }
    if (calls === 0 && message.role === "assistant" && message.content?.trim() === "") {
      context.addIssue({
        code: "custom",
        path: ["content"],
        message: "expected an answer (or tool_calls)",
        input: message.content,
      });
    }
    const present = Object.entries(message).filter(
      ([key, value]) => value !== undefined && (value !== null || key === "content"),
    );
    return { ...Object.fromEntries(present), role: message.role === "developer" ? "system" : message.role };
  });

const messagesSchema = z.looseObject({
  messages: z.array(messageSchema).min(1),
  tools: optional(jsonOr(z.array(z.unknown()), "a list of tools, or a JSON string of one")),
  chat_template_kwargs: optional(z.record(z.string(), z.unknown())),
});

const id = z.int().min(0);
const mask = z.array(
  z.union([z.literal(0), z.literal(1), z.boolean().transform(Number)], { error: "expected 0 or 1" }),
);

const isLabel = (label: number): boolean => label >= 0 || label === IGNORED_LABEL;

const tokensSchema = z.looseObject({
  input_ids: z.array(id).min(1),
  labels: z.array(z.int().refine(isLabel, "expected a token id or -100")).optional(),
  completion_mask: mask.optional(),
  assistant_masks: mask.optional(),
  attention_mask: z.array(z.literal(1, { error: "expected 1 everywhere (rows without padding)" })).optional(),
});

function tokenRow(row: z.output<typeof tokensSchema>, place: RowPlace): SftRow {
  const inputIds = row.input_ids;
  for (const column of ["labels", "completion_mask", "assistant_masks", "attention_mask"] as const) {
    const length = row[column]?.length ?? inputIds.length;
    if (length !== inputIds.length) {
      throw rowError(
        "bad_row",
        place,
        `${column} has ${length} entries, expected ${inputIds.length} as input_ids has.`,
      );
    }
  }
  // As TRL: labels that are given stand; else every mask that is given must say 1.
  const trained = (i: number): boolean => row.completion_mask?.[i] !== 0 && row.assistant_masks?.[i] !== 0;
  const labels = row.labels ?? inputIds.map((token, i) => (trained(i) ? token : IGNORED_LABEL));
  return { kind: "tokens", inputIds, labels };
}

function check<T extends z.ZodType>(schema: T, row: object, place: RowPlace): z.output<T> {
  const result = schema.safeParse(row);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = issue?.path ?? [];
  const field = path.map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`)).join("");
  const expected = issue?.message.replace(/^[^:]*: (?=expected)|, received .*$/g, "") ?? "another value";
  throw rowError(
    "bad_row",
    place,
    `${field.slice(1)}: ${expected}, came ${describe(valueAt(row, path))}.`,
    result.error,
  );
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, key) =>
      typeof inner === "object" && inner !== null ? (inner as Record<PropertyKey, unknown>)[key] : undefined,
    value,
  );
}

function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  const text = JSON.stringify(value);
  const short = text.length > 60 ? `${text.slice(0, 57)}...` : text;
  return `${Array.isArray(value) ? "a list" : typeof value === "object" ? "an object" : `a ${typeof value}`} ${short}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
