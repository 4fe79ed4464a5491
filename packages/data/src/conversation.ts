/**
 * A conversation as token ids and labels. What is trained follows from rendering, not from a template's
 * keywords: an assistant turn is what lies between the rendering up to it (with the generation prompt: what
 * the model will see) and the rendering through it. Both are tokenised on their own, and their ids must be a
 * prefix of the whole conversation's ids: otherwise the model would be trained on a prompt that it never
 * sees, and that is an error, never a guess.
 */
import type { ChatTemplate } from "./chat-template.js";
import { type EncodedRow, type EncodingPlan, type LossOn, prefixMismatch } from "./encoding-plan.js";
import type { ChatMessage } from "./messages.js";
import { IGNORED_LABEL } from "./sft-row.js";
import type { Tokenizer } from "./tokenizer.js";
import { UserError } from "./user-error.js";

export interface EncodeOptions {
  readonly lossOn?: LossOn;
  readonly tools?: readonly unknown[] | undefined;
  /** What the template's `strftime_now` reads. */
  readonly now?: string | undefined;
  /** Further variables of the template. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
  /** So many first turns are the prompt: nothing of them is trained, and `completion` is all that follows. */
  readonly promptTurns?: number | undefined;
  /** Turns that are not trained, whatever `lossOn` says. */
  readonly untrained?: ReadonlySet<number>;
  /** How messages name turn i; `messages[i]` if absent. */
  readonly nameOf?: (turn: number) => string;
}

const MELTS =
  "The characters where they meet make one token: remove white space from the start of the answer, or have the template end " +
  "its generation prompt with a special token or a line feed.";
const REWRITES =
  "renders earlier turns differently once later ones follow (as those do that drop earlier reasoning): " +
  "use loss on the completion, with one row for each answer, or a template that keeps what it wrote.";

/**
 * Renders and tokenises a conversation and labels its trained tokens, the end token (`<|im_end|>`) of each
 * trained turn included, the line feed that ChatML writes after it not. Throws UserError: `bad_template`
 * (from the template), `prompt_not_prefix` (naming turn and token), `nothing_to_train`.
 */
export async function encodeConversation(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  options: EncodeOptions = {},
): Promise<EncodedRow> {
  const plan = planConversation(tokenizer, template, messages, options);
  return plan.finish(await tokenizer.encodeBatch(plan.texts));
}

/** The two halves of `encodeConversation`. */
export function planConversation(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  options: EncodeOptions = {},
): EncodingPlan {
  const {
    lossOn = "assistant",
    promptTurns,
    untrained = new Set(),
    nameOf = (turn: number) => `messages[${turn}]`,
    ...rendering
  } = options;
  const render = (count: number, addGenerationPrompt: boolean): string =>
    template.render(messages.slice(0, count), { ...rendering, addGenerationPrompt });

  if (lossOn === "everything" && untrained.size > 0) {
    throw new UserError(
      "bad_row",
      `${nameOf([...untrained][0]!)}.loss_weight is 0, but with loss on everything every token is trained. Choose loss on assistant turns, or remove the weights.`,
    );
  }
  const whole = render(messages.length, false);
  if (whole === "") {
    throw new UserError(
      "bad_template",
      `The chat template ${template.path} makes an empty text of the conversation: it writes none of its turns. Mend the template, or copy it again from where the model came from.`,
    );
  }
  const spans =
    lossOn === "everything" ? [] : trainedSpans(messages, lossOn, promptTurns ?? 0, untrained, nameOf);
  const texts = [whole];
  // For each span the places in `texts` of what comes before it and of what ends with it.
  const places = spans.map(({ first, last }) => ({
    first,
    before: texts.push(render(first, true)) - 1,
    through: last + 1 === messages.length ? 0 : texts.push(render(last + 1, false)) - 1,
  }));

  const finish = (ids: readonly number[][], whole = true): EncodedRow => {
    const inputIds = ids[0]!;
    if (lossOn === "everything") return { inputIds, labels: inputIds };
    const labels = new Array<number>(inputIds.length).fill(IGNORED_LABEL);
    for (const { first, before, through } of places) {
      for (const part of [before, through]) {
        const differing = prefixMismatch(tokenizer, ids[part]!, inputIds);
        if (differing === undefined) continue;
        throw new UserError(
          "prompt_not_prefix",
          `${nameOf(first)}, an assistant turn, cannot be told from its prompt: ` +
            `${part === before ? "the prompt before it" : "the conversation up to its end"} is no prefix of the whole conversation. ` +
            `${differing} ${texts[0]!.startsWith(texts[part]!) ? MELTS : `The template ${template.path} ${REWRITES}`}`,
        );
      }
      const end = endOfTurn(tokenizer, ids[through]!, ids[before]!.length);
      for (let i = ids[before]!.length; i < end; i++) labels[i] = inputIds[i]!;
    }
    if (whole && !labels.some((label) => label !== IGNORED_LABEL)) {
      throw new UserError(
        "nothing_to_train",
        "The template renders no token for the assistant's turns: nothing to train.",
      );
    }
    return { inputIds, labels };
  };
  return { texts, finish };
}

interface Span {
  readonly first: number;
  readonly last: number;
}

function trainedSpans(
  messages: readonly ChatMessage[],
  lossOn: "assistant" | "completion",
  promptTurns: number,
  untrained: ReadonlySet<number>,
  nameOf: (turn: number) => string,
): readonly Span[] {
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
      `${nameOf(0)} is an assistant turn: nothing to answer. Put a user (or system) turn before it, or drop the row.`,
    );
  }
  const last = messages.length - 1;
  if (lossOn === "completion" && turns.at(-1) !== last) {
    throw new UserError(
      "nothing_to_train",
      `Loss on the completion needs an assistant turn at the end, but ${nameOf(last)} is a ${messages[last]?.role} turn. ` +
        "Drop what follows the last answer, or train on every assistant turn.",
    );
  }
  const chosen = turns.filter(
    (turn) => turn >= (lossOn === "completion" ? promptTurns || last : promptTurns),
  );
  const trained = chosen.filter((turn) => !untrained.has(turn));
  if (trained.length === 0) {
    throw new UserError(
      "nothing_to_train",
      `${chosen.map(nameOf).join(", ")}: loss_weight is 0, and nothing else would be trained. Set it to 1, or drop the row.`,
    );
  }
  // Turns of tools between answers are trained too, unless the row says of turns whether they are.
  const whole = lossOn === "completion" && ![...untrained].some((turn) => turn >= promptTurns);
  return whole ? [{ first: chosen[0]!, last }] : trained.map((turn) => ({ first: turn, last: turn }));
}

/**
 * One past the last trained id: white space after the turn's end token separates turns and is the template's,
 * not the model's.
 */
function endOfTurn(tokenizer: Tokenizer, ids: readonly number[], start: number): number {
  let end = ids.length;
  while (end > start && tokenizer.isBlank(ids[end - 1]!)) end--;
  return end > start && tokenizer.isSpecial(ids[end - 1] ?? -1) ? end : ids.length;
}
