/**
 * What a row of preferences may be, and the one place that decides it: by its columns, in this order. `chosen_ids` and `rejected_ids`
 * (tokens, with `prompt_ids` or whole), then `chosen` and `rejected` with `prompt` or `messages` (TRL's explicit prompt), `conversations`
 * (ShareGPT as LLaMA-Factory ranks it), `instruction` (Alpaca likewise), or alone (TRL's implicit prompt: what both begin with alike).
 * Texts or messages; `margin` says how much better the chosen side is. Any other column is the row's own business.
 */
import { z } from "zod";
import { alpacaAnswer, alpacaPrompt } from "./alpaca.js";
import { splitPrompt } from "./implicit-prompt.js";
import { asDouble, isJsonObject, withDoubles } from "./lossless-json.js";
import { type ChatMessage, checkTurns, type Turn, turnSchema } from "./messages.js";
import { type RowPlace, rowError } from "./reading/place.js";
import { canonicalJson } from "./record-id.js";
import { check, describe, optional } from "./row-check.js";
import { columnsOf, type Rendering, refuseInexact, renderingOf, tokenIdSchema } from "./sft-row.js";
import { sharegptTurn, sharegptTurns } from "./sharegpt.js";

/** How a row is written. */
export const preferenceFormats = ["tokens", "explicit", "implicit", "sharegpt", "alpaca", "nemo"] as const;
export type PreferenceFormat = (typeof preferenceFormats)[number];

export const sides = ["chosen", "rejected"] as const;
export type Side = (typeof sides)[number];

export type PreferenceRow = {
  readonly format: PreferenceFormat;
  /** How much better `chosen` is: what the row says, any finite number. */
  readonly margin: number | undefined;
} & (
  | ({
      readonly kind: "messages";
      /** `chosen` and `rejected` are the turns behind it. */
      readonly prompt: readonly ChatMessage[];
      /** How the file spells turn i of prompt and side together. */
      readonly nameOf: (side: Side, turn: number) => string;
    } & Rendering &
      Readonly<Record<Side, readonly ChatMessage[]>>)
  /** Without a prompt both sides are whole. */
  | ({ readonly kind: "text"; readonly prompt: string | undefined } & Readonly<Record<Side, string>>)
  | ({ readonly kind: "tokens"; readonly prompt: readonly number[] | undefined } & Readonly<
      Record<Side, readonly number[]>
    >)
);

/**
 * Checks one row; `format` says how it is written, else its columns do. Throws UserError naming file, line, field, what was expected and what
 * came: `bad_row`, `unknown_row`, `roles_out_of_order`, `empty_turn`; `no_difference` and `only_white_space` where the sides say the same;
 * `prompts_differ` where they answer different conversations.
 */
export function parsePreferenceRow(
  value: unknown,
  place: RowPlace,
  format?: PreferenceFormat,
): PreferenceRow {
  const row = columnsOf(value, place);
  const found = format ?? detect(row);
  if (found === undefined) throw unknownRow(row, place);
  const { margin } = check(marginSchema, row, place);
  const parsed = { format: found, margin, ...PARSERS[found](row, place) } as PreferenceRow;
  if (parsed.kind === "messages") {
    refuseInexact([parsed.prompt, parsed.chosen, parsed.rejected, parsed.tools, parsed.variables], place);
  }
  refuseEqual(parsed, place);
  return parsed;
}

const marginSchema = z.looseObject({
  margin: optional(z.preprocess(asDouble, z.number({ error: "expected a finite number" }).optional())),
});

function detect(row: object): PreferenceFormat | undefined {
  if ("chosen_ids" in row && "rejected_ids" in row) return "tokens";
  if (!("chosen" in row && "rejected" in row)) {
    return "context" in row && "completions" in row ? "nemo" : undefined;
  }
  if ("prompt" in row || "messages" in row) return "explicit";
  if ("conversations" in row) return "sharegpt";
  return "instruction" in row ? "alpaca" : "implicit";
}

type Parsed<Row = PreferenceRow> = Row extends unknown ? Omit<Row, "format" | "margin"> : never;

