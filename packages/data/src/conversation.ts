/**
 * A conversation as token ids and labels. What is trained follows from rendering, not from a template's keywords: an
 * assistant turn is what lies between the rendering up to it (with the generation prompt: what the model will see) and the
 * rendering through it. Both are tokenised on their own, and their ids must be a prefix of the whole conversation's ids:
 * otherwise the model would be trained on a prompt that it never sees, and that is an error, never a guess.
 */
import type { ChatTemplate } from "./chat-template.js";
import { type ChatMessage, IGNORED_LABEL } from "./sft-row.js";
import type { Tokenizer } from "./tokenizer.js";
import { UserError } from "./user-error.js";

/**
 * Which tokens are trained: every assistant turn, the last turn alone, or every token.
 * `completion` is the mode for templates that render earlier turns differently (that drop their reasoning, for example).
 */
export type LossOn = "assistant" | "completion" | "everything";

export interface EncodeOptions {
  readonly lossOn?: LossOn;
  readonly tools?: readonly unknown[] | undefined;
  /** What the template's `strftime_now` reads. */
  readonly now?: string | undefined;
  /** Further variables of the template. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

/** Unshifted, as Hugging Face has it: labels[i] is the target at position i, predicted from i - 1. */
export interface EncodedConversation {
  readonly inputIds: number[];
  readonly labels: number[];
}

/**
 * Renders and tokenises a conversation and labels its trained tokens, the end token (`<|im_end|>`) of each trained turn
 * included, the line feed that ChatML writes after it not.
 * Throws UserError: `bad_template` (from the template), `prompt_not_prefix` (naming turn and token), `nothing_to_train`.
 */
export async function encodeConversation(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  options: EncodeOptions = {},
): Promise<EncodedConversation> {
  const { lossOn = "assistant", ...rendering } = options;
  const render = (count: number, addGenerationPrompt: boolean): string =>
    template.render(messages.slice(0, count), { ...rendering, addGenerationPrompt });

  const turns = lossOn === "everything" ? [] : trainedTurns(messages, lossOn);
  // All of the conversation, then for each turn what comes before it and what ends with it.
  const texts = [render(messages.length, false)];
  for (const turn of turns) texts.push(render(turn, true), render(turn + 1, false));
  const [inputIds = [], ...prefixes] = await tokenizer.encodeBatch(texts);
  if (lossOn === "everything") return { inputIds, labels: [...inputIds] };

  const labels = inputIds.map(() => IGNORED_LABEL);
  turns.forEach((turn, k) => {
    const before = prefixes[2 * k] ?? [];
    const through = prefixes[2 * k + 1] ?? [];
    for (const prefix of [before, through]) {
      const at = prefix.findIndex((id, i) => id !== inputIds[i]);
      if (at < 0) continue;
      const text = texts[1 + 2 * k + (prefix === before ? 0 : 1)] ?? "";
      const rewritten = !texts[0]?.startsWith(text);
      throw notPrefix(tokenizer, template, turn, prefix === before, at, prefix, inputIds, rewritten);
    }
    const end = endOfTurn(tokenizer, through, before.length);
    for (let i = before.length; i < end; i++) labels[i] = inputIds[i] ?? IGNORED_LABEL;
  });
  if (!labels.some((label, i) => i > 0 && label !== IGNORED_LABEL)) {
    throw new UserError(
      "nothing_to_train",
      "The template renders no token for the assistant's turns: nothing to train.",
    );
  }
  return { inputIds, labels };
}

function trainedTurns(
  messages: readonly ChatMessage[],
  lossOn: "assistant" | "completion",
): readonly number[] {
  const turns = messages.flatMap((message, i) => (message.role === "assistant" ? [i] : []));
  if (turns[0] === undefined) {
    throw new UserError(
      "nothing_to_train",
      "The conversation has no assistant turn: nothing to train. Add the answer, or drop the row.",
    );
  }
  if (turns[0] === 0) {
    throw new UserError(
      "bad_row",
      "messages[0] is an assistant turn: nothing to answer. Put a user (or system) turn before it, or drop the row.",
    );
  }
  if (lossOn === "assistant") return turns;
  if (turns.at(-1) !== messages.length - 1) {
    throw new UserError(
      "nothing_to_train",
      `Loss on the completion needs an assistant turn at the end, but messages[${messages.length - 1}] is a ${messages.at(-1)?.role} turn. ` +
        "Drop what follows the last answer, or train on every assistant turn.",
    );
  }
  return [messages.length - 1];
}

/** One past the last trained id: white space after the turn's end token separates turns and is the template's, not the model's. */
function endOfTurn(tokenizer: Tokenizer, ids: readonly number[], start: number): number {
  let end = ids.length;
  while (end > start && tokenizer.decode(ids.slice(end - 1, end)).trim() === "") end--;
  return end > start && tokenizer.isSpecial(ids[end - 1] ?? -1) ? end : ids.length;
}

function notPrefix(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  turn: number,
  isPrompt: boolean,
  at: number,
  prefix: readonly number[],
  whole: readonly number[],
  rewritten: boolean,
): UserError {
  const show = (ids: readonly number[]): string =>
    ids[at] === undefined
      ? "nothing"
      : `${JSON.stringify(tokenizer.decode(ids.slice(at, at + 1)))} (id ${ids[at]})`;
  const what = isPrompt ? "the prompt before it" : "the conversation up to its end";
  const why = rewritten
    ? `The template ${template.path} renders earlier turns differently once later ones follow (as those do that drop earlier reasoning): ` +
      "use loss on the completion, with one row for each answer, or a template that keeps what it wrote."
    : "The text where they meet is tokenised as one: this happens when the answer begins with white space; remove it there.";
  return new UserError(
    "prompt_not_prefix",
    `messages[${turn}], an assistant turn, cannot be told from its prompt: ${what} is no prefix of the whole conversation. ` +
      `Token ${at} is ${show(prefix)} there and ${show(whole)} in the whole. ${why}`,
  );
}
