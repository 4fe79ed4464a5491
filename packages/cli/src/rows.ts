// Rows of generate and score as token ids, every one of them checked before the model is loaded.
import {
  type ChatMessage,
  type ChatTemplate,
  createRecordIds,
  IGNORED_LABEL,
  isJsonObject,
  type LossOn,
  loadChatTemplate,
  loadTokenizer,
  parseSftRow,
  planRow,
  type RowPlace,
  readJsonl,
  type SftRow,
  type SpecialTokensInContent,
  stringifyJson,
  type Tokenizer,
  UserError,
} from "@posttrain/data";
import type { Qwen2Config } from "@posttrain/model";

export interface PromptRow {
  readonly line: number;
  readonly id: string;
  readonly ids: Int32Array;
}

export interface ScoredRow extends PromptRow {
  /** labels[i] is ids[i] where the summary counts it, else IGNORED_LABEL. */
  readonly labels: Int32Array;
}

/** What rows are read with; tokenizer and template are loaded when the first row needs them. */
export interface TextSide {
  readonly config: Qwen2Config;
  readonly specialTokens: SpecialTokensInContent | undefined;
  /** Undefined: there is no such choice. */
  readonly allowBeyondContext: boolean | undefined;
  readonly tokenizer: () => Promise<Tokenizer>;
  readonly template: () => Promise<ChatTemplate>;
  /** Whether a row has needed it. */
  readonly usesTemplate: () => boolean;
}

/** Options of commands that read rows as sft does. */
interface RowChoices {
  readonly allow_beyond_context?: boolean;
  readonly special_tokens_in_content?: SpecialTokensInContent;
}

export function textSide(
  dir: string,
  config: Qwen2Config,
  { allow_beyond_context, special_tokens_in_content }: RowChoices = {},
): TextSide {
  let uses = false;
  const template = once(() => {
    uses = true;
    return loadChatTemplate(dir);
  });
  const tokenizer = once(() => loadTokenizer(dir));
  return {
    config,
    allowBeyondContext: allow_beyond_context,
    specialTokens: special_tokens_in_content,
    tokenizer,
    template,
    usesTemplate: () => uses,
  };
}

function once<T>(load: () => Promise<T>): () => Promise<T> {
  let loaded: Promise<T> | undefined;
  return () => {
    loaded ??= load();
    return loaded;
  };
}

/**
 * Prompts from a file: {prompt} is one user message (with `raw`: text as it is), {messages} a conversation that waits for an
 * answer, {input_ids} tokens. UserError naming file and line.
 */
export async function readPrompts(path: string, raw: boolean, text: TextSide): Promise<readonly PromptRow[]> {
  return readRows(path, async (value, place) => promptIds(value, place, raw, text), text);
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
    return raw
      ? (await text.tokenizer()).encode(content)
      : renderPrompt([{ role: "user", content }], text, { place });
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
  return renderPrompt(row.messages, text, { place, tools: row.tools, variables: row.variables });
}

/** A conversation up to the opening of the next answer. */
export async function renderPrompt(
  messages: readonly ChatMessage[],
  text: TextSide,
  row: {
    readonly place?: RowPlace;
    readonly tools?: readonly unknown[] | undefined;
    readonly variables?: Readonly<Record<string, unknown>> | undefined;
  } = {},
): Promise<readonly number[]> {
  const [tokenizer, template] = [await text.tokenizer(), await text.template()];
  const { place, ...rest } = row;
  const rendered = await atRow(place, () =>
    template.render(messages, { ...rest, addGenerationPrompt: true }),
  );
  return tokenizer.encode(rendered);
}

/**
 * Rows to score: {text} as it is, else as sft reads them. `lossOn` decides what counts; tokenised rows bring their own labels.
 */
