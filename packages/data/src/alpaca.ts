/**
 * Alpaca rows, `{instruction, input?, output, system?, history?}`, as conversations. The user's turn is the
 * instruction and, after a line feed, the input; `history` holds earlier pairs of question and answer. As in
 * LLaMA-Factory.
 */
import { z } from "zod";
import { type ChatMessage, toolsSchema } from "./messages.js";
import { check, optional, type RowPlace, rowError } from "./row-check.js";

const alpacaSchema = z.looseObject({
  instruction: z.string(),
  input: optional(z.string()),
  output: z.string(),
  system: optional(z.string()),
  history: optional(z.array(z.tuple([z.string(), z.string()], { error: "expected a pair of texts" }))),
  tools: toolsSchema,
});

export function alpacaRow(row: object, place: RowPlace) {
  const { instruction, input, output, system, history, tools } = check(alpacaSchema, row, place);
  const question = [instruction, input ?? ""].filter((part) => part !== "").join("\n");
  const empty = (field: string, expected: string): never => {
    throw rowError("empty_turn", place, `${field}: expected ${expected}, came white space or nothing.`);
  };
  if (question.trim() === "") empty("instruction", "text (or input)");
  if (output.trim() === "") empty("output", "an answer");
  const messages: ChatMessage[] = system ? [{ role: "system", content: system }] : [];
  for (const [i, [asked, answered]] of (history ?? []).entries()) {
    if (answered.trim() === "") empty(`history[${i}][1]`, "an answer");
    messages.push({ role: "user", content: asked }, { role: "assistant", content: answered });
  }
  messages.push({ role: "user", content: question }, { role: "assistant", content: output });
  const offset = system ? 1 : 0;
  const nameOf = (turn: number): string => {
    const at = turn - offset;
    if (at < 0) return "system";
    if (at < 2 * (history ?? []).length) return `history[${Math.floor(at / 2)}][${at % 2}]`;
    return at % 2 === 0 ? "instruction" : "output";
  };
  return { messages, tools, nameOf };
}
