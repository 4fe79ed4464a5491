/** What is read of a model folder's `tokenizer_config.json`: special tokens and the chat template. */
import { isUtf8 } from "node:buffer";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { refusePlaceholder } from "./placeholder.js";
import { UserError } from "./user-error.js";

export interface TokenizerConfig {
  readonly path: string;
  /** `bos_token`, `eos_token`, ... by name. */
  readonly specialTokens: Readonly<Record<string, string>>;
  /** `chat_template`, unchecked. */
  readonly chatTemplate: unknown;
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

export async function readIfThere(path: string): Promise<string | undefined> {
  const bytes = await readFile(path).catch((error: unknown) => {
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
