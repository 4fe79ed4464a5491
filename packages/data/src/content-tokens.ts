/**
 * Added tokens that stand in what the turns of a conversation say (`<|im_end|>` in a user's text), where they are not the template's.
 * Rendered as they are, a special one ends a turn that goes on, or opens one that nobody took. What happens is a choice: an error that
 * names row and field, the token all the same (as other stacks do), or ordinary text (transformers' split_special_tokens).
 */
import { LosslessNumber } from "./lossless-json.js";
import type { ChatMessage } from "./messages.js";
import { asText, oneOf, type Tokenizer } from "./tokenizer.js";
import { UserError } from "./user-error.js";

export const specialTokenChoices = ["error", "text", "token"] as const;
export type SpecialTokensInContent = (typeof specialTokenChoices)[number];

export interface TokenInContent {
  readonly token: string;
  readonly special: boolean;
  /** Where the row has it: `messages[1].content`. */
  readonly field: string;
}

/** What a template is given of a row. */
interface Content {
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly unknown[] | undefined;
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

/** Every added token in a row's content, once for each field. An assistant's own `<tool_call>` is its own: of its turns only special ones. */
export function tokensInContent(
  { messages, tools, variables }: Content,
  nameOf: (turn: number) => string,
  tokenizer: Tokenizer,
): readonly TokenInContent[] {
  const pattern = patternOf(tokenizer);
  const found: TokenInContent[] = [];
  const look = (value: unknown, field: () => string, specialOnly: boolean): void => {
    if (value === undefined || (typeof value === "string" && value.search(pattern) < 0)) return;
    for (const [text, place] of textsOf(value, field())) {
      for (const token of new Set(text.match(pattern) ?? [])) {
        const isSpecial = tokenizer.isSpecial(tokenizer.idOf(token)!);
        if (isSpecial || !specialOnly) found.push({ token, special: isSpecial, field: place });
      }
    }
  };
  for (const [turn, message] of messages.entries()) {
    for (const key in message) {
      if (key === "role") continue;
      const field = (): string => {
        const name = nameOf(turn);
        // Alpaca and ShareGPT have the text in the turn's own field.
        const isOwn =
          key === "content" && !/^(?:messages|prompt|completion|chosen|rejected)(?:\[|$)/.test(name);
        return isOwn ? name : `${name}.${key}`;
      };
      look(message[key], field, message.role === "assistant");
    }
  }
  look(tools, () => "tools", false);
  look(variables, () => "chat_template_kwargs", false);
  return found;
}

/** The row with its special tokens written so that they are read as text. */
export function contentAsText<C extends Content>(content: C, tokenizer: Tokenizer): C {
  const pattern = patternOf(tokenizer);
  const special = new Set(
    tokenizer.addedTokens.filter((token) => token.special).map((token) => token.content),
  );
  const change = (value: unknown): unknown => {
    if (typeof value === "string") {
      return value.replace(pattern, (token) => (special.has(token) ? asText(token) : token));
    }
    if (Array.isArray(value)) return value.map(change);
    if (typeof value !== "object" || value === null || value instanceof LosslessNumber) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [change(key), change(inner)]));
  };
  const { messages, tools, variables } = content;
  return {
    ...content,
    messages: change(messages),
    ...(tools && { tools: change(tools) }),
    ...(variables && { variables: change(variables) }),
  };
}

/** UserError `special_token_in_content` for the first special token. */
export function refuseSpecialTokens(found: readonly TokenInContent[]): void {
  const [first, ...others] = found.filter(({ special }) => special);
  if (first === undefined) return;
  const more = others.length > 0 ? ` (and ${others.length} more in this row)` : "";
  throw new UserError(
    "special_token_in_content",
    `${first.field} has ${first.token} in its text${more}, a special token of the model, which would be read as one. Remove it, or choose ` +
      "special_tokens_in_content: text (it is read as ordinary text) or token (as the special token).",
  );
}

const patterns = new WeakMap<Tokenizer, RegExp>();

/** Of all added tokens, the longest first. */
function patternOf(tokenizer: Tokenizer): RegExp {
  let pattern = patterns.get(tokenizer);
  if (pattern === undefined) {
    pattern = oneOf(tokenizer.addedTokens.map(({ content }) => content));
    patterns.set(tokenizer, pattern);
  }
  return pattern;
}

/** The texts of a value with where they stand; keys count, as a template writes them too. */
function* textsOf(value: unknown, field: string): Generator<readonly [text: string, field: string]> {
  if (typeof value === "string") yield [value, field];
  else if (Array.isArray(value))
    for (const [i, item] of value.entries()) yield* textsOf(item, `${field}[${i}]`);
  else if (typeof value === "object" && value !== null && !(value instanceof LosslessNumber)) {
    for (const [key, item] of Object.entries(value)) {
      yield [key, field];
      yield* textsOf(item, `${field}.${key}`);
    }
  }
}
