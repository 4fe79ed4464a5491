/** keywords:*: what must, may and must not occur, and how often. Keywords are regular expressions (pattern.ts). */
import { z } from "zod";
import {
  compareCount,
  defineInstruction,
  drawNumber,
  drawOne,
  drawSeveral,
  natural,
  nonEmpty,
  relation,
} from "./instruction.js";
import { compilePattern, compileWholeWord } from "./pattern.js";
import { countOf, strip } from "./python-text.js";
import { vocabulary } from "./vocabulary.js";

export const keywordExistence = defineInstruction({
  id: "keywords:existence",
  kwargs: z.strictObject({ keywords: z.array(nonEmpty).min(1) }),
  checker: ({ keywords }) => {
    const patterns = keywords.map((keyword) => compilePattern(keyword, { ignoreCase: true }));
    return (response) => {
      const missing = keywords.filter((_, index) => patterns[index]!.count(response) === 0);
      return {
        followed: missing.length === 0,
        evidence: `${quoted(missing)} missing of ${quoted(keywords)}`,
      };
    };
  },
  describe: ({ keywords }) => `Use each of these words at least once: ${keywords.join(", ")}.`,
  generate: (random) => ({ keywords: drawSeveral(random, vocabulary, 2) }),
});

export const keywordFrequency = defineInstruction({
  id: "keywords:frequency",
  kwargs: z.strictObject({ keyword: nonEmpty, frequency: natural, relation }),
  checker: ({ keyword, frequency, relation }) => {
    const pattern = compilePattern(strip(keyword), { ignoreCase: true });
    return (response) => compareCount(pattern.count(response), `times "${keyword}"`, relation, frequency);
  },
  describe: ({ keyword, frequency, relation }) =>
    `The word "${keyword}" should occur ${relation} ${frequency} times in your answer.`,
  generate: (random) => ({
    keyword: drawOne(random, vocabulary),
    frequency: drawNumber(random, 1, 3),
    relation: drawOne(random, relation.options),
  }),
});

export const forbiddenWords = defineInstruction({
  id: "keywords:forbidden_words",
  kwargs: z.strictObject({ forbidden_words: z.array(nonEmpty).min(1) }),
  checker: ({ forbidden_words: words }) => {
    const patterns = words.map(compileWholeWord);
    return (response) => {
      const found = words.filter((_, index) => patterns[index]!.count(response) > 0);
      return {
        followed: found.length === 0,
        evidence: `${quoted(found)} found of the forbidden ${quoted(words)}`,
      };
    };
  },
  describe: ({ forbidden_words: words }) => `Avoid the following words altogether: ${words.join(", ")}.`,
  generate: (random) => ({ forbidden_words: drawSeveral(random, vocabulary, 2) }),
});

export const letterFrequency = defineInstruction({
  id: "keywords:letter_frequency",
  kwargs: z.strictObject({
    letter: z.string().refine((letter) => [...strip(letter)].length === 1, "one character is wanted"),
    let_frequency: natural,
    let_relation: relation,
  }),
  checker: ({ letter, let_frequency: frequency, let_relation: wanted }) => {
    const small = strip(letter).toLowerCase();
    return (response) =>
      compareCount(countOf(response.toLowerCase(), small), `times the letter "${small}"`, wanted, frequency);
  },
  describe: ({ letter, let_frequency: frequency, let_relation: wanted }) =>
    `The letter ${letter} should occur ${wanted} ${frequency} times, capital or small.`,
  generate: (random) => ({
    letter: drawOne(random, [..."abcdefghijklmnopqrstuvwxyz"]),
    let_frequency: drawNumber(random, 1, 10),
    let_relation: drawOne(random, relation.options),
  }),
});

function quoted(words: readonly string[]): string {
  return words.length === 0 ? "none" : words.map((word) => `"${word}"`).join(", ");
}
