/**
 * Alpaca rows, `{instruction, input?, output, system?, history?}`, as conversations. The user's turn is the
 * instruction and, after a line feed, the input; `history` holds earlier pairs of question and answer. As in
 * LLaMA-Factory.
 */
import { z } from "zod";
import { type ChatMessage, toolsSchema } from "./messages.js";
import { type RowPlace, rowError } from "./reading/place.js";
import { check, optional } from "./row-check.js";

const promptSchema = z.looseObject({
  instruction: z.string(),
  input: optional(z.string()),
  system: optional(z.string()),
  history: optional(z.array(z.tuple([z.string(), z.string()], { error: "expected a pair of texts" }))),
  tools: toolsSchema,
});

export function alpacaRow(row: object, place: RowPlace) {
  const { messages, tools, nameOf } = alpacaPrompt(row, place);
  const output = alpacaAnswer(row, "output", place);
  return {
    messages: [...messages, output],
    tools,
    nameOf: (turn: number): string => (turn < messages.length ? nameOf(turn) : "output"),
  };
}

/** The answer of a column. */
export function alpacaAnswer(row: object, column: string, place: RowPlace): ChatMessage {
  const content = check(z.looseObject({ [column]: z.string() }), row, place)[column] as string;
  if (content.trim() === "") throw emptyTurn(column, "an answer", place);
  return { role: "assistant", content };
}

/** Everything before the answer. */
export function alpacaPrompt(row: object, place: RowPlace) {
  const { instruction, input, system, history, tools } = check(promptSchema, row, place);
  const question = [instruction, input ?? ""].filter((part) => part !== "").join("\n");
  if (question.trim() === "") throw emptyTurn("instruction", "text (or input)", place);
  const messages: ChatMessage[] = system ? [{ role: "system", content: system }] : [];
  for (const [i, [asked, answered]] of (history ?? []).entries()) {
    if (answered.trim() === "") throw emptyTurn(`history[${i}][1]`, "an answer", place);
    messages.push({ role: "user", content: asked }, { role: "assistant", content: answered });
  }
  messages.push({ role: "user", content: question });
  const offset = system ? 1 : 0;
  const nameOf = (turn: number): string => {
    const at = turn - offset;
    if (at < 0) return "system";
    return at < 2 * (history ?? []).length ? `history[${Math.floor(at / 2)}][${at % 2}]` : "instruction";
  };
  return { messages, tools, nameOf };
}

function emptyTurn(field: string, expected: string, place: RowPlace): Error {
  return rowError("empty_turn", place, `${field}: expected ${expected}, came white space or nothing.`);
}
