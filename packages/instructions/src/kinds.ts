/** The table of instruction kinds, and which of them cannot stand in one prompt. */

import {
  constrainedResponse,
  jsonFormat,
  multipleSections,
  numberBulletLists,
  numberHighlightedSections,
  numberPlaceholders,
  postscript,
  title,
} from "./detectable.js";
import { endChecker, quotation, repeatPrompt, twoResponses } from "./framing.js";
import type { CheckedKind, InstructionKind } from "./instruction.js";
import { forbiddenWords, keywordExistence, keywordFrequency, letterFrequency } from "./keywords.js";
import { nthParagraphFirstWord, numberParagraphs, numberSentences, numberWords } from "./length.js";
import {
  capitalWordFrequency,
  englishCapital,
  englishLowercase,
  noComma,
  responseLanguage,
} from "./letters.js";
import { openInstructFunctions } from "./open-instruct.js";
import { constrainedStart, keySentences, rephrase, rephraseParagraph } from "./unregistered.js";

/** The 25 kinds of IFEval (Zhou et al., arXiv 2311.07911). */
export const instructionKinds: readonly InstructionKind[] = [
  keywordExistence,
  keywordFrequency,
  forbiddenWords,
  letterFrequency,
  responseLanguage,
  numberSentences,
  numberParagraphs,
  numberWords,
  nthParagraphFirstWord,
  numberPlaceholders,
  postscript,
  numberBulletLists,
  constrainedResponse,
  numberHighlightedSections,
  multipleSections,
  jsonFormat,
  title,
  twoResponses,
  repeatPrompt,
  endChecker,
  quotation,
  capitalWordFrequency,
  englishCapital,
  englishLowercase,
  noComma,
];

const checkedKinds: ReadonlyMap<string, CheckedKind> = new Map(
  [
    ...instructionKinds,
    ...openInstructFunctions,
    ...[constrainedStart, keySentences, rephrase, rephraseParagraph],
  ].map((kind) => [kind.id, kind]),
);

/** By its id: one of the 25, an `if_functions` name of open-instruct, or one of the four unregistered. */
export function findKind(id: string): CheckedKind | undefined {
  return checkedKinds.get(id);
}

const ids = instructionKinds.map((kind) => kind.id);
const allBut = (...compatible: readonly string[]) => ids.filter((id) => !compatible.includes(id));

/** One direction of the reference's INSTRUCTION_CONFLICTS; a kind never goes with itself. */
const conflicts: ReadonlyMap<string, readonly string[]> = new Map([
  [
    "language:response_language",
    [
      "detectable_format:multiple_sections",
      "keywords:existence",
      "keywords:frequency",
      "keywords:forbidden_words",
      "startend:end_checker",
      "change_case:english_capital",
      "change_case:english_lowercase",
    ],
  ],
  [
    "length_constraints:number_paragraphs",
    ["length_constraints:nth_paragraph_first_word", "length_constraints:number_sentences"],
  ],
  ["detectable_format:constrained_response", ids],
  ["detectable_format:multiple_sections", ["detectable_format:number_highlighted_sections"]],
  ["detectable_format:json_format", allBut("keywords:forbidden_words", "keywords:existence")],
  [
    "combination:two_responses",
    allBut(
      "keywords:forbidden_words",
      "keywords:existence",
      "language:response_language",
      "detectable_format:title",
      "punctuation:no_comma",
    ),
  ],
  [
    "combination:repeat_prompt",
    allBut("keywords:existence", "detectable_format:title", "punctuation:no_comma"),
  ],
  ["change_case:capital_word_frequency", ["change_case:english_lowercase", "change_case:english_capital"]],
  ["change_case:english_lowercase", ["change_case:english_capital"]],
  ["startend:quotation", ["detectable_format:title"]],
]);

/** Whether the reference's own prompt builder puts both kinds in one prompt. Order does not matter. */
export function goTogether(first: string, second: string): boolean {
  if (first === second) return false;
  return !conflicts.get(first)?.includes(second) && !conflicts.get(second)?.includes(first);
}
