/** What is read of a model folder's `tokenizer_config.json`: special tokens and the chat template. */
import { isUtf8 } from "node:buffer";
import { join } from "node:path";
import { z } from "zod";
import { refusePlaceholder } from "./placeholder.js";
import { readRegularFile } from "./regular-file.js";
import { UserError } from "./user-error.js";

export interface TokenizerConfig {
  readonly path: string;
  /** `bos_token`, `eos_token`, ... by name. */
  readonly specialTokens: Readonly<Record<string, string>>;
  /** `added_tokens_decoder`, by its ids. */
  readonly addedTokens: readonly ConfigToken[];
  /** `chat_template`, unchecked. */
  readonly chatTemplate: unknown;
}

/** An added token as tokenizer.json and tokenizer_config.json both describe it. */
export interface ConfigToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly single_word: boolean;
  readonly normalized: boolean;
}

/**
 * An absent file has nothing in it. Special tokens that it does not name come from `special_tokens_map.json`.
 * Throws UserError `bad_tokenizer` or `unreadable_file`.
 */
export async function readTokenizerConfig(modelDir: string): Promise<TokenizerConfig> {
  const path = join(modelDir, "tokenizer_config.json");
  const mapPath = join(modelDir, "special_tokens_map.json");
  const config = parseConfig(path, await readIfThere(path));
  const map = parseConfig(mapPath, await readIfThere(mapPath));
  return {
    path,
    specialTokens: { ...specialTokens(map), ...specialTokens(config) },
    addedTokens: addedTokens(path, config.added_tokens_decoder),
    chatTemplate: config.chat_template,
  };
}

/** A token is its text, or an object with `content`. */
function specialTokens(config: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(config).flatMap(([key, value]) => {
      const token = typeof value === "object" && value !== null && "content" in value ? value.content : value;
      return key.endsWith("_token") && typeof token === "string" ? [[key, token]] : [];
    }),
  );
}

const decoderEntry = z.looseObject({
  content: z.string().min(1),
  special: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  single_word: z.boolean().default(false),
  normalized: z.boolean().optional(),
});

function addedTokens(path: string, decoder: unknown): readonly ConfigToken[] {
  if (decoder === undefined || decoder === null) return [];
  const parsed = z.record(z.string().regex(/^\d+$/), decoderEntry).safeParse(decoder);
  if (!parsed.success) {
    throw new UserError(
      "bad_tokenizer",
      `${path}: added_tokens_decoder${parsed.error.issues[0]!.path.map((key) => `.${String(key)}`).join("")} is no added token with content and flags. Copy the file again from where the model came from.`,
      { cause: parsed.error },
    );
  }
  return Object.entries(parsed.data)
    .map(([id, { content, special, lstrip, rstrip, single_word, normalized }]) => ({
      ...{ id: Number(id), content, special, lstrip, rstrip, single_word },
      // transformers' AddedToken takes special tokens as they are, others normalised.
      normalized: normalized ?? !special,
    }))
    .sort((a, b) => a.id - b.id);
}

export async function readIfThere(path: string): Promise<string | undefined> {
  const bytes = await readRegularFile(path).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw new UserError(
      "unreadable_file",
      `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}.`,
      { cause: error },
    );
  });
  if (bytes !== undefined) refusePlaceholder(path, bytes);
  if (bytes === undefined || isUtf8(bytes)) return bytes?.toString("utf8");
  throw new UserError(
    "unreadable_file",
    `${path} is not UTF-8: copy it again from where the model came from.`,
  );
}

function parseConfig(path: string, text: string | undefined): Readonly<Record<string, unknown>> {
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
    throw new Error("expected a JSON object");
  } catch (error) {
    throw new UserError(
      "bad_tokenizer",
      `${path} is not JSON: ${error instanceof Error ? error.message : String(error)}. Copy it again from where the model came from.`,
      { cause: error },
    );
  }
}
