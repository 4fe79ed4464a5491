/**
 * What a row of a fine-tuning file may be, and the one place that decides it: by its columns, in this order.
 * `input_ids` (with `labels`, with masks, or alone), `messages`, `prompt` with `completion`, `conversations`
 * (ShareGPT), `instruction` with `output` (Alpaca), `text`. Columns that would change the meaning and are not
 * supported are refused; any other column is the row's own business.
 */
import { z } from "zod";
import { alpacaRow } from "./alpaca.js";
import { isJsonObject, LosslessNumber, withDoubles } from "./lossless-json.js";
import {
  checkTurns,
  plainTurn,
  type Turn,
  type Turns,
  toolsSchema,
  turnSchema,
  variablesSchema,
} from "./messages.js";
import { type RowPlace, rowError } from "./reading/place.js";
import { check, describe } from "./row-check.js";
import { sharegptRow } from "./sharegpt.js";

/** A label that is not trained, as in PyTorch and Hugging Face. */
export const IGNORED_LABEL = -100;

/** How a row is written. */
export const rowFormats = ["tokens", "messages", "prompt-completion", "sharegpt", "alpaca", "text"] as const;
export type RowFormat = (typeof rowFormats)[number];

/** What a template is given beside the turns. */
export interface Rendering {
  readonly tools: readonly unknown[] | undefined;
  /** `chat_template_kwargs`: further variables for the template. */
  readonly variables: Readonly<Record<string, unknown>> | undefined;
}

interface Conversation extends Turns, Rendering {}

const renderingSchema = z.looseObject({ tools: toolsSchema, chat_template_kwargs: variablesSchema });

export function renderingOf(row: object, place: RowPlace): Rendering {
  const { tools, chat_template_kwargs: variables } = check(renderingSchema, row, place);
  return { tools, variables };
}

/** A row by what is done with it: ShareGPT and Alpaca rows are `messages`, and keep the name of their format. */
export type SftRow = { readonly format: RowFormat } & (
  | ({ readonly kind: "messages" } & Conversation)
  /** Turns of which the first `promptTurns` are the prompt. */
  | ({ readonly kind: "prompt-completion-messages"; readonly promptTurns: number } & Conversation)
  /** Plain text: nothing is put around it, the end token comes after it. */
  | { readonly kind: "prompt-completion"; readonly prompt: string; readonly completion: string }
  | { readonly kind: "text"; readonly text: string }
  | {
      readonly kind: "tokens";
      readonly inputIds: readonly number[];
      /** labels[i] is the target AT position i (predicted from i - 1), or IGNORED_LABEL. */
      readonly labels: readonly number[];
    }
);

/**
 * Checks one row; `format` says how it is written, else its columns do. Throws UserError naming file, line,
 * field, what was expected and what came: `bad_row`, `unknown_row`, `roles_out_of_order`, `empty_turn`.
 */
export function parseSftRow(value: unknown, place: RowPlace, format?: RowFormat): SftRow {
  const row = columnsOf(value, place);
  for (const column of ["label", "kto_tag"]) {
    if (row[column] !== false) continue;
    throw rowError(
      "bad_row",
      place,
      `column ${column} is false: this looks like an example of a bad answer (unpaired preference), which fine-tuning would teach. Leave such rows out, or remove the column.`,
    );
  }
  const found = format ?? detect(row);
  if (found === undefined) throw unknownRow(row, place);
  const parsed = PARSERS[found](row, place);
  if ("messages" in parsed) refuseInexact([parsed.messages, parsed.tools, parsed.variables], place);
  return parsed;
}

/** A row's columns but those that are null. Throws UserError `bad_row` where one would change the meaning and is not supported. */
export function columnsOf(value: unknown, place: RowPlace): Readonly<Record<string, unknown>> {
  if (!isJsonObject(value)) {
    throw rowError("bad_row", place, `expected a JSON object, came ${describe(value)}.`);
  }
  // Null-prototype: a column named __proto__ is a column.
  const row: Record<string, unknown> = Object.create(null);
  for (const [column, content] of Object.entries(value)) if (content !== null) row[column] = content;
  for (const [column, reason] of REFUSED_COLUMNS) {
    const content = row[column];
    if (content === undefined || (Array.isArray(content) && content.length === 0)) continue;
    throw rowError("bad_row", place, `column ${column} is not supported: ${reason}.`);
  }
  return row;
}

