// What of a run's rows decides over its bits, beside the config: part of its identity.
import type { ContentToken, Reject } from "@posttrain/data";

/** A file of rows as a stage's loader has read it. */
interface ReadFile {
  readonly digest: string;
  readonly tokenizer?: { readonly digest: string } | undefined;
  readonly template?: { readonly digest: string } | undefined;
  readonly contentTokens: readonly ContentToken[];
  readonly rejects: readonly Reject[];
}

interface RowLimits {
  readonly max_length: number;
  readonly special_tokens_in_content: string;
}

/**
 * SHA-256 of `data`, and of tokenizer, chat template and `held` (eval_data) where they were read; that special tokens were read as text, and the
 * context that cut rows (`longestRow`), where that made a difference.
 */
export function rowDigests(
  data: ReadFile,
  held: Pick<ReadFile, "digest" | "contentTokens" | "rejects"> | undefined,
  { max_length, special_tokens_in_content }: RowLimits,
  longestRow: number,
): Readonly<Record<string, string>> & { readonly data: string } {
  const files = held === undefined ? [data] : [data, held];
  return {
    data: data.digest,
    ...(data.tokenizer && { tokenizer: data.tokenizer.digest }),
    ...(data.template && { chat_template: data.template.digest }),
    ...(held && { eval_data: held.digest }),
    ...(special_tokens_in_content === "text" &&
      files.some(({ contentTokens }) => contentTokens.some(({ special }) => special)) && {
        special_tokens_in_content: "text",
      }),
    // Runs from before there was this limit took such rows up to max_length.
    ...(longestRow < max_length &&
      files.some(({ rejects }) => rejects.some(({ tokens }) => (tokens ?? 0) > longestRow)) && {
        cut_at_context: String(longestRow),
      }),
  };
}
