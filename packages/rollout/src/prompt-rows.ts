// Prompts as token ids, from a file or from a command line, every one of them checked before a model is loaded.
import {
  type AskedRow,
  askedByRow,
  type ContentToken,
  contentAsText,
  createRecordIds,
  isJsonObject,
  type OnProgress,
  openBooks,
  type PlannedRow,
  type Reject,
  type RowCounts,
  type RowPlace,
  readRows,
  readTokenRows,
  refuseSpecialTokens,
  stringifyJson,
  type TextStart,
  type TokenInContent,
  tokensInContent,
  UserError,
} from "@posttrain/data";
import type { TeacherRequest } from "./teacher.js";
import { type OpenPrompt, promptStarts, promptText, roomOf, rowError, type TextSide } from "./text-side.js";

export interface IdRow {
  readonly line: number;
  readonly id: string;
  readonly ids: Int32Array;
}

export interface PromptRow extends IdRow {
  /** The row, with the columns that say what becomes of its responses. */
  readonly columns: Readonly<Record<string, unknown>>;
}

/** Rows in the order of their file. */
export interface IdRows<Row extends IdRow> {
  readonly rows: readonly Row[];
  /** SHA-256 of the file's bytes, in hex. */
  readonly digest: string;
  readonly counts: Pick<RowCounts, "read" | "rejected" | "formats">;
  /** Bad rows, where they are not an error. */
  readonly rejects: readonly Reject[];
  /** Added tokens in what conversations say, where there is a choice of what they are. */
  readonly contentTokens: readonly ContentToken[];
}

/** What a bad row does: it ends the reading, or is left out and listed. */
export type OnBadRow = "error" | "reject";

/**
 * Prompts from a file: tokens as `input_ids`, else text or a conversation that waits for an answer in the first of `promptColumns` that the
 * row has. Text is one user message, with `raw` text as it is. UserError naming file, line and field.
 */
export async function readPrompts(
  path: string,
  raw: boolean,
  text: TextSide,
  onBadRow: OnBadRow = "error",
): Promise<IdRows<PromptRow>> {
  const plan = async (value: unknown, place: RowPlace): Promise<RowPlan<Pick<PromptRow, "columns">>> => {
    const asked = askedIn(value, place);
    const columns = value as PromptRow["columns"];
    if (asked.kind === "tokens")
      return { texts: [], format: "input_ids", finish: () => ({ inputIds: asked.inputIds, columns }) };
    const { prompt, found } = await withChosenTokens(openPrompt(asked, raw), asked, text);
    const texts = [await promptText({ ...prompt, place }, text)];
    return { texts, format: asked.column, found, finish: ([inputIds]) => ({ inputIds: inputIds!, columns }) };
  };
  return readIdRows(path, text, plan, onBadRow);
}

/** A prompt with the special tokens in its messages as special_tokens_in_content has them. UserError where they are refused. */
async function withChosenTokens(
  open: OpenPrompt,
  asked: Exclude<AskedRow, { kind: "tokens" }>,
  { specialTokens, tokenizer: load }: TextSide,
): Promise<{ readonly prompt: OpenPrompt; readonly found: readonly TokenInContent[] }> {
  const { prompt: messages, tools, variables } = open;
  if (specialTokens === undefined || typeof messages === "string") return { prompt: open, found: [] };
  const tokenizer = await load();
  const content = { messages, tools, variables };
  const places = asked.kind === "messages" ? asked.nameOf : () => asked.column;
  const found = tokensInContent(content, places, tokenizer).map((one) =>
    asked.kind === "messages" ? one : { ...one, field: asked.column },
  );
  if (specialTokens === "error") refuseSpecialTokens(found);
  if (specialTokens !== "text" || !found.some(({ special }) => special)) return { prompt: open, found };
  const { messages: prompt, ...rest } = contentAsText(content, tokenizer);
  return { prompt: { ...open, ...rest, prompt }, found };
}

/** What a row asks. UserError where it asks nothing. */
function askedIn(value: unknown, place: RowPlace): AskedRow {
  const asked = askedByRow(value, place);
  if ("problem" in asked) throw rowError("bad_row", place, asked.problem);
  return asked;
}

/** As it is rendered; with `raw` its text stands as it is. */
export function openPrompt(asked: Exclude<AskedRow, { kind: "tokens" }>, raw: boolean): OpenPrompt {
  const { tools, variables } = asked;
  if (asked.kind === "messages") return { prompt: asked.messages, tools, variables };
  if (raw) return { prompt: asked.text };
  return { prompt: [{ role: "user", content: asked.text }], tools, variables };
}

/** A prompt from the command line, as the row {prompt}. */
export async function singlePrompt(prompt: string, raw: boolean, text: TextSide): Promise<PromptRow> {
  const place = { path: "--prompt", line: 1 };
  const columns = promptRow(prompt);
  const own = raw ? prompt : [{ role: "user" as const, content: prompt }];
  const [start] = await promptStarts([{ prompt: own, place }], text);
  const ids = checked(allOf(start!, place, text), place, text);
  return { line: 1, id: createRecordIds()(columns), ids, columns };
}

/** A prompt for a server, which has the chat template. */
export interface ConversationRow {
  readonly line: number;
  readonly id: string;
  readonly messages: TeacherRequest["messages"];
}

