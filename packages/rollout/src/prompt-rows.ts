// Prompts as token ids, from a file or from a command line, every one of them checked before a model is loaded.
import {
  createRecordIds,
  isJsonObject,
  parseSftRow,
  type RowPlace,
  readJsonl,
  type SftRow,
  stringifyJson,
  type TextStart,
  UserError,
} from "@posttrain/data";
import { renderPrompt, rowError, startOf, type TextSide } from "./text-side.js";

export interface PromptRow {
  readonly line: number;
  readonly id: string;
  readonly ids: Int32Array;
}

/**
 * Prompts from a file: {prompt} is one user message (with `raw`: text as it is), {messages} a conversation that waits for an
 * answer, {input_ids} tokens. UserError naming file and line.
 */
export async function readPrompts(path: string, raw: boolean, text: TextSide): Promise<readonly PromptRow[]> {
  return readIdRows(path, async (value, place) => promptIds(value, place, raw, text), text);
}

/** A prompt from the command line, as the row {prompt}. */
export async function singlePrompt(prompt: string, raw: boolean, text: TextSide): Promise<PromptRow> {
  if (prompt === "") {
    throw new UserError("empty_prompt", "--prompt is empty: give the text to answer or continue.");
  }
  const place = { path: "--prompt", line: 1 };
  const ids = await promptIds({ prompt }, place, raw, text);
  return { line: 1, id: createRecordIds()({ prompt }), ids: checked(ids, place, text) };
}

async function promptIds(
  value: unknown,
  place: RowPlace,
  raw: boolean,
  text: TextSide,
): Promise<readonly number[]> {
  const prompt = columnOf(value, "prompt");
  if (prompt !== undefined) {
    const content = checkText("prompt", prompt, place);
    const start = raw ? startOf(content, text) : renderPrompt([{ role: "user", content }], text, { place });
    return allOf(await start, place, text);
  }
  const row = asRow(value, place, "prompt, messages or input_ids");
  if (row.kind === "tokens") return row.inputIds;
  if (row.messages.at(-1)?.role === "assistant") {
    throw rowError(
      "bad_row",
      place,
      "the last message is an assistant turn, so there is nothing to answer. Remove it, or give the text as prompt with --raw.",
    );
  }
  const rest = { place, tools: row.tools, variables: row.variables };
  return allOf(await renderPrompt(row.messages, text, rest), place, text);
}

/** All ids of a text. UserError naming file and line where it is too long to have them. */
export function allOf(
  { ids, whole, atLeast, refusal }: TextStart,
  place: RowPlace,
  text: TextSide,
): readonly number[] {
  if (whole) return ids;
  if (refusal && !isTooLong(atLeast, text)) throw rowError(refusal.code, place, refusal.message, refusal);
  throw tooLong(`at least ${atLeast}`, place, text);
}

/** Rows of a file by what `tokens` makes of each. UserError naming file and line for ids that the model does not know, or has no room for. */
export async function readIdRows(
  path: string,
  tokens: (value: unknown, place: RowPlace) => Promise<readonly number[]>,
  text: TextSide,
): Promise<readonly PromptRow[]> {
  const recordId = createRecordIds();
  const rows: PromptRow[] = [];
  for await (const { line, value } of readJsonl(path, { onProgress: text.onProgress })) {
    const place = { path, line };
    const id = recordId(value);
    rows.push({ line, id, ids: checked(await tokens(value, place), place, text) });
  }
  return rows;
}

function checked(ids: readonly number[], place: RowPlace, text: TextSide): Int32Array {
  const { vocabSize } = text.config;
  const foreign = ids.findIndex((token) => token >= vocabSize);
  if (foreign >= 0) {
    throw rowError(
      "id_out_of_range",
      place,
      `token ${foreign} is ${ids[foreign]}, but the model knows the ids 0 to ${vocabSize - 1}. The row, or the folder's tokenizer, belongs to another model.`,
    );
  }
  if (isTooLong(ids.length, text)) throw tooLong(String(ids.length), place, text);
  return Int32Array.from(ids);
}

function isTooLong(tokens: number, { config, allowBeyondContext }: TextSide): boolean {
  return tokens > config.maxPositionEmbeddings && allowBeyondContext !== true;
}

function tooLong(tokens: string, place: RowPlace, { config, allowBeyondContext }: TextSide): UserError {
  return rowError(
    "row_too_long",
    place,
    `${tokens} tokens, the model's context holds ${config.maxPositionEmbeddings} (max_position_embeddings). Shorten or split the row${allowBeyondContext === false ? ", or set allow_beyond_context: the model has not learnt positions beyond" : ""}.`,
  );
}

/** A column that has to be text, and some of it. */
export function checkText(column: string, value: unknown, place: RowPlace): string {
  if (typeof value === "string" && value !== "") return value;
  throw rowError("bad_row", place, `${column}: expected text, came ${stringifyJson(value).slice(0, 60)}.`);
}

/** A row that is neither of the command's own kind: messages or tokens. */
function asRow(
  value: unknown,
  place: RowPlace,
  accepted: string,
): Extract<SftRow, { kind: "messages" | "tokens" }> {
  try {
    const row = parseSftRow(value, place);
    if (row.kind === "messages" || row.kind === "tokens") return row;
    throw new UserError("unknown_row", "");
  } catch (error) {
    if (!(error instanceof UserError) || error.code !== "unknown_row") throw error;
    const columns = Object.keys(value as object).join(", ") || "none";
    throw rowError(
      "unknown_row",
      place,
      `this kind of row is not known: its columns are ${columns}, expected ${accepted}. Rename or convert the columns.`,
    );
  }
}

/** A column of a row that is not tokenised; null counts as absent. */
export function columnOf(value: unknown, name: string): unknown {
  if (!isJsonObject(value) || "input_ids" in value) return undefined;
  return value[name] ?? undefined;
}
