/** How long a row may be, and what is said of those that are longer. */
export interface LengthOptions {
  /** Longest row, in tokens. */
  readonly maxLength: number;
  /** Tokens for which the model has positions (`max_position_embeddings`): below maxLength it is the longest row. */
  readonly context?: number | undefined;
}

/** The longest row, and how messages speak of it. */
export interface Limit {
  readonly tokens: number;
  readonly name: string;
  readonly raise: string;
  readonly refusal: (tokens: string) => string;
}

export function limitOf({ maxLength, context }: LengthOptions): Limit {
  if (context === undefined || maxLength <= context) {
    return {
      tokens: maxLength,
      name: `max_length is ${maxLength}`,
      raise: "Raise max_length",
      refusal: (tokens) =>
        `${tokens}, the longest row allowed has ${maxLength}. Raise max_length, or choose what happens to long rows: on_overlong drop or truncate.`,
    };
  }
  return {
    tokens: context,
    name: `the model's context holds ${context} (max_position_embeddings)`,
    raise: "Set allow_beyond_context",
    refusal: (tokens) =>
      `${tokens}, the model's context holds ${context} (max_position_embeddings). Shorten or split the row, choose what happens to long rows ` +
      "(on_overlong drop or truncate), or set allow_beyond_context: the model has not learnt positions beyond.",
  };
}

/** What becomes of rows that are too long, in words. */
export const FATES = {
  dropped: (tokens: string, { name, raise }: Limit) =>
    `${tokens}, ${name}: left out. ${raise}, split the row, or cut it with on_overlong truncate.`,
  truncated: (tokens: string, { name, raise }: Limit, lost: string) =>
    `${tokens}, ${name}: cut, which lost ${lost} trained tokens. ${raise} or split the row.`,
  emptied: (tokens: string, { name, raise }: Limit) =>
    `${tokens}, ${name}: left out, as nothing to train was left of it. ${raise} or shorten the prompt.`,
};