/** UserError for a number in what a template is given that would be read as another one. */
export function refuseInexact(given: readonly unknown[], place: RowPlace): void {
  const inexact = inexactNumber(given);
  if (inexact === undefined) return;
  throw rowError(
    "bad_row",
    place,
    `a number near ${inexact} has more digits than a number here keeps (16), so the model would read another one: write it as a string.`,
  );
}

/** A whole number of a caller's that may not be the one which was meant: in a file's row it would be a LosslessNumber. */
function inexactNumber(value: unknown): number | undefined {
  if (typeof value === "number") return Math.abs(value) > Number.MAX_SAFE_INTEGER ? value : undefined;
  if (typeof value !== "object" || value === null) return undefined;
  for (const key in value) {
    const found = inexactNumber((value as Readonly<Record<string, unknown>>)[key]);
    if (found !== undefined) return found;
  }
  return undefined;
}

const REFUSED_COLUMNS: readonly (readonly [column: string, reason: string])[] = [
  ...["image", "images", "video", "videos", "audio", "audios"].map(
    (column) => [column, "these are language models; remove the column and the rows that need it"] as const,
  ),
  ["seq_lengths", "give one sequence a row; packing is done later, without leaks"],
  ["position_ids", "give one sequence a row; positions count from 0"],
];

function detect(row: object): RowFormat | undefined {
  if ("input_ids" in row) return "tokens";
  if ("messages" in row) return "messages";
  if ("prompt" in row && "completion" in row) return "prompt-completion";
  // With chosen and rejected it is a preference row, whose conversation is a prompt.
  if ("chosen" in row && "rejected" in row) return undefined;
  if ("conversations" in row) return "sharegpt";
  if ("instruction" in row && "output" in row) return "alpaca";
  return "text" in row ? "text" : undefined;
}

const PARSERS: Readonly<Record<RowFormat, (row: object, place: RowPlace) => SftRow>> = {
  tokens: tokenRow,
  messages: (row, place) => {
    const {
      messages,
      tools,
      chat_template_kwargs: variables,
    } = plainRow(row) ?? check(messagesSchema, row, place);
    const turns = checkTurns(messages, (turn) => `messages[${turn}]`, place);
    return { format: "messages", kind: "messages", ...turns, tools, variables };
  },
  "prompt-completion": promptCompletionRow,
  sharegpt: (row, place) => ({ format: "sharegpt", kind: "messages", ...sharegptRow(row, place) }),
  alpaca: (row, place) => {
    const { messages, tools, nameOf } = alpacaRow(row, place);
    const untrained = new Set<number>();
    return { format: "alpaca", kind: "messages", messages, untrained, nameOf, tools, variables: undefined };
  },
  text: (row, place) => {
    const { text } = check(z.looseObject({ text: z.string() }), row, place);
    if (text.trim() === "")
      throw rowError("empty_turn", place, "text: expected text, came white space or nothing.");
    return { format: "text", kind: "text", text };
  },
};

const messagesSchema = z.looseObject({
  messages: z.array(turnSchema).min(1),
  tools: toolsSchema,
  chat_template_kwargs: variablesSchema,
});

/** A row of nothing but turns of text, which are most, without the schema's work. */
function plainRow(row: object): z.output<typeof messagesSchema> | undefined {
  if ("tools" in row || "chat_template_kwargs" in row) return undefined;
  const messages = plainTurns((row as { readonly messages: unknown }).messages);
  return messages && { messages, tools: undefined, chat_template_kwargs: undefined };
}

/** Turns of text alone; undefined for any others, sound or not. */
export function plainTurns(messages: unknown): Turn[] | undefined {
  if (!Array.isArray(messages) || messages.length === 0) return undefined;
  const turns: Turn[] = [];
  for (const value of messages as readonly unknown[]) {
    const turn = plainTurn(value);
    if (turn === undefined) return undefined;
    turns.push(turn);
  }
  return turns;
}

const promptCompletionSchema = z.looseObject({
  prompt: z.array(turnSchema).min(1),
  completion: z.array(turnSchema).min(1),
  tools: toolsSchema,
  chat_template_kwargs: variablesSchema,
});

