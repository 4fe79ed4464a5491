// The text side of a model folder: tokenizer and chat template, loaded when something needs them, and prompts rendered with them.
import {
  type ChatMessage,
  type ChatTemplate,
  loadChatTemplate,
  loadTokenizer,
  type OnProgress,
  type RowPlace,
  type SpecialTokensInContent,
  type TextStart,
  type Tokenizer,
  UserError,
} from "@posttrain/data";
import type { Qwen2Config } from "@posttrain/model";

/** What rows are read with; tokenizer and template are loaded when the first row needs them. */
export interface TextSide {
  readonly config: Qwen2Config;
  /** What special tokens are in the text of messages, for rows that are read as sft reads them. */
  readonly specialTokens: SpecialTokensInContent | undefined;
  /** Whether rows may be longer than the model's context. Undefined: there is no such choice. */
  readonly allowBeyondContext: boolean | undefined;
  /** What a template writes as today's date. */
  readonly templateDate: string | undefined;
  readonly onProgress: OnProgress | undefined;
  readonly tokenizer: () => Promise<Tokenizer>;
  readonly template: () => Promise<ChatTemplate>;
  /** Whether a row has needed it. */
  readonly usesTemplate: () => boolean;
}

/** Options of commands that read rows as sft does. */
interface RowChoices {
  readonly allow_beyond_context?: boolean;
  readonly special_tokens_in_content?: SpecialTokensInContent;
  readonly template_date?: string | undefined;
}

export function textSide(
  dir: string,
  config: Qwen2Config,
  { allow_beyond_context, special_tokens_in_content, template_date }: RowChoices = {},
  onProgress?: OnProgress,
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
    templateDate: template_date,
    onProgress,
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

/** Tokens of a text that there is room for, where there is a limit; it is not tokenised much further. */
export async function startOf(content: string, text: TextSide): Promise<TextStart> {
  const atMost = text.allowBeyondContext ? Number.POSITIVE_INFINITY : text.config.maxPositionEmbeddings;
  const [start] = await (await text.tokenizer()).encodeStarts([content], atMost);
  return start!;
}

/** A conversation up to the opening of the next answer, as far as the model's context goes. */
export async function renderPrompt(
  messages: readonly ChatMessage[],
  text: TextSide,
  row: {
    readonly place?: RowPlace;
    readonly tools?: readonly unknown[] | undefined;
    readonly variables?: Readonly<Record<string, unknown>> | undefined;
  } = {},
): Promise<TextStart> {
  const template = await text.template();
  const { place, ...rest } = row;
  const rendered = await atRow(place, () =>
    template.render(messages, { ...rest, now: text.templateDate, addGenerationPrompt: true }),
  );
  if (rendered === "") {
    throw new UserError(
      "bad_template",
      `The chat template ${template.path} makes an empty text of the conversation: it writes none of its turns. Mend the template, or copy it again from where the model came from.`,
    );
  }
  return startOf(rendered, text);
}

/** Says in which row rendering failed. */
export async function atRow<T>(place: RowPlace | undefined, body: () => T | Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    if (place === undefined || !(error instanceof UserError)) throw error;
    throw rowError(error.code, place, error.message, error);
  }
}

/** UserError that names the row: file and line, or the flag. */
export function rowError(code: string, { path, line }: RowPlace, text: string, cause?: unknown): UserError {
  const where = path === "--prompt" ? path : `${path}, line ${line}`;
  return new UserError(code, `${where}: ${text}`, { cause });
}
