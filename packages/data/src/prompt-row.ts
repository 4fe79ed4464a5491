/**
 * What a row asks, whoever asks it: `input_ids` as tokens, else the first of `promptColumns` that it has. `prompt` may be text or a list of
 * messages (TRL, verl), so may `question`, `problem` and `query`; `conversations` is ShareGPT's, `instruction` Alpaca's. Answers that stand
 * beside it are not read.
 */
import { z } from "zod";
import { alpacaPrompt } from "./alpaca.js";
import { type ChatMessage, checkTurns, turnSchema } from "./messages.js";
import type { RowPlace } from "./reading/place.js";
import { check, describe } from "./row-check.js";
import { columnsOf, parseSftRow, plainTurns, type Rendering, refuseInexact, renderingOf } from "./sft-row.js";
import { sharegptRow } from "./sharegpt.js";

/** Columns that hold what is asked, the first that is there. */
export const promptColumns = [
  "prompt",
  "messages",
  "question",
  "conversations",
  "problem",
  "query",
  "instruction",
] as const;

export type AskedRow =
  | { readonly kind: "tokens"; readonly inputIds: readonly number[] }
  /** One user message, or text to continue: the caller knows which. */
  | ({ readonly kind: "text"; readonly column: string; readonly text: string } & Rendering)
  /** A conversation that waits for an answer. `nameOf`: how the file spells turn i. */
  | ({
      readonly kind: "messages";
      readonly column: string;
      readonly messages: readonly ChatMessage[];
      readonly nameOf: (turn: number) => string;
    } & Rendering);

/**
 * `problem`: why it asks nothing that could be answered, in a sentence without its place. Throws UserError as parseSftRow does for columns
 * that are broken.
 */
export function askedByRow(value: unknown, place: RowPlace): AskedRow | { readonly problem: string } {
  const row = columnsOf(value, place);
  if ("input_ids" in row) {
    const parsed = parseSftRow(value, place, "tokens");
    if (parsed.kind !== "tokens") throw new Error("parseSftRow gave another kind than it was told");
    return { kind: "tokens", inputIds: parsed.inputIds };
  }
  const column = promptColumns.find((name) => row[name] !== undefined);
  if (column === undefined) {
    return {
      problem: `it asks nothing: its columns are ${Object.keys(row).join(", ") || "none"}, expected ${promptColumns.join(", ")} or input_ids. Rename the column that has what the model is asked.`,
    };
  }
  return askedIn(row, column, place);
}

export type Asked = Exclude<AskedRow, { readonly kind: "tokens" }>;

/** As askedByRow(), of a row that has what is asked in a column of its own name. */
export function askedByColumn(
  value: unknown,
  column: string,
  place: RowPlace,
): Asked | { readonly problem: string } {
  return askedIn(columnsOf(value, place), column, place);
}

function askedIn(
  row: Readonly<Record<string, unknown>>,
  column: string,
  place: RowPlace,
): Asked | { readonly problem: string } {
  const asked = conversationOf(row, column, place);
  if ("problem" in asked) return asked;
  if (asked.kind === "messages") {
    if (asked.messages.at(-1)?.role === "assistant") {
      return {
        problem: `${column}: the last message is an assistant turn, so there is nothing to answer. Remove it.`,
      };
    }
    refuseInexact([asked.messages], place);
  }
  refuseInexact([asked.tools, asked.variables], place);
  return asked;
}

/** The conversation that an answer ends: text is one user turn. */
export function messagesOf(asked: Asked): readonly ChatMessage[] {
  return asked.kind === "messages" ? asked.messages : [{ role: "user", content: asked.text }];
}

function conversationOf(
  row: Readonly<Record<string, unknown>>,
  column: string,
  place: RowPlace,
): Asked | { readonly problem: string } {
  const written = row[column];
  if (column === "conversations") return { kind: "messages", column, ...sharegptRow(row, place) };
  if (column === "instruction") {
    const { messages, nameOf, tools } = alpacaPrompt(row, place);
    const { variables } = renderingOf(row, place);
    const [first] = messages;
    return messages.length === 1
      ? { kind: "text", column, text: first!.content as string, tools, variables }
      : { kind: "messages", column, messages, nameOf, tools, variables };
  }
  if (typeof written === "string" && column !== "messages") {
    if (written.trim() === "") return { problem: `${column}: expected text, came white space or nothing.` };
    return { kind: "text", column, text: written, ...renderingOf(row, place) };
  }
  if (!Array.isArray(written)) {
    const expected = column === "messages" ? "a list of messages" : "text or a list of messages";
    return { problem: `${column}: expected ${expected}, came ${describe(written)}.` };
  }
  const turns =
    plainTurns(written) ??
    check(z.looseObject({ [column]: z.array(turnSchema).min(1) }), row, place)[column]!;
  const name = (turn: number): string => `${column}[${turn}]`;
  const { messages, nameOf } = checkTurns(turns, name, place);
  return { kind: "messages", column, messages, nameOf, ...renderingOf(row, place) };
}