function promptCompletionRow(row: object, place: RowPlace): SftRow {
  const { prompt, completion } = row as { prompt: unknown; completion: unknown };
  const format = "prompt-completion";
  if (typeof prompt === "string" && typeof completion === "string") {
    for (const [column, text] of Object.entries({ prompt, completion })) {
      if (text.trim() !== "") continue;
      const instead = column === "prompt" ? " Text without a prompt goes into a column text." : "";
      throw rowError("empty_turn", place, `${column}: expected text, came white space or nothing.${instead}`);
    }
    return { format, kind: "prompt-completion", prompt, completion };
  }
  for (const [column, part] of Object.entries({ prompt, completion })) {
    if (typeof part === "string" || Array.isArray(part)) continue;
    throw rowError(
      "bad_row",
      place,
      `${column}: expected text or a list of messages, came ${describe(part)}.`,
    );
  }
  if (typeof prompt === "string" || typeof completion === "string") {
    throw rowError(
      "bad_row",
      place,
      `completion: expected what prompt is, ${typeof prompt === "string" ? "text" : "a list of messages"}, came ${describe(completion)}.`,
    );
  }
  const parsed = check(promptCompletionSchema, row, place);
  const { prompt: before, completion: after } = parsed;
  const promptTurns = before.length;
  const nameOf = (turn: number): string =>
    turn < promptTurns ? `prompt[${turn}]` : `completion[${turn - promptTurns}]`;
  const turns = checkTurns([...before, ...after], nameOf, place, promptTurns);
  const first = after[0]?.message.role;
  if (first !== "assistant") {
    throw rowError(
      "roles_out_of_order",
      place,
      `completion[0].role: expected assistant, came ${first}. The completion is what the assistant answers: move the other turns to the prompt.`,
    );
  }
  const { tools, chat_template_kwargs: variables } = parsed;
  return { format, kind: "prompt-completion-messages", ...turns, promptTurns, tools, variables };
}

/** What zod calls an int and a number is one thing here, and LosslessNumber no word for a user. */
const tokenId = {
  error: ({ input }: { readonly input?: unknown }) =>
    input instanceof LosslessNumber ? "expected a token id" : undefined,
};
export const tokenIdSchema = z.int(tokenId).min(0);
const mask = z.array(
  z.union([z.literal(0), z.literal(1), z.boolean().transform(Number)], { error: "expected 0 or 1" }),
);

const isLabel = (label: number): boolean => label >= 0 || label === IGNORED_LABEL;

const tokensSchema = z.looseObject({
  input_ids: z.array(tokenIdSchema).min(1),
  labels: z.array(z.int(tokenId).refine(isLabel, "expected a token id or -100")).optional(),
  completion_mask: mask.optional(),
  assistant_masks: mask.optional(),
  attention_mask: z.array(z.literal(1, { error: "expected 1 everywhere (rows without padding)" })).optional(),
});

function tokenRow(value: object, place: RowPlace): SftRow {
  const row = check(tokensSchema, withDoubles(value), place);
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
  return { format: "tokens", kind: "tokens", inputIds, labels };
}

/** Pairs of columns that name a question and its answer elsewhere. */
const KNOWN_ELSEWHERE: readonly (readonly [string, string])[] = [
  ["question", "answer"],
  ["query", "response"],
  ["prompt", "response"],
  ["prompt", "answer"],
  ["instruction", "response"],
  ["input", "output"],
  ["problem", "solution"],
];

function unknownRow(row: object, place: RowPlace): Error {
  const columns = Object.keys(row);
  const pair = KNOWN_ELSEWHERE.find((names) => names.every((name) => columns.includes(name)));
  let hint = "Rename or convert the columns.";
  if (columns.includes("chosen")) {
    hint = "This looks like a preference row (chosen, rejected), which other stages train on.";
  } else if (pair) {
    hint = `Rename ${pair[0]} to prompt and ${pair[1]} to completion for plain text, or make messages of them for a chat model.`;
  } else if (columns.includes("prompt")) {
    hint = "A prompt needs its completion.";
  }
  return rowError(
    "unknown_row",
    place,
    `this kind of row is not known. Found ${columns.length > 0 ? `columns ${columns.join(", ")}` : "no columns"}; accepted are ` +
      `messages (optionally tools), prompt with completion, text, input_ids (optionally labels, or completion_mask), conversations (ShareGPT), instruction with output (Alpaca). ${hint}`,
  );
}
