/** What a row says, in the columns of a form. Throws UserError `cannot_convert` where the form has no place for it. */
import type { DataFormat } from "./data-format.js";
import { isJsonObject, stringifyJson } from "./lossless-json.js";
import { type RowPlace, rowError } from "./reading/place.js";
import type { Content, Message, Part } from "./row-content.js";

type Row = Readonly<Record<string, unknown>>;

export function writeContent(content: Content, rest: Row, to: DataFormat, place: RowPlace): Row {
  const refuse = (reason: string) =>
    rowError("cannot_convert", place, `it cannot be written as ${to}: ${reason}.`);
  const write = createWriters(refuse);
  const { text, prompt, label } = content;
  if (to === "text") {
    if (text !== undefined) return { text };
    throw refuse(
      "turns become one text by a model's chat template, and a prompt with its completion has two parts",
    );
  }
  if (text !== undefined) throw refuse("plain text has no turns, and no prompt");
  const completion = content.completion ?? content.chosen;
  const answer = (): Part => {
    if (completion === undefined) throw refuse("it has no answer");
    return completion;
  };
  const both = (): { readonly chosen: Part; readonly rejected: Part } => {
    const { chosen, rejected } = content;
    if (chosen === undefined || rejected === undefined)
      throw refuse("it has one answer, and a preference has two");
    return { chosen, rejected };
  };
  const asked = (): Part => {
    if (prompt === undefined) throw refuse("its sides have no prompt in common");
    return prompt;
  };
  switch (to) {
    case "messages":
      return {
        messages: [
          ...write.turns(asked(), "user"),
          ...(completion === undefined ? [] : write.turns(completion, "assistant")),
        ],
      };
    case "unpaired-messages":
      return {
        messages: [...write.turns(asked(), "user"), ...write.turns(answer(), "assistant")],
        label: labelOf(),
      };
    case "sharegpt":
      return write.sharegpt([...write.turns(asked(), "user"), ...write.turns(answer(), "assistant")]);
    case "alpaca":
      return { ...write.alpaca(write.turns(asked(), "user")), output: write.plain(answer()) };
    case "prompt-completion":
      return write.alike({ prompt: asked(), completion: answer() });
    case "unpaired":
      return { ...write.alike({ prompt: asked(), completion: answer() }), label: labelOf() };
    case "question":
      return { question: asked() };
    case "prompt":
      return { prompt: asked() };
    case "verl":
      return { prompt: write.turns(asked(), "user"), ...verlColumns(rest, refuse) };
    case "preference":
      return write.alike({ prompt: asked(), ...both() });
    case "preference-implicit": {
      const { chosen, rejected } = both();
      return { chosen: write.joined(prompt, chosen), rejected: write.joined(prompt, rejected) };
    }
    case "preference-sharegpt": {
      const { chosen, rejected } = both();
      return {
        ...write.sharegpt(write.turns(asked(), "user")),
        chosen: write.sharegptAnswer(chosen),
        rejected: write.sharegptAnswer(rejected),
      };
    }
    case "preference-alpaca": {
      const { chosen, rejected } = both();
      return {
        ...write.alpaca(write.turns(asked(), "user")),
        chosen: write.plain(chosen),
        rejected: write.plain(rejected),
      };
    }
    case "preference-nemo": {
      const { chosen, rejected } = both();
      const completions = [chosen, rejected].map((side, rank) => ({
        rank,
        completion: write.turns(side, "assistant"),
      }));
      return { context: write.turns(asked(), "user"), completions };
    }
    default:
      throw refuse("it has texts, and tokens or graded responses are made of them by other commands");
  }

  function labelOf(): boolean {
    if (label !== undefined) return label;
    throw refuse("nothing says whether its answer is a good one (label)");
  }
}

/** What verl's reward needs. */
function verlColumns(rest: Row, refuse: (reason: string) => Error): Row {
  const source = rest["data_source"] ?? rest["dataset"];
  if (source === undefined || source === null)
    throw refuse("it needs data_source, by which verl picks the reward");
  const truth = ["ground_truth", "answer", "solution"]
    .map((name) => rest[name])
    .find((value) => value !== undefined && value !== null);
  if (!isJsonObject(rest["reward_model"]) && truth === undefined)
    throw refuse("it needs reward_model, or ground_truth, answer or solution");
  return {
    ...(rest["data_source"] === undefined && { data_source: source }),
    ...(!isJsonObject(rest["reward_model"]) && { reward_model: { style: "rule", ground_truth: truth } }),
  };
}

