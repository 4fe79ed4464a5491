/**
 * The prompt of a preference pair that has none of its own: what `chosen` and `rejected` begin with alike. Turns
 * are compared whole, texts by character; a space before the difference goes to the answers, as tokenizers want
 * it. As TRL's `extract_prompt`.
 */
import { isDeepStrictEqual } from "node:util";

export interface PromptSplit<T> {
  readonly prompt: T;
  readonly chosen: T;
  readonly rejected: T;
}

/** undefined where nothing differs. Neither answer comes out empty: of a text that begins the other its last part stays. */
export function splitPrompt<T extends string | readonly unknown[]>(
  chosen: T,
  rejected: T,
): PromptSplit<T> | undefined {
  if (isDeepStrictEqual(chosen, rejected)) return undefined;
  const shorter = Math.min(chosen.length, rejected.length);
  let shared = 0;
  while (shared < shorter && isDeepStrictEqual(chosen[shared], rejected[shared])) shared++;
  if (shared === shorter) shared = Math.max(0, shared - 1);
  if (typeof chosen === "string") {
    // Not inside a character of two code units.
    if (/[\ud800-\udbff]$/.test(chosen.slice(0, shared))) shared--;
    if (chosen[shared - 1] === " ") shared--;
  }
  const cut = (whole: T, from: number, to?: number): T => whole.slice(from, to) as T;
  return { prompt: cut(chosen, 0, shared), chosen: cut(chosen, shared), rejected: cut(rejected, shared) };
}
