/**
 * A conversation as OpenAI and TRL write it: what a turn may hold, and the order of turns that a model can
 * learn from. A tool call's arguments may be an object or a JSON string of one; `developer` is `system`;
 * content may be a list of parts, of text, reasoning and tool calls (LLaMA-Factory's newer form). A turn's
 * `loss_weight` (or `weight`, OpenAI's name) says whether it is trained.
 */
import { z } from "zod";
import { asDouble, isJsonObject } from "./lossless-json.js";
import { type RowPlace, rowError } from "./reading/place.js";
import { inWords, jsonOr, optional } from "./row-check.js";

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

/** A turn as a row gives it. */
export interface Turn {
  readonly message: ChatMessage;
  /** 0: not trained, 1: trained, undefined: the row does not say. */
  readonly weight: 0 | 1 | undefined;
}

/** A conversation whose order of turns is sound. */
export interface Turns {
  readonly messages: readonly ChatMessage[];
  /** Turns that are not trained, whatever the loss is on: their weight is 0. */
  readonly untrained: ReadonlySet<number>;
  /** How the file spells turn i (`messages[3]`, `completion[0]`), for messages. */
  readonly nameOf: (turn: number) => string;
}

export const functionSchema = z.looseObject({
  name: z.string(),
  arguments: optional(jsonOr(z.record(z.string(), z.unknown()), "an object, or a JSON string of one", {})),
});

const toolCallSchema = z.looseObject({ function: functionSchema });

const weight = optional(
  z.preprocess(
    asDouble,
    z.union([z.literal(0), z.literal(1)], { error: "expected 0 (not trained) or 1" }).nullish(),
  ),
);

/** A turn gives its weight under either name. */
export const weightsSchema = { loss_weight: weight, weight };

const valueSchema = z.string({ error: "expected text" });

const partSchema = z.discriminatedUnion(
  "type",
  [
    z
      .object({ type: z.literal("text"), text: z.string().optional(), value: z.string().optional() })
      .refine(({ text, value }) => (text ?? value) !== undefined, { error: "expected text", path: ["text"] }),
    z.object({ type: z.literal("reasoning"), value: valueSchema }),
    z.object({
      type: z.literal("tool_call"),
      value: jsonOr(functionSchema, "JSON of a tool call, {name, arguments}"),
    }),
  ],
  { error: "expected text, reasoning or tool_call (these are language models)" },
);

export const turnSchema = z
  .looseObject({
    role: z.enum(["system", "user", "assistant", "tool", "developer"]),
    content: z
      .union([z.string(), z.array(z.unknown())], { error: "expected text, or a list of parts" })
      .nullish(),
    reasoning_content: optional(z.string()),
    thinking: optional(z.string()),
    tool_calls: optional(z.array(toolCallSchema)),
    name: optional(z.string()),
    tool_call_id: optional(z.string()),
    ...weightsSchema,
  })
  .transform(({ role: named, content, loss_weight, weight, ...rest }, context): Turn => {
    const issue = (key: string, expected: string, code?: string): void =>
      context.addIssue({ code: "custom", path: [key], message: `expected ${expected}`, params: { code } });
    const role = named === "developer" ? "system" : named;
    const parsed = Array.isArray(content) ? z.array(partSchema).safeParse(content, inWords) : undefined;
    for (const { path, message } of parsed?.error?.issues ?? []) {
      context.addIssue({ code: "custom", path: ["content", ...path], message });
    }
    const parts = parsed?.data ?? [];
    const text = Array.isArray(content) ? textOf(parts, "text") : content;
    const reasoning = [rest.reasoning_content ?? "", textOf(parts, "reasoning")].join("");
    const calls = [
      ...(rest.tool_calls ?? []),
      ...parts.flatMap((part) =>
        part.type === "tool_call" ? [{ type: "function", function: part.value }] : [],
      ),
    ];
    if (role !== "assistant") {
      if (calls.length > 0) issue("tool_calls", "only on assistant turns");
      if (reasoning !== "") issue("reasoning_content", "only on assistant turns");
    }
    if (calls.length === 0 && typeof text !== "string") issue("content", "text");
    if (calls.length === 0 && role === "assistant" && text?.trim() === "") {
      issue("content", "an answer (or tool_calls)", "empty_turn");
    }
    if (loss_weight !== undefined && weight !== undefined && loss_weight !== weight) {
      issue("weight", `${loss_weight}, which loss_weight is`);
    }
    const message: ChatMessage = {
      role,
      ...Object.fromEntries(
        Object.entries(rest).filter(([, value]) => value !== undefined && value !== null),
      ),
      ...(text !== undefined && { content: text }),
      ...(calls.length > 0 && { tool_calls: calls }),
      ...(reasoning !== "" && { reasoning_content: reasoning }),
    };
    return { message, weight: loss_weight ?? weight };
  });