const fromRoles: Readonly<Record<string, string>> = {
  user: "human",
  assistant: "gpt",
  system: "system",
  developer: "system",
  tool: "observation",
};

function createWriters(refuse: (reason: string) => Error) {
  const turns = (part: Part, role: string): readonly Message[] =>
    typeof part === "string" ? [{ role, content: part }] : part;

  const textOf = (message: Message, what: string): string => {
    const { content } = message;
    if (typeof content !== "string") throw refuse(`${what} has a content that is no text`);
    return content;
  };
  /** A turn of a text alone. */
  const plainText = (message: Message): string => {
    const more = Object.keys(message).find(
      (key) => !["role", "content"].includes(key) && message[key] !== null,
    );
    if (more !== undefined) throw refuse(`a turn has ${more}, for which there is no column`);
    return textOf(message, "a turn");
  };
  const sharegptTurn = (message: Message): Message => {
    const { role, content, tool_calls: calls, ...more } = message;
    const lost = ["reasoning_content", "thinking"].find((key) => more[key]);
    if (lost !== undefined) throw refuse(`a turn has ${lost}, which ShareGPT does not know`);
    if (!Array.isArray(calls) || calls.length === 0)
      return { from: fromRoles[String(role)], value: textOf(message, "a turn"), ...more };
    if (content !== undefined && content !== null && content !== "")
      throw refuse("a turn has a text beside its tool calls");
    const functions = calls.map((call: unknown) => (isJsonObject(call) ? call["function"] : call));
    return {
      from: "function_call",
      value: stringifyJson(functions.length === 1 ? functions[0] : functions),
      ...more,
    };
  };
  return {
    turns,
    /** Texts all, or turns all. */
    alike: (parts: Readonly<Record<string, Part>>): Row => {
      if (Object.values(parts).every((part) => typeof part === "string")) return parts;
      return Object.fromEntries(
        Object.entries(parts).map(([name, part]) => [
          name,
          turns(part, name === "prompt" ? "user" : "assistant"),
        ]),
      );
    },
    joined: (prompt: Part | undefined, side: Part): Part => {
      if (typeof prompt === "string" && typeof side === "string") return prompt + side;
      if (prompt === undefined) return side;
      return [...turns(prompt, "user"), ...turns(side, "assistant")];
    },
    sharegpt: (messages: readonly Message[]): Row => {
      const [first, ...others] = messages;
      const isSystem = first !== undefined && (first["role"] === "system" || first["role"] === "developer");
      if (!isSystem) return { conversations: messages.map(sharegptTurn) };
      return { conversations: others.map(sharegptTurn), system: plainText(first) };
    },
    sharegptAnswer: (part: Part): Message => {
      const [turn, ...more] = turns(part, "assistant");
      if (turn === undefined || more.length > 0)
        throw refuse("a side has several turns, and there is room for one");
      return sharegptTurn(turn);
    },
    plain: (part: Part): string => {
      if (typeof part === "string") return part;
      const [turn, ...more] = part;
      if (turn === undefined || more.length > 0) throw refuse("its answer has several turns");
      return plainText(turn);
    },
    alpaca: (messages: readonly Message[]): Row => {
      const isSystem = messages[0]?.["role"] === "system";
      const talk = isSystem ? messages.slice(1) : messages;
      const wrong = talk.findIndex((turn, i) => turn["role"] !== (i % 2 === 0 ? "user" : "assistant"));
      if (wrong >= 0 || talk.length % 2 === 0) throw refuse("its turns are not pairs of question and answer");
      const history = Array.from({ length: (talk.length - 1) / 2 }, (_, i) => [
        plainText(talk[2 * i]!),
        plainText(talk[2 * i + 1]!),
      ]);
      return {
        instruction: plainText(talk.at(-1)!),
        input: "",
        ...(isSystem && { system: plainText(messages[0]!) }),
        ...(history.length > 0 && { history }),
      };
    },
  };
}
