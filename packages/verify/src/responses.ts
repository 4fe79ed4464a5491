/** Where a row keeps what a model said: one response or several, as text or as messages. */
import { stringifyJson } from "@posttrain/data";
import type { Row } from "./verifier.js";

export interface Responses {
  readonly texts: readonly string[];
  /** The column they come from. */
  readonly column: string;
  /** The row holds a list of them. */
  readonly several: boolean;
}

export type FoundResponses = Responses | { readonly problem: string };

/** `solution` comes last: where another column has the response, it is the reference. */
export const responseColumns = [
  "responses",
  "completions",
  "response",
  "completion",
  "prediction",
  "solution",
] as const;

/** A row with this response in place of all that it says of others. A solution stays: beside a response it is the reference. */
export function withResponse(row: Row, response: string): Row {
  const others: readonly string[] = responseColumns.filter((column) => column !== "solution");
  return {
    ...Object.fromEntries(Object.entries(row).filter(([column]) => !others.includes(column))),
    response,
  };
}

export function responsesOf(row: Row): FoundResponses {
  const column = responseColumns.find((name) => row[name] !== undefined && row[name] !== null);
  if (column === undefined) {
    return {
      problem: `it has no response: expected ${responseColumns.join(", ")} among its columns, which are ${Object.keys(row).join(", ") || "none"}. Rename the column that has what the model said.`,
    };
  }
  const value = row[column];
  // A list in a plural column has a response in each entry, be it a message; in a singular one messages are a conversation.
  const single = column.endsWith("s") && Array.isArray(value) ? undefined : textOf(value);
  if (single !== undefined) return { texts: [single], column, several: false };
  if (Array.isArray(value) && value.length > 0) {
    const texts = value.map(textOf);
    const wrong = texts.indexOf(undefined);
    if (wrong < 0) return { texts: texts as string[], column, several: true };
    return { problem: `${column}, entry ${wrong + 1}: ${expectation(value[wrong])}` };
  }
  return {
    problem: Array.isArray(value) ? `${column}: the list is empty.` : `${column}: ${expectation(value)}`,
  };
}

const expectation = (value: unknown): string =>
  `expected text or messages with an assistant turn, came ${stringifyJson(value).slice(0, 80)}.`;

/** Text as it is; of messages the text of the assistant's turns, the last of them. */
function textOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (isMessage(value)) return value.role === "assistant" ? contentOf(value.content) : undefined;
  if (!Array.isArray(value) || value.length === 0 || !value.every(isMessage)) return undefined;
  const last = value.filter(({ role }) => role === "assistant").at(-1);
  return last === undefined ? undefined : contentOf(last.content);
}

interface Message {
  readonly role: string;
  readonly content: unknown;
}

function isMessage(value: unknown): value is Message {
  return typeof value === "object" && value !== null && "role" in value && "content" in value;
}

/** OpenAI's form of content in parts has text in some of them. */
function contentOf(content: unknown): string | undefined {
  if (typeof content === "string") return content;
  if (content === null) return ""; // a turn of tool calls alone
  if (!Array.isArray(content)) return undefined;
  return content
    .map((part: unknown) =>
      typeof part === "object" && part !== null && "text" in part ? String(part.text) : "",
    )
    .join("");
}
