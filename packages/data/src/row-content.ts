/** What a row says, whatever its form: the same texts and messages, as the row spells them. */

import { type DataFormat, questionColumns } from "./data-format.js";
import { splitPrompt } from "./implicit-prompt.js";
import { asDouble, isJsonObject, stringifyJson } from "./lossless-json.js";
import { parsePreferenceRow } from "./preference-row.js";
import { askedByRow } from "./prompt-row.js";
import { type RowPlace, rowError } from "./reading/place.js";
import { parseSftRow } from "./sft-row.js";

type Row = Readonly<Record<string, unknown>>;
/** A turn as OpenAI spells it, with every key that it has. */
export type Message = Readonly<Record<string, unknown>>;
/** Plain text, or turns. */
export type Part = string | readonly Message[];

export interface Content {
  readonly text?: string;
  /** What comes before the answer. */
  readonly prompt?: Part | undefined;
  readonly completion?: Part | undefined;
  readonly chosen?: Part | undefined;
  readonly rejected?: Part | undefined;
  readonly label?: boolean;
}

/** Columns that a form reads; all others stay. */
const columns: Readonly<Record<DataFormat, readonly string[]>> = {
  tokens: [],
  messages: ["messages"],
  sharegpt: ["conversations", "system"],
  alpaca: ["instruction", "input", "output", "system", "history"],
  "prompt-completion": ["prompt", "completion"],
  text: ["text"],
  prompt: ["prompt"],
  question: ["question"],
  verl: ["prompt"],
  preference: ["prompt", "messages", "chosen", "rejected"],
  "preference-implicit": ["chosen", "rejected"],
  "preference-sharegpt": ["conversations", "system", "chosen", "rejected"],
  "preference-alpaca": ["instruction", "input", "system", "history", "chosen", "rejected"],
  "preference-nemo": ["context", "completions"],
  "preference-tokens": [],
  unpaired: ["prompt", "completion", "label"],
  "unpaired-messages": ["messages", "label", "kto_tag"],
  responses: [],
};

/** Throws UserError: what training on the row would throw, `cannot_convert` for tokens and lists of responses. */
export function readContent(
  row: Row,
  format: DataFormat,
  place: RowPlace,
): { readonly content: Content; readonly rest: Row } {
  checkRow(row, format, place);
  const rest = Object.fromEntries(Object.entries(row).filter(([name]) => !columns[format].includes(name)));
  return { content: contentOf(row, format, place), rest };
}

/** Throws UserError for a row that no stage would take. */
export function checkRow(row: Row, format: DataFormat, place: RowPlace): void {
  if (format.startsWith("preference")) parsePreferenceRow(row, place);
  else if (["prompt", "question", "verl"].includes(format) || asksOnly(row, format)) {
    const asked = askedByRow(row, place);
    if ("problem" in asked) throw rowError("bad_row", place, asked.problem);
  } else if (format.startsWith("unpaired")) {
    const { label, kto_tag, ...sound } = row;
    if (
      format === "unpaired" &&
      typeof asDouble(label) !== "boolean" &&
      asDouble(label) !== 0 &&
      asDouble(label) !== 1
    ) {
      throw rowError("bad_row", place, `label: expected true or false, came ${stringifyJson(label)}.`);
    }
    parseSftRow(sound, place, format === "unpaired" ? "prompt-completion" : "messages");
  } else if (format !== "responses") parseSftRow(row, place, format as "messages");
}

/** Messages that wait for their answer, as prompts of RL. */
function asksOnly(row: Row, format: DataFormat): boolean {
  if (format !== "messages") return false;
  const last = Array.isArray(row["messages"]) ? (row["messages"].at(-1) as unknown) : undefined;
  return isJsonObject(last) && last["role"] !== "assistant";
}