const PARSERS: Readonly<
  Record<PreferenceFormat, (row: Readonly<Record<string, unknown>>, place: RowPlace) => Parsed>
> = {
  tokens: (row, place) => {
    const {
      prompt_ids: prompt,
      chosen_ids: chosen,
      rejected_ids: rejected,
    } = check(tokensSchema, withDoubles(row), place);
    return { kind: "tokens", prompt, chosen, rejected };
  },
  explicit: explicitRow,
  implicit: implicitRow,
  nemo: nemoRow,
  sharegpt: (row, place) => {
    const { turns: prompt, nameOf, tools, variables } = sharegptTurns(row, place);
    const answer = (side: Side): readonly Turn[] => {
      const written = row[side];
      return turnsOf(row, side, place, sharegptTurn(Array.isArray(written) ? written[0] : written));
    };
    const turns = { prompt, chosen: answer("chosen"), rejected: answer("rejected") };
    return conversations(turns, nameOf, row, place, { tools, variables });
  },
  alpaca: (row, place) => {
    const { messages, tools, nameOf } = alpacaPrompt(row, place);
    const turn = (message: ChatMessage): Turn => ({ message, weight: undefined });
    const answer = (side: Side): readonly Turn[] => [turn(alpacaAnswer(row, side, place))];
    const turns = { prompt: messages.map(turn), chosen: answer("chosen"), rejected: answer("rejected") };
    return conversations(turns, nameOf, row, place, { tools, variables: undefined });
  },
};

const rankedSchema = z.looseObject({
  completions: z.tuple([
    z.looseObject({ rank: z.preprocess(asDouble, z.number()) }),
    z.looseObject({ rank: z.preprocess(asDouble, z.number()) }),
  ]),
});

/** NeMo RL's {context, completions: [{rank, completion}, ...]}: exactly two, the lower rank is the better. */
function nemoRow(row: Readonly<Record<string, unknown>>, place: RowPlace): Parsed {
  const { completions } = check(rankedSchema, row, place);
  const [first, second] = completions;
  if (first.rank === second.rank) {
    throw rowError(
      "bad_row",
      place,
      `completions: both have rank ${first.rank}, so neither is better. Give the better one the lower rank, or remove the row.`,
    );
  }
  const [better, worse] = first.rank < second.rank ? [first, second] : [second, first];
  const { context } = row;
  const prompt = typeof context === "string" ? [{ role: "user", content: context }] : context;
  const { context: _, completions: __, ...rest } = row;
  return explicitRow({ ...rest, prompt, chosen: better["completion"], rejected: worse["completion"] }, place);
}

const tokensSchema = z.looseObject({
  prompt_ids: z.array(tokenIdSchema).optional(),
  chosen_ids: z.array(tokenIdSchema).min(1),
  rejected_ids: z.array(tokenIdSchema).min(1),
});

function explicitRow(row: Readonly<Record<string, unknown>>, place: RowPlace): Parsed {
  const column = "prompt" in row ? "prompt" : "messages";
  const { [column]: prompt, chosen, rejected } = row;
  if (typeof prompt === "string") {
    if (typeof chosen !== "string" || typeof rejected !== "string") return implicitRow(row, place);
    for (const [name, text] of Object.entries({ prompt, chosen, rejected })) refuseBlank(name, text, place);
    return { kind: "text", prompt, chosen, rejected };
  }
  const side = (name: Side): readonly Turn[] => {
    // Of a chat model the answer may be given as its text.
    const content = row[name];
    if (typeof content !== "string") return turnsOf(row, name, place);
    refuseBlank(name, content, place);
    return [{ message: { role: "assistant", content }, weight: undefined }];
  };
  const turns = { prompt: turnsOf(row, column, place), chosen: side("chosen"), rejected: side("rejected") };
  return conversations(turns, (turn) => `${column}[${turn}]`, row, place);
}

