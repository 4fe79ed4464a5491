/**
 * A conversation as OpenAI and TRL write it: what a turn may hold, and the order of turns that a model can
 * learn from. A tool call's arguments may be an object or a JSON string of one; `developer` is `system`.
 */
import { z } from "zod";
import { jsonOr, optional, type RowPlace, rowError } from "./row-check.js";

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

const functionSchema = z.looseObject({
  name: z.string(),
  arguments: optional(jsonOr(z.record(z.string(), z.unknown()), "an object, or a JSON string of one", {})),
});

const toolCallSchema = z.looseObject({ function: functionSchema });

export const messageSchema = z
  .looseObject({
    role: z.enum(["system", "user", "assistant", "tool", "developer"]),
    content: z.string().nullish(),
    tool_calls: optional(z.array(toolCallSchema)),
    name: optional(z.string()),
    tool_call_id: optional(z.string()),
  })
  .transform((message, context): ChatMessage => {
    const calls = message.tool_calls?.length ?? 0;
    const issue = (key: "tool_calls" | "content", expected: string, code?: string): void =>
      context.addIssue({
        code: "custom",
        path: [key],
        message: `expected ${expected}`,
        input: message[key],
        params: { code },
      });
    if (calls > 0 && message.role !== "assistant") issue("tool_calls", "only on assistant turns");
    if (calls === 0 && typeof message.content !== "string") issue("content", "text");
    if (calls === 0 && message.role === "assistant" && message.content?.trim() === "") {
      issue("content", "an answer (or tool_calls)", "empty_turn");
    }
    const present = Object.entries(message).filter(
      ([key, value]) => value !== undefined && (value !== null || key === "content"),
    );
    const role = message.role === "developer" ? "system" : message.role;
    return { ...Object.fromEntries(present), role };
  });

export const toolsSchema = optional(
  jsonOr(z.array(z.unknown()), "a list of tools, or a JSON string of one", []),
);

/**
 * Checks the order of turns: a system turn only at the start, then the user; user and assistant take turns;
 * an assistant's tool calls are followed by their results and these by the assistant. A conversation may end
 * anywhere. `nameOf` spells a turn's field. Throws UserError `roles_out_of_order`.
 */
export function checkRoles(
  messages: readonly ChatMessage[],
  nameOf: (turn: number) => string,
  place: RowPlace,
): void {
  for (const [turn, message] of messages.entries()) {
    const before = messages[turn - 1];
    const expected = expectedAfter(before);
    if (expected.includes(message.role)) continue;
    const found = `came ${message.role === "user" ? "a user" : message.role === "assistant" ? "an assistant" : `a ${message.role}`} turn`;
    const where =
      before === undefined
        ? "at the start"
        : `after ${nameOf(turn - 1)}, ${before.role === "assistant" && calls(before) ? "an assistant turn with tool_calls" : `${before.role === "assistant" ? "an" : "a"} ${before.role} turn`}`;
    throw rowError(
      "roles_out_of_order",
      place,
      `${nameOf(turn)}.role: expected ${expected.join(" or ")} ${where}, ${found}. ${remedy(message, before)}`,
    );
  }
}

function expectedAfter(message: ChatMessage | undefined): readonly ChatMessage["role"][] {
  if (message === undefined) return ["system", "user"];
  switch (message.role) {
    case "system":
      return ["user"];
    case "user":
      return ["assistant"];
    case "assistant":
      return calls(message) ? ["tool"] : ["user"];
    case "tool":
      return ["tool", "assistant"];
  }
}

function calls(message: ChatMessage): boolean {
  return (message.tool_calls?.length ?? 0) > 0;
}

function remedy(message: ChatMessage, before: ChatMessage | undefined): string {
  if (message.role === "system") return "Merge system turns into one at the start, or drop the row.";
  if (message.role === "tool") {
    return "A tool turn answers the tool_calls of the assistant turn before it: add them, or drop the row.";
  }
  if (before?.role === message.role)
    return "Merge the two turns, or add the one between them, or drop the row.";
  return "Put the turns in order, or drop the row.";
}