export async function readScored(
  path: string,
  lossOn: LossOn,
  text: TextSide,
): Promise<readonly ScoredRow[]> {
  const labels: Int32Array[] = [];
  const rows = await readRows(
    path,
    async (value, place) => {
      const encoded = await encode(value, place, lossOn, text);
      if (!encoded.labels.some((label, i) => i > 0 && label !== IGNORED_LABEL)) {
        throw rowError(
          "nothing_to_score",
          place,
          encoded.inputIds.length < 2
            ? `a row of ${encoded.inputIds.length} token: nothing comes before it that could predict it. Remove the row.`
            : "every label is -100, so no token counts. Mend the labels, or remove the row.",
        );
      }
      labels.push(Int32Array.from(encoded.labels));
      return encoded.inputIds;
    },
    text,
  );
  return rows.map((row, i) => ({ ...row, labels: labels[i]! }));
}

async function encode(
  value: unknown,
  place: RowPlace,
  lossOn: LossOn,
  text: TextSide,
): Promise<{ readonly inputIds: readonly number[]; readonly labels: readonly number[] }> {
  const plain = columnOf(value, "text");
  if (plain !== undefined) {
    const content = checkText("text", plain, place);
    if (lossOn !== "everything") {
      throw rowError(
        "bad_row",
        place,
        `a text row has no answer that loss_on ${lossOn} could mean. Use --loss_on everything, or messages rows.`,
      );
    }
    const inputIds = await (await text.tokenizer()).encode(content);
    return { inputIds, labels: inputIds };
  }
  const row = parseSftRow(value, place);
  if (row.kind === "tokens") return row;
  const tokenizer = await text.tokenizer();
  const template = "messages" in row ? await text.template() : undefined;
  return atRow(place, async () => {
    const plan = planRow(row, { tokenizer, template, lossOn, specialTokens: text.specialTokens });
    return plan.finish(await tokenizer.encodeBatch(plan.texts));
  });
}

async function readRows(
  path: string,
  tokens: (value: unknown, place: RowPlace) => Promise<readonly number[]>,
  text: TextSide,
): Promise<readonly PromptRow[]> {
  const recordId = createRecordIds();
  const rows: PromptRow[] = [];
  for await (const { line, value } of readJsonl(path)) {
    const place = { path, line };
    const id = recordId(value);
    rows.push({ line, id, ids: checked(await tokens(value, place), place, text) });
  }
  return rows;
}

function checked(
  ids: readonly number[],
  place: RowPlace,
  { config: { vocabSize, maxPositionEmbeddings }, allowBeyondContext }: TextSide,
): Int32Array {
  const foreign = ids.findIndex((token) => token >= vocabSize);
  if (foreign >= 0) {
    throw rowError(
      "id_out_of_range",
      place,
      `token ${foreign} is ${ids[foreign]}, but the model knows the ids 0 to ${vocabSize - 1}. The row, or the folder's tokenizer, belongs to another model.`,
    );
  }
  if (ids.length > maxPositionEmbeddings && allowBeyondContext !== true) {
    throw rowError(
      "row_too_long",
      place,
      `${ids.length} tokens, the model's context holds ${maxPositionEmbeddings} (max_position_embeddings). Shorten or split the row${allowBeyondContext === false ? ", or set allow_beyond_context: the model has not learnt positions beyond" : ""}.`,
    );
  }
  return Int32Array.from(ids);
}

function checkText(column: string, value: unknown, place: RowPlace): string {
  if (typeof value === "string" && value !== "") return value;
  throw rowError("bad_row", place, `${column}: expected text, came ${stringifyJson(value).slice(0, 60)}.`);
}

/** Says in which row rendering failed. */
async function atRow<T>(place: RowPlace | undefined, body: () => T | Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    if (place === undefined || !(error instanceof UserError)) throw error;
    throw rowError(error.code, place, error.message, error);
  }
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
function columnOf(value: unknown, name: string): unknown {
  if (!isJsonObject(value) || "input_ids" in value) return undefined;
  return value[name] ?? undefined;
}

function rowError(code: string, { path, line }: RowPlace, text: string, cause?: unknown): UserError {
  const where = path === "--prompt" ? path : `${path}, line ${line}`;
  return new UserError(code, `${where}: ${text}`, { cause });
}
