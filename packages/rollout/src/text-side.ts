// The text side of a model folder: tokenizer and chat template, loaded when something needs them, and prompts rendered and tokenised with them.
import {
  type ChatMessage,
  type ChatTemplate,
  createTokenBatches,
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
  /** What special tokens are in the text of messages. Undefined: there is no such choice, and they are the tokens that they spell. */
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

/** Tokens that a text may have, where there is a limit: it is not read much further. */
export function roomOf({ config, allowBeyondContext }: TextSide): number {
  return allowBeyondContext === true ? Number.POSITIVE_INFINITY : config.maxPositionEmbeddings;
}

/** What a model is asked: a conversation that waits for an answer, or text that goes on. */
export interface OpenPrompt {
  readonly prompt: string | readonly ChatMessage[];
  readonly tools?: readonly unknown[] | undefined;
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
  /** Where it stands, for errors. */
  readonly place?: RowPlace;
}

/** As text, a conversation up to the opening of the next answer. UserError of the template. */
export async function promptText(
  { prompt, place, tools, variables }: OpenPrompt,
  text: TextSide,
): Promise<string> {
  if (typeof prompt === "string") return prompt;
  const template = await text.template();
  const rendered = atRow(place, () =>
    template.render(prompt, { tools, variables, now: text.templateDate, addGenerationPrompt: true }),
  );
  if (rendered !== "") return rendered;
  throw new UserError(
    "bad_template",
    `The chat template ${template.path} makes an empty text of the conversation: it writes none of its turns. Mend the template, or copy it again from where the model came from.`,
  );
}

/** A prompt's text and its tokens, as far as the model's context goes. */
export interface PromptStart extends TextStart {
  readonly text: string;
}

/** Prompts rendered and tokenised together, in their order. UserError of the template. */
export async function promptStarts(
  prompts: readonly OpenPrompt[],
  text: TextSide,
): Promise<readonly PromptStart[]> {
  const all: PromptStart[] = [];
  const batches = createTokenBatches<{ readonly texts: readonly [string] }>({
    tokenizer: text.tokenizer,
    atMost: roomOf(text),
    accept: ({ texts }, [start]) => all.push({ text: texts[0], ...start! }),
  });
  for (const prompt of prompts)
    if (batches.add({ texts: [await promptText(prompt, text)] })) await batches.flush();
  await batches.end();
  return all;
}

/** Says in which row something failed. */
export function atRow<T>(place: RowPlace | undefined, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (place === undefined || !(error instanceof UserError)) throw error;
    throw rowError(error.code, place, error.message, error);
  }
}

/** UserError that names the row: file and line, or the flag. */
export function rowError(code: string, { path, line }: RowPlace, text: string, cause?: unknown): UserError {
  const where = path === "--prompt" ? path : `${path}, line ${line}`;
  return new UserError(code, `${where}: ${text}`, {
    cause,
    ...(path !== "--prompt" && { place: { path, line } }),
  });
}