/** Both sides are whole; a `prompt` beside conversations names what they answer. */
function implicitRow(row: Readonly<Record<string, unknown>>, place: RowPlace): Parsed {
  const { prompt: asked, chosen, rejected } = row;
  if (asked === undefined && typeof chosen === "string" && typeof rejected === "string") {
    for (const [name, text] of Object.entries({ chosen, rejected })) refuseBlank(name, text, place);
    return { kind: "text", prompt: undefined, chosen, rejected };
  }
  const listed = Array.isArray(chosen) || (Array.isArray(rejected) && typeof chosen !== "string");
  for (const name of sides) {
    if (listed ? Array.isArray(row[name]) : typeof row[name] === "string") continue;
    const expected = listed ? "a list of messages" : "text";
    throw rowError(
      "bad_row",
      place,
      `${name}: expected ${expected}, as the other side is, came ${describe(row[name])}.`,
    );
  }
  const [better, worse] = [turnsOf(row, "chosen", place), turnsOf(row, "rejected", place)];
  const split = splitPrompt(better, worse);
  if (split === undefined) throw noDifference(place);
  const shared = split.prompt.length;
  const isAsked = split.prompt.some(({ message }) => message.role === "user" && message.content === asked);
  if (typeof asked === "string" && shared > 0 && !isAsked) {
    throw rowError(
      "prompts_differ",
      place,
      `prompt is a text that no user turn at the start of both chosen and rejected says. Give prompt as messages and the answers without it, or leave prompt out.`,
    );
  }
  if (
    shared === 0 ||
    split.chosen[0]?.message.role !== "assistant" ||
    split.rejected[0]?.message.role !== "assistant"
  ) {
    const at = (side: readonly Turn[], name: string): string =>
      `${name}[${shared}] ${side[shared] === undefined ? "is not there" : `is ${side[shared].message.role === "assistant" ? "an assistant" : `a ${side[shared].message.role}`} turn`}`;
    throw rowError(
      "prompts_differ",
      place,
      `chosen and rejected part before an answer: ${at(better, "chosen")}, ${at(worse, "rejected")}. Both must answer the same conversation: mend the row, or remove it.`,
    );
  }
  return conversations(split, (turn) => `chosen[${turn}]`, row, place, undefined, shared);
}

/** A list of messages, or one, as LLaMA-Factory gives an answer. */
function turnsOf(
  row: Readonly<Record<string, unknown>>,
  column: string,
  place: RowPlace,
  turn: z.ZodType<Turn> = turnSchema,
): readonly Turn[] {
  const written = row[column];
  if (!Array.isArray(written) && !isJsonObject(written)) {
    throw rowError("bad_row", place, `${column}: expected a list of messages, came ${describe(written)}.`);
  }
  const schema = Array.isArray(written) ? z.array(turn).min(1) : turn;
  const turns = check(z.looseObject({ [column]: schema }), row, place)[column];
  return (Array.isArray(turns) ? turns : [turns]) as readonly Turn[];
}

function refuseBlank(column: string, text: string, place: RowPlace): void {
  if (text.trim() !== "") return;
  throw rowError("empty_turn", place, `${column}: expected text, came white space or nothing.`);
}