/** As readPrompts, for a server, which is sent role and content. UserError naming file and line. */
export async function readConversations(
  path: string,
  onProgress?: OnProgress,
): Promise<readonly ConversationRow[]> {
  const recordId = createRecordIds();
  const rows: ConversationRow[] = [];
  for await (const { line, place, value } of readRows(path, { onProgress })) {
    const id = recordId(value);
    rows.push({ line, id, messages: conversation(value, place) });
  }
  return rows;
}

export function singleConversation(prompt: string): ConversationRow {
  const row = promptRow(prompt);
  return {
    line: 1,
    id: createRecordIds()(row),
    messages: [{ role: "user", content: prompt }],
  };
}

function promptRow(prompt: string): { readonly prompt: string } {
  if (prompt !== "") return { prompt };
  throw new UserError("empty_prompt", "--prompt is empty: give the text to answer or continue.");
}

function conversation(value: unknown, place: RowPlace): TeacherRequest["messages"] {
  const asked = askedIn(value, place);
  if (asked.kind === "tokens") throw notServed("input_ids are tokens of one model, which", place);
  return servedMessages(openPrompt(asked, false), place, "nameOf" in asked ? asked.nameOf : undefined);
}

/** What a server is sent, which has the chat template: role and content. UserError naming file and line for what is more than these. */
export function servedMessages(
  { prompt, tools, variables }: OpenPrompt,
  place: RowPlace,
  nameOf = (turn: number): string => `turn ${turn + 1}`,
): TeacherRequest["messages"] {
  if (typeof prompt === "string") throw notServed("text without turns (raw)", place);
  if ((tools?.length ?? 0) > 0) throw notServed("tools", place);
  if (variables !== undefined) throw notServed("chat_template_kwargs", place);
  return prompt.map(({ role, content, tool_calls: calls }, turn) => {
    if (role === "tool" || calls !== undefined || typeof content !== "string")
      throw notServed(`${nameOf(turn)}, a call of a tool or its result,`, place);
    return { role, content };
  });
}

const notServed = (what: string, place: RowPlace): UserError =>
  rowError("bad_row", place, `${what} cannot be sent to a server. Give the row as prompt or messages.`);

/** All ids of a text. UserError naming file and line where it is too long to have them. */
export function allOf(
  { ids, whole, atLeast, refusal }: TextStart,
  place: RowPlace,
  text: TextSide,
): number[] {
  if (whole) return ids;
  if (refusal && !isTooLong(atLeast, text)) throw rowError(refusal.code, place, refusal.message, refusal);
  throw tooLong(`at least ${atLeast}`, place, text);
}

/** A row on its way to its ids. */
export interface RowPlan<Kept> {
  readonly texts: readonly string[];
  /** How the row is written, and the added tokens in it: for what is counted. */
  readonly format?: string;
  readonly found?: readonly TokenInContent[];
  /** Takes the ids of `texts`. May throw. */
  finish(ids: readonly number[][]): { readonly inputIds: readonly number[] } & Kept;
}

/**
 * Rows of a file by what `plan` makes of each, many at once through the tokenizer, and what `finish` gives beside the ids. The first bad row
 * is the one that is reported; with `reject` they are left out and listed. UserError naming file and line for ids that the model does not know,
 * or has no room for.
 */
export async function readIdRows<Kept extends object>(
  path: string,
  text: TextSide,
  plan: (value: unknown, place: RowPlace) => Promise<RowPlan<Kept>>,
  onBadRow: OnBadRow = "error",
): Promise<IdRows<IdRow & Kept>> {
  interface Pending extends PlannedRow {
    readonly line: number;
    readonly place: RowPlace;
    readonly id: string | null;
    readonly plan: RowPlan<Kept> | UserError;
  }
  const recordId = createRecordIds();
  const rows: (IdRow & Kept)[] = [];
  const books = openBooks<string>(path, { onBadRow });
  const planned = async (value: unknown, place: RowPlace): Promise<RowPlan<Kept> | UserError> => {
    try {
      return await plan(value, place);
    } catch (error) {
      if (onBadRow === "error" || !(error instanceof UserError)) throw error;
      return error;
    }
  };
  const digest = await readTokenRows<Pending>(path, {
    plan: async ({ value, place, line }) => {
      const id = recordId(value);
      const own = await planned(value, place);
      return [{ line, place, id, plan: own, texts: own instanceof UserError ? [] : own.texts }];
    },
    ...(onBadRow === "reject" && {
      planBadRow: (error: UserError, line: number, place: RowPlace): Pending => ({
        ...{ line, place, id: null, plan: error, texts: [] },
      }),
    }),
    tokenizer: text.tokenizer,
    atMost: roomOf(text),
    accept: (row, starts) => {
      const { place } = row;
      books.counts.read++;
      try {
        if (row.plan instanceof UserError) throw row.plan;
        const { format, found, finish } = row.plan;
        const { inputIds, ...kept } = finish(starts.map((start) => allOf(start, place, text)));
        const ids = checked(inputIds, place, text);
        books.note(row, format ?? "rows", found);
        rows.push({ ...(kept as unknown as Kept), line: row.line, id: row.id!, ids });
      } catch (error) {
        books.bad(row, error);
      }
    },
    onProgress: text.onProgress,
  });
  return { rows, digest, ...books.result() };
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

/** A column of a row that is not tokenised; null counts as absent. */
export function columnOf(value: unknown, name: string): unknown {
  if (!isJsonObject(value) || "input_ids" in value) return undefined;
  return value[name] ?? undefined;
}
