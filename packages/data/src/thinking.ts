/**
 * What a model thinks is no part of its answer: neither graded nor searched, whoever asks. A response is what stands outside of
 * <think>...</think>; all before a closing tag is thinking too where the prompt opened it, and thinking that never closes leaves
 * no answer. Drafts then pay nothing: a right one in thinking is worth as much as a wrong one.
 */
import type { Verdict } from "./verdict.js";

/** A tag in quotes or backticks is spoken of, as code does that takes thinking out. */
const TAG = /(?<!["'`“‘])<(think|thinking)>|<\/(think|thinking)>(?!["'`”’])/gi;

/** The response without its thinking; undefined where thinking began and never ended. */
export function withoutThinking(response: string): string | undefined {
  let seen: string[] = [];
  let from = 0;
  let open: string | undefined;
  for (const tag of response.matchAll(TAG)) {
    const [opening, closing] = [tag[1]?.toLowerCase(), tag[2]?.toLowerCase()];
    const end = tag.index + tag[0].length;
    if (open !== undefined) {
      // Thinking may speak of its own tags: the first that closes it ends it.
      if (closing !== open) continue;
      open = undefined;
    } else if (opening !== undefined) {
      seen.push(response.slice(from, tag.index));
      open = opening;
    } else seen = [];
    from = end;
  }
  if (open !== undefined) return undefined;
  if (from === 0) return response;
  // Words on both sides of thinking are not one word; indentation of the first line is kept.
  return [...seen, response.slice(from)]
    .filter((part) => part.trim() !== "")
    .join("\n")
    .replace(/^(?:\s*\n|\s+)/, "");
}

/** What a model said, with the tag that its prompt began it with: templates of thinking models end in <think>. */
export const saidAfter = (prompt: string, text: string): string =>
  /<think(?:ing)?>\s*$/i.test(prompt) ? `${/<[a-z]+>\s*$/i.exec(prompt)?.[0]}${text}` : text;

/** The verdict on a response that thinks to its end. */
export const UNENDED_THINKING: Verdict = {
  outcome: "unparseable",
  evidence: "The response has no answer: its thinking never ended.",
};