/** Checks the order of turns of prompt and each side. `offset`: turns of a side's column that are the prompt's. */
function conversations(
  turns: Readonly<Record<"prompt" | Side, readonly Turn[]>>,
  promptName: (turn: number) => string,
  row: Readonly<Record<string, unknown>>,
  place: RowPlace,
  rendering?: Rendering,
  offset = 0,
): Parsed {
  const { prompt } = turns;
  const nameOf = (side: Side, turn: number): string => {
    if (turn < prompt.length) return promptName(turn);
    return Array.isArray(row[side]) ? `${side}[${turn - prompt.length + offset}]` : side;
  };
  for (const side of sides) {
    const answer = turns[side];
    const name = (turn: number): string => nameOf(side, turn);
    const first = answer[0]?.message.role;
    if (first !== "assistant") {
      const again = canonicalJson(answer[0]?.message) === canonicalJson(prompt[0]?.message);
      throw rowError(
        "roles_out_of_order",
        place,
        `${name(prompt.length)}.role: expected assistant, came ${first}. ${again ? `${side} repeats the prompt: it holds the new turns alone` : `${side} is what the assistant answers: move the other turns to the prompt`}.`,
      );
    }
    checkTurns([...prompt, ...answer], name, place, prompt.length);
    for (const [i, { message, weight }] of answer.entries()) {
      const at = name(prompt.length + i);
      if (message.role === "user") {
        throw rowError(
          "roles_out_of_order",
          place,
          `${at} is a user turn, and would be learnt as part of the answer. Let the prompt end before the last answer, or remove the turn.`,
        );
      }
      if (weight === 0) {
        throw rowError(
          "bad_row",
          place,
          `${at}.loss_weight: expected 1 or nothing, came 0: of a preference the whole answer counts. Remove the weight.`,
        );
      }
    }
    const last = answer.length - 1;
    const role = answer[last]?.message.role;
    if (role !== "assistant") {
      throw rowError(
        "roles_out_of_order",
        place,
        `${name(prompt.length + last)}.role: expected the last turn to be the assistant's, came ${role}. Add the answer, or remove what follows the last one.`,
      );
    }
  }
  const { tools, variables } = rendering ?? renderingOf(row, place);
  const messages = (part: readonly Turn[]): readonly ChatMessage[] => part.map(({ message }) => message);
  return {
    kind: "messages",
    prompt: messages(prompt),
    chosen: messages(turns.chosen),
    rejected: messages(turns.rejected),
    nameOf,
    tools,
    variables,
  };
}

function refuseEqual({ chosen, rejected }: PreferenceRow, place: RowPlace): void {
  if (canonicalJson(chosen) === canonicalJson(rejected)) throw noDifference(place);
  if (canonicalJson(withoutSpace(chosen)) !== canonicalJson(withoutSpace(rejected))) return;
  throw rowError(
    "only_white_space",
    place,
    "chosen and rejected differ in white space alone: the model would learn that one spacing is better. Remove the row.",
  );
}

export function noDifference(place: RowPlace): Error {
  return rowError(
    "no_difference",
    place,
    "chosen and rejected are the same: there is nothing to prefer. Remove the row, or mend what made it.",
  );
}

/** A value with its texts without white space. */
function withoutSpace(value: unknown): unknown {
  if (typeof value === "string") return value.replace(/\s+/gu, "");
  if (Array.isArray(value)) return value.map(withoutSpace);
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withoutSpace(inner)]));
}

/** Pairs of columns that name the better and the worse answer elsewhere. */
const KNOWN_ELSEWHERE: readonly (readonly [string, string])[] = [
  ["response_j", "response_k"],
  ["chosen_response", "rejected_response"],
  ["preferred", "dispreferred"],
  ["response_0", "response_1"],
];

function unknownRow(row: object, place: RowPlace): Error {
  const columns = Object.keys(row);
  const pair = KNOWN_ELSEWHERE.find((names) => names.every((name) => columns.includes(name)));
  const one = sides.find((side) => columns.includes(side) || columns.includes(`${side}_ids`));
  let hint = "Rename or convert the columns.";
  if (pair) hint = `Rename ${pair[0]} and ${pair[1]} to chosen (the better) and rejected.`;
  else if (one) hint = `It has ${one} alone: a preference needs both sides, in one form.`;
  else if (columns.includes("label") || columns.includes("kto_tag"))
    hint =
      "This looks like unpaired preference, one answer with a label: put a good and a bad one of a prompt together.";
  else if (["messages", "completion", "output", "text"].some((column) => columns.includes(column)))
    hint = "This looks like a row of fine-tuning (sft), which has no worse answer.";
  return rowError(
    "unknown_row",
    place,
    `this kind of row is not known. Found ${columns.length > 0 ? `columns ${columns.join(", ")}` : "no columns"}; accepted are ` +
      "chosen and rejected with prompt (or messages), with conversations (ShareGPT), with instruction (Alpaca) or alone, and chosen_ids with rejected_ids and prompt_ids. " +
      hint,
  );
}