const PLAIN_ROLES: ReadonlySet<unknown> = new Set(["system", "user", "assistant", "tool"]);

/** A turn that has a role and a text and nothing else, as `turnSchema` makes it; undefined for any other, sound or not. */
export function plainTurn(value: unknown): Turn | undefined {
  if (!isJsonObject(value)) return undefined;
  for (const key in value) if (key !== "role" && key !== "content") return undefined;
  const { role, content } = value;
  if (!PLAIN_ROLES.has(role) || typeof content !== "string") return undefined;
  if (role === "assistant" && content.trim() === "") return undefined;
  return { message: { role: role as ChatMessage["role"], content }, weight: undefined };
}

function textOf(parts: readonly z.output<typeof partSchema>[], type: "text" | "reasoning"): string {
  return parts
    .map((part) => (part.type !== type ? "" : (("text" in part ? part.text : undefined) ?? part.value ?? "")))
    .join("");
}

export const toolsSchema = optional(
  jsonOr(z.array(z.unknown()), "a list of tools, or a JSON string of one", []),
);

const RESERVED_VARIABLES = ["messages", "tools", "add_generation_prompt", "strftime_now"];

/** `chat_template_kwargs`. What the renderer itself passes is not the row's to set. */
export const variablesSchema = optional(
  z
    .record(z.string(), z.unknown())
    .refine(
      (variables) => !RESERVED_VARIABLES.some((name) => name in variables),
      `expected none of ${RESERVED_VARIABLES.join(", ")} (the row and the run decide these)`,
    ),
);

/**
 * Checks weights and the order of turns: a system turn only at the start, then the user; user and assistant
 * take turns; an assistant's tool calls, in `tool_calls` or written in its text, are followed by their results
 * and these by the assistant. A conversation may end anywhere. `nameOf` spells a turn's field; the first
 * `promptTurns` are never trained. Throws UserError `roles_out_of_order` or `bad_row`.
 */
export function checkTurns(
  turns: readonly Turn[],
  nameOf: (turn: number) => string,
  place: RowPlace,
  promptTurns = 0,
): Turns {
  const messages = turns.map(({ message }) => message);
  checkRoles(messages, nameOf, place);
  for (const [turn, { message, weight }] of turns.entries()) {
    if (weight !== 1 || (message.role === "assistant" && turn >= promptTurns)) continue;
    const which = message.role === "assistant" ? "on a turn of the prompt" : `on a ${message.role} turn`;
    throw rowError(
      "bad_row",
      place,
      `${nameOf(turn)}.loss_weight: expected 0 or nothing ${which}, came 1. Only answers of the assistant are trained one by one; ` +
        "to train every token use loss_on everything, without weights.",
    );
  }
  const untrained = new Set(turns.flatMap(({ weight }, turn) => (weight === 0 ? [turn] : [])));
  return { messages, untrained, nameOf };
}

function checkRoles(
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
      return calls(message) ? ["tool"] : ["user", "tool"];
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
    return "A tool turn answers the assistant turn that called the tool: add that turn before it, or drop the row.";
  }
  if (before?.role === message.role)
    return "Merge the two turns, or add the one between them, or drop the row.";
  return "Put the turns in order, or drop the row.";
}
