/**
 * The texts of a row, whatever its form: what it asks and what is answered. Rows that only ask are told apart by what stands beside the question too: a context, options, an
 * answer, a table. Beside a whole conversation columns are graders' and readers', and are not looked at.
 */
import { detectFormat } from "../data-format.js";
import { isJsonObject, stringifyJson } from "../lossless-json.js";
import { type RowPlace, rowError } from "../reading/place.js";
import { readContent } from "../row-content.js";

export interface RowTexts {
  /** Turns of the system, of users and of tools. */
  readonly asked: readonly string[];
  /** Turns of the assistant; plain text that a model is trained on whole. */
  readonly answers: readonly string[];
  /** Worse answers of pairs, which no model shall give. */
  readonly rejected: readonly string[];
  /** Of rows that only ask: texts of all other columns, names of rows apart. */
  readonly beside: readonly string[];
}

/** What a question is about. */
const contexts = ["context", "passage"];
const answerColumns = ["answer", "solution", "response", "output", "completion"];
const names = /^(?:parents|evidence|(?:.*_)?(?:id|idx|index|uid|uuid|key|hash))$/;

/** Throws UserError for rows of tokens (`no_text`), and what training on the row would throw. */
export function textsOf(value: unknown, place: RowPlace): RowTexts {
  const format = detectFormat(value);
  const texts = {
    asked: [] as string[],
    answers: [] as string[],
    rejected: [] as string[],
    beside: [] as string[],
  };
  if (format === undefined || !isJsonObject(value)) {
    const found = isJsonObject(value) ? Object.keys(value).join(", ") || "none" : "no object";
    throw rowError(
      "unknown_row",
      place,
      `this kind of row is not known; its columns are ${found}. Name them with --columns.`,
    );
  }
  if (format === "tokens" || format === "preference-tokens")
    throw rowError(
      "no_text",
      place,
      "the row is of tokens, and has no text to be looked at. Give the texts that they were made of.",
    );
  if (format === "responses") {
    gather(value["prompt"] ?? value["messages"] ?? value["question"] ?? value["context"], texts.asked, texts);
    for (const column of ["response", "responses", "completions"])
      gather(value[column], texts.answers, texts);
    return texts;
  }
  const { content, rest } = readContent(value, format, place);
  gather(content.text, texts.answers, texts);
  gather(content.prompt, texts.asked, texts);
  gather(content.completion ?? content.chosen, texts.answers, texts);
  gather(content.rejected, texts.rejected, { ...texts, answers: texts.rejected });
  if (["prompt", "question", "verl"].includes(format)) {
    const spoken = texts.asked.join("\n");
    for (const [column, part] of Object.entries(rest)) {
      if (names.test(column) || (typeof part === "string" && spoken.includes(part))) continue;
      if (contexts.includes(column)) gather(part, texts.asked, texts);
      else if (answerColumns.includes(column)) gather(part, texts.answers, texts);
      else stringsIn(part, texts.beside);
    }
  }
  return texts;
}

function stringsIn(value: unknown, into: string[]): void {
  if (typeof value === "string") into.push(value);
  else if (Array.isArray(value)) for (const one of value) stringsIn(one, into);
  else if (isJsonObject(value)) for (const one of Object.values(value)) stringsIn(one, into);
}

/** All of them as one text: what near-duplicates and contamination are told by. */
export function wholeText({ asked, answers, rejected, beside }: RowTexts): string {
  return [...asked, ...answers, ...rejected, ...beside].join("\n");
}

/** Text goes to `into`, turns where their role says. */
function gather(
  part: unknown,
  into: string[],
  texts: { readonly asked: string[]; readonly answers: string[] },
): void {
  if (typeof part === "string") into.push(part);
  else if (Array.isArray(part)) for (const one of part) gather(one, into, texts);
  else if (isJsonObject(part)) {
    const { role, content, text, value, tool_calls: calls } = part;
    const to = role === undefined ? into : role === "assistant" ? texts.answers : texts.asked;
    gather(content ?? text ?? value, to, texts);
    if (Array.isArray(calls)) to.push(stringifyJson(calls));
  }
}
