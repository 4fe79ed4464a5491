/**
 * Four kinds that the reference evaluator has classes and tests for but no entry in its registry; the names
 * are those of its commented-out entries. No prompt of IFEval asks for them.
 */
import { z } from "zod";
import { compareCount, defineCheck, natural, nonEmpty } from "./instruction.js";
import { compilePattern } from "./pattern.js";
import { SPACE, splitOnSpace, strip, WORD } from "./python-text.js";
import { splitSentences } from "./sentences.js";

export const constrainedStart = defineCheck({
  id: "multi-turn:constrained_start",
  kwargs: z.strictObject({ starter: nonEmpty }),
  checker: ({ starter }) => {
    const before = `(?<=(?<![^])|\\n)[${SPACE}]*`;
    const pattern = compilePattern(strip(starter), { ignoreCase: false, before });
    return (response) => {
      const followed = pattern.count(response) > 0;
      return { followed, evidence: `${followed ? "a" : "no"} line begins with "${starter}"` };
    };
  },
});

export const keySentences = defineCheck({
  id: "keywords:key_sentences",
  kwargs: z.strictObject({ key_sentences: z.array(nonEmpty).min(1), num_sentences: natural }),
  checker: ({ key_sentences: wanted, num_sentences: count }) => {
    const oneLine = (sentence: string) => splitOnSpace(sentence).join(" ");
    return (response) => {
      const sentences = new Set(splitSentences(response).map(oneLine));
      const found = wanted.filter((sentence) => sentences.has(oneLine(sentence)));
      return compareCount(found.length, "of the key sentences", "exactly", count);
    };
  },
});

export const rephrase = defineCheck({
  id: "detectable_format:rephrase",
  kwargs: z.strictObject({ original_message: z.string().refine(hasChange, "no *change me* in the message") }),
  checker:
    ({ original_message: original }) =>
    (response) => {
      const followed = hasChange(response) && withoutChanges(response) === withoutChanges(original);
      return {
        followed,
        evidence: `the text around *...* ${followed ? "stayed" : "did not stay"} as it was`,
      };
    },
});

export const rephraseParagraph = defineCheck({
  id: "detectable_content:rephrase_paragraph",
  kwargs: z.strictObject({ original_paragraph: nonEmpty, low: natural, high: natural }),
  checker: ({ original_paragraph: original, low, high }) => {
    const originalWords = wordCounts(original);
    return (response) => {
      let same = 0;
      for (const [word, count] of wordCounts(response)) same += Math.min(count, originalWords.get(word) ?? 0);
      return {
        followed: same >= low && same <= high,
        evidence: `${same} words of the paragraph kept, asked for ${low} to ${high}`,
      };
    };
  },
});

/** On one line, from the first asterisk to the last. */
function changeOn(line: string): { start: number; end: number } | undefined {
  const start = line.indexOf("*");
  const end = line.lastIndexOf("*");
  return end > start ? { start, end: end + 1 } : undefined;
}

function hasChange(text: string): boolean {
  return text.split("\n").some((line) => changeOn(line) !== undefined);
}

function withoutChanges(text: string): string {
  const unchanged = (line: string) => {
    const change = changeOn(line);
    return change === undefined ? line : line.slice(0, change.start) + line.slice(change.end);
  };
  return text.split("\n").map(unchanged).join("\n");
}

function wordCounts(text: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const [word] of text.toLowerCase().matchAll(new RegExp(`[${WORD}]+`, "gu"))) {
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return counts;
}
