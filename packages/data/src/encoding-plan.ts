/** What encoding a row means, whatever its kind: which tokens are trained, and the two halves of the work. */
import type { TokenInContent } from "./content-tokens.js";
import type { Tokenizer } from "./tokenizer.js";

/**
 * Which tokens are trained. `assistant`: every assistant turn. `completion`: the last answer alone, for
 * templates that render earlier turns differently (that drop their reasoning, for example). `everything`:
 * every token. Of prompt and completion the completion is trained under the first two (with messages:
 * `assistant` its assistant turns, `completion` all that follows the prompt); text is trained whole;
 * tokenised rows bring their labels.
 */
export type LossOn = "assistant" | "completion" | "everything";

/** Unshifted, as Hugging Face has it: labels[i] is the target at position i, predicted from i - 1. */
export interface EncodedRow {
  readonly inputIds: readonly number[];
  readonly labels: readonly number[];
}

export interface EncodingPlan {
  readonly texts: readonly string[];
  /** Added tokens in what a conversation's turns say. */
  readonly tokensInContent?: readonly TokenInContent[];
  /** Takes the ids of `texts`; those that the first begins with, where it is not `whole`. Throws UserError. */
  finish(ids: readonly number[][], whole?: boolean): EncodedRow;
}

/** Where and how `part` departs from `whole`, undefined when it is a prefix of it. */
export function prefixMismatch(
  tokenizer: Tokenizer,
  part: readonly number[],
  whole: readonly number[],
): string | undefined {
  let at = 0;
  while (at < part.length && part[at] === whole[at]) at++;
  if (at === part.length) return undefined;
  const show = (ids: readonly number[]): string =>
    ids[at] === undefined
      ? "nothing"
      : `${JSON.stringify(tokenizer.decode(ids.slice(at, at + 1)))} (id ${ids[at]})`;
  return `Token ${at} is ${show(part)} there and ${show(whole)} in the whole.`;
}
