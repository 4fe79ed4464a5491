/**
 * Rows that hold whole responses, to be scored or ranked, by their columns, in this order: `chosen` with `rejected` (every form of a
 * preference), `responses` (or `completions`) with `prompt` or `messages`, one `response` (or `completion`) likewise, the same as tokens
 * (`responses_ids`, `response_ids` with `prompt_ids`), and one conversation, text or row of tokens alone as fine-tuning reads it. A prompt of
 * text is text and one of messages a conversation, as TRL has it; an answer to a conversation may be its text.
 */
import { z } from "zod";
import { asDouble, withDoubles } from "./lossless-json.js";
import { parsePreferenceRow, type Side, sides } from "./preference-row.js";
import { placeText, type RowPlace, rowError } from "./reading/place.js";
import { check, describe } from "./row-check.js";
import { columnsOf, parseSftRow, type SftRow, tokenIdSchema } from "./sft-row.js";
import { UserError } from "./user-error.js";
import { outcomes } from "./verdict.js";

export const responseFormats = ["preference", "responses", "response", "sequence"] as const;
export type ResponseFormat = (typeof responseFormats)[number];

export interface ResponseRow {
  readonly format: ResponseFormat;
  /** Each response with its prompt, as fine-tuning would read it, and how the row names it. */
  readonly responses: readonly { readonly name: string; readonly row: SftRow }[];
  /** Of each response whether it is among the better ones; null: not judged. Undefined where the row does not say. */
  readonly labels: readonly (boolean | null)[] | undefined;
}

/**
 * Checks one row. Throws UserError naming file, line and column: `bad_row`, `unknown_row`, and what parsePreferenceRow() and parseSftRow()
 * throw of the rows that they read.
 */
export function parseResponseRow(value: unknown, place: RowPlace, format?: ResponseFormat): ResponseRow {
  const row = columnsOf(value, place);
  const found = format ?? detect(row);
  const parsed =
    found === "preference"
      ? preference(value, place)
      : found === "sequence"
        ? sequence(row, value, place)
        : answers(row, found, place);
  // Which turns fine-tuning would train is nothing to a score.
  const whole = (response: SftRow): SftRow =>
    "messages" in response ? { ...response, untrained: new Set<number>() } : response;
  return { ...parsed, responses: parsed.responses.map(({ name, row }) => ({ name, row: whole(row) })) };
}

const several = ["responses", "completions", "responses_ids"] as const;
const single = ["response", "completion", "response_ids"] as const;

function detect(row: object): ResponseFormat {
  if ("chosen" in row || "chosen_ids" in row) return "preference";
  if (several.some((column) => column in row)) return "responses";
  return single.some((column) => column in row) ? "response" : "sequence";
}

function preference(value: unknown, place: RowPlace): ResponseRow {
  const row = parsePreferenceRow(value, place);
  const side = (name: Side): SftRow => {
    if (row.kind === "tokens") return tokens([...(row.prompt ?? []), ...row[name]]);
    if (row.kind === "text") return text(row.prompt, row[name]);
    return {
      format: "messages",
      kind: "messages",
      messages: [...row.prompt, ...row[name]],
      untrained: new Set(),
      nameOf: (turn) => row.nameOf(name, turn),
      tools: row.tools,
      variables: row.variables,
    };
  };
  return {
    format: "preference",
    responses: sides.map((name) => ({ name, row: side(name) })),
    labels: [true, false],
  };
}

function sequence(row: Readonly<Record<string, unknown>>, value: unknown, place: RowPlace): ResponseRow {
  const parsed = parseSftRow(value, place);
  if ("messages" in parsed && parsed.messages.at(-1)?.role !== "assistant") {
    throw rowError(
      "bad_row",
      place,
      "the last message is no assistant turn, so there is no response. Add it, or give responses beside the messages.",
    );
  }
  const name = Object.keys(row).find((column) => ["messages", "text", "input_ids"].includes(column));
  return {
    format: "sequence",
    responses: [{ name: name ?? parsed.format, row: parsed }],
    labels: undefined,
  };
}

const idsSchema = z.looseObject({
  prompt_ids: z.array(tokenIdSchema).default([]),
  responses_ids: z.array(z.array(tokenIdSchema).min(1)).min(1).optional(),
  response_ids: z.array(tokenIdSchema).min(1).optional(),
});

