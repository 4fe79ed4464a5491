/**
 * ShareGPT rows, `{conversations: [{from, value}], system?, tools?}`, as conversations: the form in which
 * LLaMA-Factory's users keep theirs. A `function_call` turn holds JSON, `{name, arguments}` or a list of
 * these, and becomes the assistant's tool calls; an `observation` is the tool's answer. Turns that have
 * `role` and `content` instead are taken as they are.
 */
import { z } from "zod";
import {
  checkTurns,
  functionSchema,
  type Turn,
  toolsSchema,
  turnSchema,
  variablesSchema,
  weightsSchema,
} from "./messages.js";
import { type RowPlace, rowError } from "./reading/place.js";
import { check, inWords, jsonOr, optional } from "./row-check.js";

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

const callsSchema = jsonOr(
  z.union([functionSchema, z.array(functionSchema).min(1)]),
  "JSON of {name, arguments} or of a list of these",
);

const fromValueSchema = z
  .looseObject({
    from: z.enum(Object.keys(ROLES) as (keyof typeof ROLES)[]),
    value: z.string(),
    ...weightsSchema,
  })
  .transform(({ from, value, loss_weight, weight }, context): z.input<typeof turnSchema> => {
    const turn = { role: ROLES[from], content: value, loss_weight, weight };
    const issue = (message: string, code?: string): never => {
      context.addIssue({ code: "custom", path: ["value"], message, params: { code } });
      return z.NEVER;
    };
    if (from !== "function_call") {
      if (turn.role === "assistant" && value.trim() === "") issue("expected an answer", "empty_turn");
      return turn;
    }
    const calls = callsSchema.safeParse(value, inWords);
    if (!calls.success) return issue(calls.error.issues[0]?.message ?? "expected JSON");
    const list = Array.isArray(calls.data) ? calls.data : [calls.data];
    return { ...turn, content: "", tool_calls: list.map((call) => ({ type: "function", function: call })) };
  })
  .pipe(turnSchema);

const sharegptSchema = z.looseObject({
  conversations: z.array(z.unknown()).min(1),
  system: optional(z.string()),
  tools: toolsSchema,
  chat_template_kwargs: variablesSchema,
});

/** Throws UserError as parseSftRow does. */
export function sharegptRow(row: object, place: RowPlace) {
  const { turns, nameOf, tools, variables } = sharegptTurns(row, place);
  return { ...checkTurns(turns, nameOf, place), tools, variables };
}

/** One turn, in either spelling. */
export function sharegptTurn(turn: unknown): z.ZodType<Turn> {
  return typeof turn === "object" && turn !== null && "role" in turn ? turnSchema : fromValueSchema;
}

/** The turns of a row, the system's own first; their order is not looked at. */
export function sharegptTurns(row: object, place: RowPlace) {
  const { conversations, system, tools, chat_template_kwargs: variables } = check(sharegptSchema, row, place);
  const openAi = conversations.find((turn) => sharegptTurn(turn) === turnSchema);
  const schema = sharegptTurn(openAi);
  const turns = check(z.looseObject({ conversations: z.array(schema) }), row, place).conversations;
  const own = turns[0]?.message.role === "system" ? turns[0].message.content : undefined;
  if (system && own !== undefined && own !== system) {
    throw rowError(
      "bad_row",
      place,
      "system: the conversation has another system turn of its own (conversations[0]). Keep one of the two.",
    );
  }
  const offset = system && own === undefined ? 1 : 0;
  const first: Turn = { message: { role: "system", content: system ?? "" }, weight: undefined };
  const nameOf = (turn: number): string => (turn < offset ? "system" : `conversations[${turn - offset}]`);
  return { turns: offset === 1 ? [first, ...turns] : turns, nameOf, tools: tools?.map(wrapped), variables };
}

/** LLaMA-Factory's files list bare functions; templates expect them as OpenAI's API has them. */
function wrapped(tool: unknown): unknown {
  const bare =
    typeof tool === "object" && tool !== null && "name" in tool && !("type" in tool && "function" in tool);
  return bare ? { type: "function", function: tool } : tool;
}
