/**
 * How trained turns end: the token after which a model that learnt from these rows will want to stop. Read from the labels, so that it
 * holds for rows of every kind: a run of trained tokens is a turn, and its last token, but for white space, is its end if it is special
 * or what the chat template writes there.
 */
import type { ChatTemplate } from "./chat-template.js";
import type { TokenizedRow } from "./sft-dataset.js";
import { IGNORED_LABEL } from "./sft-row.js";
import type { Tokenizer } from "./tokenizer.js";
import { UserError } from "./user-error.js";

export interface TurnEnd {
  readonly id: number;
  /** Undefined without a tokenizer. */
  readonly token: string | undefined;
  /** Trained turns that end with it. */
  readonly turns: number;
}

export interface TurnEnds {
  /** Runs of trained tokens. */
  readonly turns: number;
  /** The most frequent first. */
  readonly ends: readonly TurnEnd[];
  /** What the template writes after an answer; undefined where no row needed it, or it refuses to say. */
  readonly template: TemplateEnd | undefined;
}

export interface TemplateEnd {
  readonly text: string;
  /** Of a text that is one token. */
  readonly id: number | undefined;
}

/**
 * A special token that ends fewer turns than this, and is neither the template's nor the tokenizer's, is where somebody cut a row:
 * stopping there would break answers off that open with it.
 */
const leastShare = 0.05;

/** Of rows to train on. */
export function turnEndsOf(
  rows: readonly Pick<TokenizedRow, "labels">[],
  tokenizer: Tokenizer | undefined,
  template: ChatTemplate | undefined,
): TurnEnds {
  const written = tokenizer && template && templateEnd(tokenizer, template);
  const known = [
    written?.id,
    tokenizer?.eosToken === undefined ? undefined : tokenizer.idOf(tokenizer.eosToken),
  ];
  const isBlank = (id: number): boolean => tokenizer?.isBlank(id) ?? false;
  const counts = new Map<number, number>();
  let turns = 0;
  for (const { labels } of rows) {
    // Nothing predicts the first token.
    for (let i = 1; i < labels.length; i++) {
      if (labels[i] === IGNORED_LABEL || (labels[i + 1] ?? IGNORED_LABEL) !== IGNORED_LABEL) continue;
      let last = i;
      while (last > 1 && isBlank(labels[last]!) && labels[last - 1] !== IGNORED_LABEL) last--;
      const id = labels[last]!;
      turns++;
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
  }
  const isEnd = (id: number, own: number): boolean =>
    tokenizer === undefined
      ? // Nothing says which tokens are special: one that ends every turn is the end of turns.
        own === turns && turns > 1
      : known.includes(id) || (tokenizer.isSpecial(id) && own >= leastShare * turns);
  const ends = [...counts]
    .filter(([id, own]) => isEnd(id, own))
    .sort(([a, m], [b, n]) => n - m || a - b)
    .map(([id, own]) => ({ id, token: tokenizer?.tokenOf(id), turns: own }));
  return { turns, ends, template: written };
}

/** What a template writes after an answer, white space apart: undefined where it renders no such conversation. */
export function templateEnd(tokenizer: Tokenizer, template: ChatTemplate): TemplateEnd | undefined {
  const answer = "ANSWER";
  let rendered: string;
  try {
    rendered = template.render(
      [
        { role: "user", content: "QUESTION" },
        { role: "assistant", content: answer },
      ],
      { addGenerationPrompt: false, now: "2025-01-01" },
    );
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
  const at = rendered.lastIndexOf(answer);
  if (at < 0) return undefined;
  const text = rendered.slice(at + answer.length).trim();
  // A word of the vocabulary would be one token by chance, and an end wherever it is written.
  return { text, id: tokenizer.addedTokens.find(({ content }) => content === text)?.id };
}
