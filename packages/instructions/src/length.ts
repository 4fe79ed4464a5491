/** length_constraints:*: sentences, words and paragraphs. */
import { z } from "zod";
import {
  compareCount,
  defineInstruction,
  drawNumber,
  drawOne,
  type Finding,
  natural,
  nonEmpty,
  relation,
} from "./instruction.js";
import { isBlank, SPACE, splitOnSpace, strip } from "./python-text.js";
import { countSentences } from "./sentences.js";
import { vocabulary } from "./vocabulary.js";
import { countWords } from "./words.js";

export const numberSentences = defineInstruction({
  id: "length_constraints:number_sentences",
  kwargs: z.strictObject({ num_sentences: natural, relation }),
  checker:
    ({ num_sentences: count, relation }) =>
    (response) =>
      compareCount(countSentences(response), "sentences", relation, count),
  describe: ({ num_sentences: count, relation }) => `Answer in ${relation} ${count} sentences.`,
  generate: (random) => ({
    num_sentences: drawNumber(random, 2, 20),
    relation: drawOne(random, relation.options),
  }),
});

export const numberWords = defineInstruction({
  id: "length_constraints:number_words",
  kwargs: z.strictObject({ num_words: natural, relation }),
  checker:
    ({ num_words: count, relation }) =>
    (response) =>
      compareCount(countWords(response), "words", relation, count),
  describe: ({ num_words: count, relation }) => `Write ${relation} ${count} words.`,
  generate: (random) => ({
    num_words: drawNumber(random, 100, 500),
    relation: drawOne(random, relation.options),
  }),
});

const divider = new RegExp(`[${SPACE}]?\\*\\*\\*[${SPACE}]?`);

export const numberParagraphs = defineInstruction({
  id: "length_constraints:number_paragraphs",
  kwargs: z.strictObject({ num_paragraphs: natural }),
  checker:
    ({ num_paragraphs: wanted }) =>
    (response) => {
      const parts = response.split(divider);
      if (parts.slice(1, -1).some(isBlank)) {
        return {
          followed: false,
          evidence: `nothing stands between two of the ${parts.length - 1} dividers ***`,
        };
      }
      const count = parts.length - [0, parts.length - 1].filter((end) => isBlank(parts[end]!)).length;
      return compareCount(count, "paragraphs divided by ***", "exactly", wanted);
    },
  describe: ({ num_paragraphs: count }) =>
    `Write exactly ${count} paragraphs, with the markdown divider *** between one paragraph and the next.`,
  generate: (random) => ({ num_paragraphs: drawNumber(random, 1, 5) }),
});

export const nthParagraphFirstWord = defineInstruction({
  id: "length_constraints:nth_paragraph_first_word",
  kwargs: z
    .strictObject({ num_paragraphs: natural, nth_paragraph: z.int().min(1), first_word: nonEmpty })
    .refine(({ num_paragraphs, nth_paragraph }) => nth_paragraph <= num_paragraphs, {
      error: "nth_paragraph is beyond num_paragraphs",
    }),
  checker:
    ({ num_paragraphs: wanted, nth_paragraph: nth, first_word: word }) =>
    (response) =>
      checkParagraphs(response, wanted, nth, word.toLowerCase()),
  describe: ({ num_paragraphs: count, nth_paragraph: nth, first_word: word }) =>
    `Write exactly ${count} paragraphs with an empty line between them, and nothing else that is set off by empty lines. Paragraph ${nth} has to begin with the word "${word}".`,
  generate: (random) => {
    const count = drawNumber(random, 1, 5);
    return {
      num_paragraphs: count,
      nth_paragraph: drawNumber(random, 1, count),
      first_word: drawOne(random, vocabulary),
    };
  },
});

/**
 * As the reference counts: blank paragraphs are not counted, but the nth is looked up with them, so more than
 * one empty line between paragraphs can move it.
 */
function checkParagraphs(response: string, wanted: number, nth: number, word: string): Finding {
  const paragraphs = response.split("\n\n");
  const count = paragraphs.filter((paragraph) => !isBlank(paragraph)).length;
  const first = nth <= count ? firstWord(strip(paragraphs[nth - 1]!)) : "";
  return {
    followed: count === wanted && first === word,
    evidence: `${count} paragraphs, asked for exactly ${wanted}; paragraph ${nth} begins with "${first}", asked for "${word}"`,
  };
}

/** Without quotation marks before it, up to the first punctuation mark in it. */
function firstWord(paragraph: string): string {
  const run = splitOnSpace(paragraph)[0] ?? "";
  return /^'*"*([^.,?!'"]*)/.exec(run)![1]!.toLowerCase();
}
