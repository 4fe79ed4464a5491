// How long a text is, and how that is asked for.
import type { Draws } from "../draws.js";

/** As IFEval counts them, so that what is asked for can be checked by its rule. */
const words = /[\p{L}\p{M}\p{N}_]+/gu;
/** Scripts without spaces between words: their letters are counted. */
const spaceless =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/gu;

export interface Length {
  readonly count: number;
  readonly unit: "words" | "characters";
}

export function lengthOf(text: string): Length {
  const letters = (text.match(/\p{L}/gu) ?? []).length;
  const own = (text.match(spaceless) ?? []).length;
  return own > letters / 2
    ? { count: (text.match(/[\p{L}\p{N}]/gu) ?? []).length, unit: "characters" }
    : { count: (text.match(words) ?? []).length, unit: "words" };
}

/** Characters of a script without spaces that say as much as a word. */
const charactersOfWord = 1.7;

/** In words of that many, whatever the unit. */
export const inWords = ({ count, unit }: Length): number =>
  unit === "words" ? count : count / charactersOfWord;

/** Grades 1 to 5, in words. */
export const wordsOfGrade = (difficulty: number): number =>
  [300, 700, 1500, 3000, 5000][difficulty - 1] as number;

/**
 * Most bytes of an output, which is to have at most 8,192 tokens. Qwen2.5's tokenizer made a token of 3.7 to 4.9 bytes of English books, 4.1 of Chinese news,
 * 3.6 of German and 3.1 of Romanian (30 books, 200 sentences each, 2026-11-30).
 */
export const mostBytes = 8192 * 3;

export interface Constraint {
  readonly text: string;
  /** The same as IFEval's check, where words are counted. */
  readonly instructions: readonly {
    readonly id: string;
    readonly kwargs: Readonly<Record<string, unknown>>;
  }[];
}

/** A sentence that asks for a length that the text has, give or take a tenth. */
export function lengthConstraint(length: Length, draw: Draws): Constraint {
  const { count, unit } = length;
  const step = 10 ** Math.max(1, Math.floor(Math.log10(count)) - 1);
  const [below, near, above] = [Math.floor, Math.round, Math.ceil].map((to) => to(count / step) * step) as [
    number,
    number,
    number,
  ];
  const said = (number: number): string => `${number.toLocaleString("en-US")} ${unit}`;
  const bounds = (least: number | undefined, most: number | undefined): Constraint["instructions"] =>
    unit === "characters"
      ? []
      : [
          ...(least === undefined ? [] : [bound(least, "at least")]),
          ...(most === undefined ? [] : [bound(most + 1, "less than")]),
        ];
  return draw.pick([
    {
      text: `Write about ${said(near)}.`,
      instructions: bounds(Math.floor(near * 0.9), Math.ceil(near * 1.1)),
    },
    { text: `The length: at least ${said(below)}.`, instructions: bounds(below, undefined) },
    {
      text: `Write no more than ${said(above)}, and not much less.`,
      instructions: bounds(Math.floor(above * 0.8), above),
    },
    {
      text: `It should have between ${below.toLocaleString("en-US")} and ${said(above + step)}.`,
      instructions: bounds(below, above + step),
    },
  ]);
}

const bound = (number: number, relation: "at least" | "less than") => ({
  id: "length_constraints:number_words",
  kwargs: { num_words: number, relation },
});
