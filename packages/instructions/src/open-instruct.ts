/**
 * The 25 functions of open-instruct's `if_functions` (allenai/open-instruct, open_instruct/if_functions.py), by
 * their names and with their parameters, as its RL data has them. They ask for nearly the same things as
 * IFEval's kinds but count otherwise: "exactly N", "around N", substrings instead of patterns, case that matters.
 * Where the two agree, the same code checks both.
 */
import { z } from "zod";
import { countPlaceholders, isPythonJson } from "./detectable.js";
import {
  type CheckedKind,
  compareCount,
  defineCheck,
  type Finding,
  natural,
  noKwargs,
  nonEmpty,
} from "./instruction.js";
import { checkLanguage, noComma } from "./letters.js";
import { countOf, isBlank, SPACE, splitOnSpace, strip, WORD } from "./python-text.js";

const count = z.strictObject({ N: natural });
const quantity = z.strictObject({ N: natural, quantifier: z.enum(["at least", "around", "at most"]) });
const words = z.array(nonEmpty).min(1);

const functions: readonly CheckedKind[] = [
  defineCheck({
    id: "verify_keywords",
    kwargs: z.strictObject({ keyword_list: words }),
    checker:
      ({ keyword_list: keywords }) =>
      (response) => {
        const missing = keywords.filter((keyword) => !response.toLowerCase().includes(keyword.toLowerCase()));
        return { followed: missing.length === 0, evidence: `missing: ${missing.join(", ") || "none"}` };
      },
  }),
  defineCheck({
    id: "verify_keyword_frequency",
    kwargs: z.strictObject({ word: nonEmpty, N: natural }),
    checker:
      ({ word, N }) =>
      (response) => {
        const all = response.toLowerCase().match(new RegExp(`[${WORD}]+`, "gu")) ?? [];
        return compareCount(
          all.filter((one) => one === word.toLowerCase()).length,
          `times "${word}"`,
          "exactly",
          N,
        );
      },
  }),
  defineCheck({
    id: "validate_forbidden_words",
    kwargs: z.strictObject({ forbidden_words: words }),
    checker:
      ({ forbidden_words: forbidden }) =>
      (response) => {
        const found = forbidden.filter((word) => response.toLowerCase().includes(word.toLowerCase()));
        return { followed: found.length === 0, evidence: `found: ${found.join(", ") || "none"}` };
      },
  }),
  defineCheck({
    id: "verify_letter_frequency",
    kwargs: z.strictObject({
      letter: z.string().refine((letter) => [...letter].length === 1, "one character is wanted"),
      N: natural,
    }),
    checker:
      ({ letter, N }) =>
      (response) =>
        compareCount(countOf(response, letter), `times "${letter}"`, "exactly", N),
  }),
  defineCheck({
    id: "validate_response_language",
    kwargs: z.strictObject({ language: nonEmpty }),
    checker:
      ({ language }) =>
      (response) =>
        checkLanguage(response, language),
  }),
  defineCheck({
    id: "verify_paragraph_count",
    kwargs: count,
    checker:
      ({ N }) =>
      (response) => {
        const paragraphs = strip(
          response
            .split(/\r\n?|\n/)
            .map(strip)
            .join("\n"),
        ).split("* * *");
        if (paragraphs.some(isBlank)) return { followed: false, evidence: "a paragraph is empty" };
        return compareCount(paragraphs.length, "paragraphs divided by * * *", "exactly", N);
      },
  }),
  defineCheck({
    id: "validate_word_constraint",
    kwargs: quantity,
    checker: (wanted) => (response) =>
      compareQuantity(splitOnSpace(response).length, "words", wanted, tenth(wanted.N)),
  }),
  defineCheck({
    id: "verify_sentence_constraint",
    kwargs: quantity,
    checker: (wanted) => (response) => {
      const ends = response.match(
        new RegExp(`(?<![${WORD}]\\.[${WORD}][^\\n])(?<![A-Z][a-z]\\.)(?<=[.?!])[${SPACE}]`, "gu"),
      );
      return compareQuantity((ends?.length ?? 0) + 1, "sentences", wanted, 1);
    },
  }),
  defineCheck({
    id: "validate_paragraphs",
    kwargs: z.strictObject({ N: natural, first_word: nonEmpty, i: z.int().min(1) }),
    checker:
      ({ N, first_word: word, i }) =>
      (response) => {
        const paragraphs = response.split("\n\n");
        const begins = strip(paragraphs[i - 1] ?? "").startsWith(word);
        return {
          followed: paragraphs.length === N && begins,
          evidence: `${paragraphs.length} paragraphs, asked for exactly ${N}; paragraph ${i} ${begins ? "begins" : "does not begin"} with "${word}"`,
        };
      },
  }),
  defineCheck({
    id: "verify_postscript",
    kwargs: z.strictObject({ postscript_marker: nonEmpty }),
    checker:
      ({ postscript_marker: marker }) =>
      (response) => {
        const at = response.indexOf(marker);
        const followed = at >= 0 && strip(response.slice(at)).length > marker.length;
        return { followed, evidence: `the mark "${marker}" ${followed ? "with" : "without"} text after it` };
      },
  }),
  defineCheck({
    id: "validate_placeholders",
    kwargs: count,
    checker:
      ({ N }) =>
      (response) =>
        compareCount(countPlaceholders(response), "placeholders", "at least", N),
  }),
  defineCheck({
    id: "verify_bullet_points",
    kwargs: count,
    checker:
      ({ N }) =>
      (response) => {
        const bullets = response.split("\n").filter((line) => /^[*-]/.test(strip(line)));
        return compareCount(bullets.length, "bullet points", "exactly", N);
      },
  }),
  defineCheck({
    id: "validate_title",
    kwargs: noKwargs,
    checker: () => (response) => {
      const followed = response.split("\n").some((line) => {
        const open = line.indexOf("<<");
        return open >= 0 && line.includes(">>", open + 2);
      });
      return { followed, evidence: followed ? "a title in << >>" : "no title in << >>" };
    },
  }),
  defineCheck({
    id: "validate_choice",
    kwargs: z.strictObject({ options: words }),
    checker:
      ({ options }) =>
      (response) => {
        const found = options.find((option) => response.includes(option));
        return {
          followed: found !== undefined,
          evidence: `found: ${found ?? "none"} of ${options.join(", ")}`,
        };
      },
  }),
  defineCheck({
    id: "validate_highlighted_sections",
    kwargs: count,
    checker:
      ({ N }) =>
      (response) =>
        compareCount(response.match(/\*[^\n*]*\*/g)?.length ?? 0, "highlights", "at least", N),
  }),
  defineCheck({
    id: "validate_sections",
    kwargs: z.strictObject({ N: natural, section_splitter: nonEmpty }),
    checker: ({ N, section_splitter: splitter }) => {
      const sections = new RegExp(`${escapeRegExp(splitter)}[${SPACE}]?\\p{Nd}+`, "giu");
      return (response) =>
        compareCount(
          response.match(sections)?.length ?? 0,
          `times "${splitter}" with a number`,
          "at least",
          N,
        );
    },
  }),
  defineCheck({
    id: "validate_json_format",
    kwargs: noKwargs,
    checker: () => (response) => {
      const followed = isPythonJson(response);
      return { followed, evidence: followed ? "the answer is JSON" : "the answer does not parse as JSON" };
    },
  }),
  defineCheck({
    id: "validate_repeat_prompt",
    kwargs: z.strictObject({ original_prompt: nonEmpty }),
    checker:
      ({ original_prompt: prompt }) =>
      (response) => {
        const followed = response.startsWith(prompt);
        return {
          followed,
          evidence: `the answer ${followed ? "begins" : "does not begin"} with the request`,
        };
      },
  }),
  defineCheck({
    id: "validate_two_responses",
    kwargs: noKwargs,
    checker: () => (response) => {
      const responses = response.split("******").map(strip);
      const followed = responses.length === 2 && responses[0] !== responses[1];
      return {
        followed,
        evidence: `${responses.length} responses divided by ******${followed ? "" : ", no two different"}`,
      };
    },
  }),
  defineCheck({
    id: "validate_uppercase",
    kwargs: noKwargs,
    checker: () => (response) => {
      const followed = response === response.toUpperCase();
      return { followed, evidence: followed ? "no small letter" : "a small letter" };
    },
  }),
  defineCheck({
    id: "validate_lowercase",
    kwargs: noKwargs,
    checker: () => (response) => {
      const followed = response === response.toLowerCase();
      return { followed, evidence: followed ? "no capital" : "a capital" };
    },
  }),
  defineCheck({
    id: "validate_frequency_capital_words",
    kwargs: quantity,
    checker: (wanted) => (response) => {
      const capitals = response.match(new RegExp(`(?<![${WORD}])[A-Z]+(?![${WORD}])`, "gu"));
      return compareQuantity(capitals?.length ?? 0, "words in capitals", wanted, tenth(wanted.N));
    },
  }),
  defineCheck({
    id: "validate_end",
    kwargs: z.strictObject({ end_phrase: nonEmpty }),
    checker:
      ({ end_phrase: phrase }) =>
      (response) => {
        const followed = response.endsWith(phrase);
        return { followed, evidence: `the answer ${followed ? "ends" : "does not end"} with "${phrase}"` };
      },
  }),
  defineCheck({
    id: "validate_quotation",
    kwargs: noKwargs,
    checker: () => (response) => {
      const followed = response.startsWith('"') && response.endsWith('"');
      return {
        followed,
        evidence: `the answer ${followed ? "stands" : "does not stand"} in double quotation marks`,
      };
    },
  }),
  { ...noComma, id: "validate_no_commas" },
];

export const openInstructFunctions: readonly CheckedKind[] = functions.map((kind) => ({
  ...kind,
  checker: (kwargs) => kind.checker(withUpperN(kwargs)),
}));

/** The repository's own tests write the number small. */
function withUpperN(kwargs: unknown): unknown {
  if (typeof kwargs !== "object" || kwargs === null || !("n" in kwargs)) return kwargs;
  const { n, ...others } = kwargs;
  return { N: n, ...others };
}

/** "around" allows `tolerance` more or less. */
function compareQuantity(
  count: number,
  what: string,
  { N, quantifier }: z.output<typeof quantity>,
  tolerance: number,
): Finding {
  const followed = {
    "at least": count >= N,
    around: Math.abs(count - N) <= tolerance,
    "at most": count <= N,
  }[quantifier];
  return { followed, evidence: `${count} ${what}, asked for ${quantifier} ${N}` };
}

/** A tenth, at least one; halves go to the even neighbour, as Python rounds. */
function tenth(N: number): number {
  const down = Math.floor(N * 0.1);
  const rest = N * 0.1 - down;
  const up = rest > 0.5 || (rest === 0.5 && down % 2 === 1);
  return Math.max(1, up ? down + 1 : down);
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}
