/**
 * ShareGPT rows, `{conversations: [{from, value}], system?, tools?}`, as conversations: the form in which
 * LLaMA-Factory's users keep theirs. A `function_call` turn holds JSON, `{name, arguments}` or a list of
 * these, and becomes the assistant's tool calls; an `observation` is the tool's answer. Turns that have
 * `role` and `content` instead are taken as they are.
 */
import { z } from "zod";
import { type ChatMessage, messageSchema, toolsSchema } from "./messages.js";
import { check, jsonOr, optional, type RowPlace, rowError } from "./row-check.js";

const ROLES = {
  human: "user",
  user: "user",
  gpt: "assistant",
  chatgpt: "assistant",
  assistant: "assistant",
  system: "system",
  observation: "tool",
  tool: "tool",
  function_call: "assistant",
} as const;

const callSchema = z.looseObject({
  name: z.string(),
  arguments: optional(jsonOr(z.record(z.string(), z.unknown()), "an object, or a JSON string of one", {})),
});
const callsSchema = jsonOr(
  z.union([callSchema, z.array(callSchema).min(1)]),
  "JSON of {name, arguments} or of a list of these",
);

const turnSchema = z
  .looseObject({ from: z.enum(Object.keys(ROLES) as (keyof typeof ROLES)[]), value: z.string() })
  .transform(({ from, value }, context): ChatMessage => {
    const role = ROLES[from];
    if (from !== "function_call") {
      if (role !== "assistant" || value.trim() !== "") return { role, content: value };
      context.addIssue({
        code: "custom",
        path: ["value"],
        message: "expected an answer",
        params: { code: "empty_turn" },
      });
      return z.NEVER;
    }
    const calls = callsSchema.safeParse(value);
    if (!calls.success) {
      const message = calls.error.issues[0]?.message ?? "expected JSON";
      context.addIssue({ code: "custom", path: ["value"], message });
      return z.NEVER;
    }
    const list = Array.isArray(calls.data) ? calls.data : [calls.data];
    const toolCalls = list.map((call) => ({ type: "function", function: call }));
    return { role, content: "", tool_calls: toolCalls };
  });

const sharegptSchema = z.looseObject({
  conversations: z.array(z.unknown()).min(1),
  system: optional(z.string()),
  tools: toolsSchema,
  chat_template_kwargs: optional(z.record(z.string(), z.unknown())),
});

/** The row's conversation; its order of roles is for the caller to check. */
export function sharegptRow(row: object, place: RowPlace) {
  const { conversations, system, tools, chat_template_kwargs: variables } = check(sharegptSchema, row, place);
  const openAi = conversations.some((turn) => typeof turn === "object" && turn !== null && "role" in turn);
  const schema: z.ZodType<ChatMessage> = openAi ? messageSchema : turnSchema;
  const turns = check(z.looseObject({ conversations: z.array(schema) }), row, place).conversations;
  if (system && turns[0]?.role === "system" && turns[0].content !== system) {
    throw rowError(
      "bad_row",
      place,
      "system: the conversation has another system turn of its own (conversations[0]). Keep one of the two.",
    );
  }
  const withSystem = system && turns[0]?.role !== "system";
  const messages = withSystem ? [{ role: "system", content: system } as const, ...turns] : turns;
  const offset = withSystem ? 1 : 0;
  return {
    messages,
    tools: tools?.map(wrapped),
    variables,
    nameOf: (turn: number): string => (turn < offset ? "system" : `conversations[${turn - offset}]`),
  };
}

/** LLaMA-Factory's files list bare functions; templates expect them as OpenAI's API has them. */
function wrapped(tool: unknown): unknown {
  const bare =
    typeof tool === "object" && tool !== null && "name" in tool && !("type" in tool && "function" in tool);
  return bare ? { type: "function", function: tool } : tool;
}