function contentOf(row: Row, format: DataFormat, place: RowPlace): Content {
  const part = (column: string): Part => row[column] as Part;
  /** An answer to messages may be one message, or its text. */
  const side = (column: string, prompt: Part): Part => answerOf(row[column], prompt);
  switch (format) {
    case "text":
      return { text: row["text"] as string };
    case "messages":
      return splitAnswer(part("messages") as readonly Message[]);
    case "unpaired-messages":
      return {
        ...splitAnswer(part("messages") as readonly Message[]),
        label: (row["label"] ?? row["kto_tag"]) as boolean,
      };
    case "sharegpt":
      return splitAnswer(sharegptMessages(row, place));
    case "alpaca":
      return { prompt: alpacaMessages(row), completion: [{ role: "assistant", content: row["output"] }] };
    case "prompt-completion":
      return { prompt: part("prompt"), completion: part("completion") };
    case "unpaired":
      return {
        prompt: part("prompt"),
        completion: part("completion"),
        label: Boolean(asDouble(row["label"])),
      };
    case "question": {
      const column = questionColumns.find((name) => (row[name] ?? null) !== null)!;
      return { prompt: column === "instruction" ? alpacaMessages(row) : part(column) };
    }
    case "prompt":
    case "verl":
      return { prompt: part("prompt") };
    case "preference": {
      const prompt = part(row["prompt"] === undefined || row["prompt"] === null ? "messages" : "prompt");
      const whole = typeof prompt === "string" && typeof row["chosen"] !== "string";
      return whole
        ? implicit(row)
        : { prompt, chosen: side("chosen", prompt), rejected: side("rejected", prompt) };
    }
    case "preference-implicit":
      return implicit(row);
    case "preference-sharegpt": {
      const answer = (column: string): readonly Message[] =>
        ([row[column]].flat() as Message[]).map((turn) => sharegptMessage(turn, column, place));
      return { prompt: sharegptMessages(row, place), chosen: answer("chosen"), rejected: answer("rejected") };
    }
    case "preference-alpaca": {
      const prompt = alpacaMessages(row);
      return { prompt, chosen: side("chosen", prompt), rejected: side("rejected", prompt) };
    }
    case "preference-nemo": {
      const context = row["context"] as Part;
      const prompt = typeof context === "string" ? [{ role: "user", content: context }] : context;
      const [better, worse] = [...(row["completions"] as readonly Message[])].sort(
        (a, b) => Number(asDouble(a["rank"])) - Number(asDouble(b["rank"])),
      );
      return { prompt, chosen: better!["completion"] as Part, rejected: worse!["completion"] as Part };
    }
    default:
      throw rowError(
        "cannot_convert",
        place,
        `rows of ${format} are no texts that could be written otherwise.`,
      );
  }
}

function answerOf(value: unknown, prompt: Part): Part {
  if (typeof prompt === "string") return value as Part;
  if (typeof value === "string") return [{ role: "assistant", content: value }];
  return Array.isArray(value) ? value : [value as Message];
}

function implicit(row: Row): Content {
  const { prompt, chosen, rejected } = splitPrompt(row["chosen"] as Part, row["rejected"] as Part)!;
  return prompt.length === 0 ? { chosen, rejected } : { prompt, chosen, rejected };
}

function splitAnswer(messages: readonly Message[]): Content {
  if (messages.at(-1)?.["role"] !== "assistant") return { prompt: messages };
  return { prompt: messages.slice(0, -1), completion: messages.slice(-1) };
}

const roles: Readonly<Record<string, string>> = {
  ...{ human: "user", user: "user", gpt: "assistant", chatgpt: "assistant", assistant: "assistant" },
  ...{ system: "system", observation: "tool", tool: "tool", function_call: "assistant" },
};

function sharegptMessages(row: Row, place: RowPlace): readonly Message[] {
  const turns = (row["conversations"] as readonly Message[]).map((turn) =>
    sharegptMessage(turn, "conversations", place),
  );
  const { system } = row;
  return typeof system === "string" && system !== "" && turns[0]?.["role"] !== "system"
    ? [{ role: "system", content: system }, ...turns]
    : turns;
}

function sharegptMessage(turn: Message, column: string, place: RowPlace): Message {
  if ("role" in turn) return turn;
  const { from, value, ...more } = turn;
  if (from !== "function_call") return { role: roles[String(from)], content: value, ...more };
  // Checked before: it is JSON of one call, or of several.
  const { messages } = parseSftRow(
    { conversations: [{ from: "human", value: "q" }, turn] },
    place,
    "sharegpt",
  ) as unknown as {
    readonly messages: readonly Message[];
  };
  const call = messages.at(-1)?.["tool_calls"];
  if (call === undefined)
    throw rowError("bad_row", place, `${column}: expected a call in a function_call turn.`);
  return { role: "assistant", content: "", tool_calls: call, ...more };
}

function alpacaMessages({ instruction, input, system, history }: Row): readonly Message[] {
  const question = [instruction, input ?? ""].filter((text) => text !== "").join("\n");
  return [
    ...(system ? [{ role: "system", content: system }] : []),
    ...((history ?? []) as readonly (readonly string[])[]).flatMap(([asked, answered]) => [
      { role: "user", content: asked },
      { role: "assistant", content: answered },
    ]),
    { role: "user", content: question },
  ];
}
