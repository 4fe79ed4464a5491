// Conversations as roles are asked with them: turns of text.
import type { ChatMessage } from "@posttrain/data";
import type { TeacherRequest } from "@posttrain/rollout";

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
