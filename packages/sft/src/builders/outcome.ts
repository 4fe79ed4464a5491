// What comes of one item in a step of a builder: it goes on (as one or several), it is dropped for a reason, or nobody answered, and the same command asks again.
import type { Draft } from "./area.js";

export type Outcome<T> =
  | { readonly kept: readonly T[] }
  /** `reason`: a word or a few, the same for all that it happens to, such as `wrong_answer`. */
  | { readonly dropped: string; readonly shown?: unknown; readonly review?: Draft }
  | { readonly unanswered: string };

export const keep = <T>(...kept: readonly T[]): Outcome<T> => ({ kept });

/** `shown` is written beside the reason, for people to look at. */
export const drop = (reason: string, shown?: unknown): Outcome<never> => ({ dropped: reason, shown });

/** Not kept, but not bad for sure: the conversation is written as a row into the file for people to look at. */
export const review = (reason: string, draft: Draft): Outcome<never> => ({ dropped: reason, review: draft });

export const unanswered = (why: string): Outcome<never> => ({ unanswered: why });
