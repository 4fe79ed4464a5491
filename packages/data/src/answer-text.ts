/**
 * The text of an answer while its tokens arrive: whole characters, without special tokens, and no further than the first stop string,
 * which may span tokens or begin inside one. What could still become a stop string is held back, so that nothing has to be unsaid.
 */
import type { Tokenizer } from "./tokenizer.js";

export interface AnswerTextOptions {
  /** The text ends before the first of these. They may hold special tokens, as the tokenizer writes them. */
  readonly stop?: readonly string[];
  /** Tokens that end an answer, which are not part of its text either. */
  readonly stopIds?: readonly number[];
  /** Leave out special tokens and those of `stopIds`. Default: true. */
  readonly skipSpecialTokens?: boolean;
}

export interface AnswerText {
  /** What became certain with this token. */
  push(id: number): string;
  /** What was still held back. */
  flush(): string;
  /** Whether a stop string has come. */
  readonly stopped: boolean;
}

export function createAnswerText(
  tokenizer: Tokenizer,
  { stop = [], stopIds = [], skipSpecialTokens = true }: AnswerTextOptions = {},
): AnswerText {
  let stream = tokenizer.createDecodeStream();
  let stopped = false;
  // Text that may still become part of a stop string; of a special token also what is not shown.
  let held: { readonly text: string; readonly shown: boolean }[] = [];
  const hold = (text: string, shown: boolean): void => {
    if (text !== "") held.push({ text, shown });
  };
  const release = (length: number): string => {
    let shown = "";
    let left = length;
    held = held.flatMap((piece) => {
      const part = piece.text.slice(0, left);
      left -= part.length;
      if (piece.shown) shown += part;
      return part.length === piece.text.length ? [] : [{ ...piece, text: piece.text.slice(part.length) }];
    });
    return shown;
  };
  const certain = (isEnd: boolean): string => {
    const text = held.map((piece) => piece.text).join("");
    const places = stop.map((string) => text.indexOf(string)).filter((place) => place >= 0);
    stopped = places.length > 0;
    if (stopped) return release(Math.min(...places));
    return release(text.length - (isEnd ? 0 : openEnd(text, stop)));
  };
  return {
    push: (id) => {
      if (stopped) return "";
      if (tokenizer.isSpecial(id) || stopIds.includes(id)) {
        hold(stream.flush(), true);
        stream = tokenizer.createDecodeStream();
        hold(tokenizer.decode([id]), !skipSpecialTokens);
      } else hold(stream.push(id), true);
      return certain(false);
    },
    flush: () => {
      if (stopped) return "";
      hold(stream.flush(), true);
      return certain(true);
    },
    get stopped() {
      return stopped;
    },
  };
}

/** How many characters at the end of `text` may be the beginning of one of `stop`. */
function openEnd(text: string, stop: readonly string[]): number {
  let longest = 0;
  for (const string of stop) {
    for (let length = Math.min(string.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(string.slice(0, length))) longest = length;
    }
  }
  return longest;
}

/** The text of a whole answer. */
export function answerText(tokenizer: Tokenizer, ids: Iterable<number>, options: AnswerTextOptions): string {
  const answer = createAnswerText(tokenizer, options);
  let text = "";
  for (const id of ids) text += answer.push(id);
  return text + answer.flush();
}

/** For generation: whether a sequence, by its request and sample, has come to a stop string with its next token. */
export function stopWatch(
  tokenizer: Tokenizer,
  stop: readonly string[],
): ((request: number, sample: number, id: number) => boolean) | undefined {
  if (stop.length === 0) return undefined;
  const answers = new Map<string, AnswerText>();
  return (request, sample, id) => {
    const key = `${request} ${sample}`;
    const answer = answers.get(key) ?? createAnswerText(tokenizer, { stop });
    answers.set(key, answer);
    answer.push(id);
    if (answer.stopped) answers.delete(key);
    return answer.stopped;
  };
}
