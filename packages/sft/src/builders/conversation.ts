// Conversations: read from seeds of any form, and as roles are asked with them.
import {
  askedByRow,
  type ChatMessage,
  createConverter,
  detectFormat,
  isJsonObject,
  messagesOf,
  UserError,
} from "@posttrain/data";
import type { TeacherRequest } from "@posttrain/rollout";
import { responsesOf } from "@posttrain/verify";
import type { Seed } from "./area.js";
import { drop, keep, type Outcome } from "./outcome.js";

/** A conversation that waits for an answer. */
export interface Question {
  readonly seed: Seed;
  readonly messages: readonly ChatMessage[];
}

/** With the answer that it got. */
export interface Answer extends Question {
  readonly response: string;
}

/** Turns of text alone; undefined where some are calls of tools, or their results. */
export function served(messages: readonly ChatMessage[]): TeacherRequest["messages"] | undefined {
  const turns = messages.flatMap(({ role, content, tool_calls: calls }) =>
    role === "tool" || calls !== undefined || typeof content !== "string" ? [] : [{ role, content }],
  );
  return turns.length === messages.length ? turns : undefined;
}

/** As a text for somebody who reads it, each turn under its role. */
export const readable = (messages: readonly ChatMessage[]): string =>
  messages
    .map(({ role, content, tool_calls: calls }) =>
      [`[${role}]`, content ?? "", ...(calls === undefined ? [] : [JSON.stringify(calls)])].join("\n"),
    )
    .join("\n\n");

/** What a row asks, with what is answered: nothing, once, or several times. */
export function questionsOf(seed: Seed): Outcome<Question | Answer> {
  const { row, place } = seed;
  try {
    if (detectFormat(row) === "responses") {
      const [asked, said] = [askedByRow(row, place), responsesOf(row)];
      if ("problem" in asked || asked.kind === "tokens" || "problem" in said)
        return drop("asks_nothing", place);
      const messages = messagesOf(asked);
      return keep(...said.texts.map((response) => ({ seed, messages, response })));
    }
    const tasks = selfInstruct(row);
    if (tasks !== undefined) return keep(...tasks.map((task) => ({ seed, ...task })));
    const [whole] = createConverter({ to: "messages" })(row, place).rows;
    const messages = whole!["messages"] as readonly ChatMessage[];
    const last = messages.at(-1);
    if (last?.role !== "assistant") return keep({ seed, messages });
    if (typeof last.content !== "string" || last.content.trim() === "")
      return drop("ends_without_text", place);
    return keep({ seed, messages: messages.slice(0, -1), response: last.content });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return drop("unreadable", { ...place, why: error.message });
  }
}

/** Self-Instruct's seed tasks: an instruction with the inputs that it is given, and what it gives. */
function selfInstruct({ instruction, instances }: Seed["row"]): readonly Omit<Answer, "seed">[] | undefined {
  if (typeof instruction !== "string" || !Array.isArray(instances)) return undefined;
  const tasks = instances.filter(isJsonObject).flatMap(({ input, output }) => {
    if (typeof output !== "string" || output.trim() === "") return [];
    const content = typeof input === "string" && input !== "" ? `${instruction}\n\n${input}` : instruction;
    return [{ messages: [{ role: "user", content } as const], response: output }];
  });
  return tasks.length > 0 ? tasks : undefined;
}