function answers(
  row: Readonly<Record<string, unknown>>,
  format: "responses" | "response",
  place: RowPlace,
): ResponseRow {
  const column = (format === "responses" ? several : single).find((name) => row[name] !== undefined);
  if (column === undefined) {
    throw rowError("bad_row", place, `expected a column ${several.slice(0, 2).join(" or ")}, came none.`);
  }
  const list = format === "responses" ? row[column] : [row[column]];
  if (!Array.isArray(list) || list.length === 0) {
    throw rowError("bad_row", place, `${column}: expected a list of responses, came ${describe(list)}.`);
  }
  const nameOf = (i: number): string => (format === "responses" ? `${column}[${i}]` : column);
  if (column.endsWith("_ids")) {
    const parsed = check(idsSchema, withDoubles(row), place);
    const rows = parsed.responses_ids ?? [parsed.response_ids ?? []];
    return {
      format,
      responses: rows.map((ids, i) => ({ name: nameOf(i), row: tokens([...parsed.prompt_ids, ...ids]) })),
      labels: labelsOf(row, rows.length, place),
    };
  }
  const promptColumn = ["prompt", "messages"].find((name) => row[name] !== undefined);
  if (promptColumn === undefined) {
    throw rowError("bad_row", place, `${column}: expected a prompt (or messages) beside it, came none.`);
  }
  const prompt = row[promptColumn];
  const { tools, chat_template_kwargs } = row;
  const responses = list.map((response: unknown, i) => {
    const name = nameOf(i);
    const chat = typeof prompt !== "string";
    const completion = chat ? turnsOf(response) : response;
    try {
      return {
        name,
        row: parseSftRow({ prompt, completion, tools, chat_template_kwargs }, place, "prompt-completion"),
      };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      const at = `${placeText(place)}: `;
      const said = error.message.startsWith(at) ? error.message.slice(at.length) : error.message;
      const own = said.replace(/^completion(\[0\])?/, name).replace(/^prompt(?=\[|:)/, promptColumn);
      throw rowError(error.code, place, own, error);
    }
  });
  return { format, responses, labels: labelsOf(row, responses.length, place) };
}

/** An answer to a conversation: its turns, one turn, or its text. */
function turnsOf(response: unknown): unknown {
  if (typeof response === "string") return [{ role: "assistant", content: response }];
  return Array.isArray(response) ? response : [response];
}

const labelSchema = z.array(
  z.preprocess(
    asDouble,
    z
      .union([z.boolean(), z.literal(0), z.literal(1)], { error: "expected true, false, 1, 0 or null" })
      .nullable()
      .transform((label) => (label === null ? null : Boolean(label))),
  ),
);
const verdictsSchema = z.array(z.looseObject({ outcome: z.enum(outcomes) }));

/** `labels`, else what `posttrain verify` found: what the grader could not do (infrastructure-error) judges nothing. */
function labelsOf(
  row: Readonly<Record<string, unknown>>,
  count: number,
  place: RowPlace,
): ResponseRow["labels"] {
  const column = ["labels", "verdicts"].find((name) => row[name] !== undefined);
  if (column === undefined) return undefined;
  const labels =
    column === "labels"
      ? check(z.looseObject({ labels: labelSchema }), row, place).labels
      : check(z.looseObject({ verdicts: verdictsSchema }), row, place).verdicts.map(({ outcome }) =>
          outcome === "infrastructure-error" ? null : outcome === "pass",
        );
  return sameCount(column, labels, count, place);
}

/** Labels by criterion of a row of responses: one for each of them. Throws UserError `bad_row`. */
export function parseLabels(
  field: string,
  value: unknown,
  count: number,
  place: RowPlace,
): readonly (boolean | null)[] {
  const labels = labelSchema.safeParse(value);
  if (!labels.success) {
    throw rowError(
      "bad_row",
      place,
      `${field}: expected a list of true, false (1, 0) or null, came ${describe(value)}.`,
    );
  }
  return sameCount(field, labels.data, count, place);
}

function sameCount<T>(field: string, labels: readonly T[], count: number, place: RowPlace): readonly T[] {
  if (labels.length === count) return labels;
  throw rowError(
    "bad_row",
    place,
    `${field} has ${labels.length} entries, expected ${count}, one for each response.`,
  );
}

function tokens(ids: readonly number[]): SftRow {
  return { format: "tokens", kind: "tokens", inputIds: ids, labels: ids };
}

function text(prompt: string | undefined, side: string): SftRow {
  return prompt === undefined
    ? { format: "text", kind: "text", text: side }
    : { format: "prompt-completion", kind: "prompt-completion", prompt, completion: side };
}
