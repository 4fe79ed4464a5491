/** language:*, change_case:* and punctuation:*: which language, which letters. */
import { z } from "zod";
import {
  compareCount,
  defineInstruction,
  drawNumber,
  drawOne,
  type Finding,
  natural,
  noKwargs,
  relation,
} from "./instruction.js";
import { detectLanguage } from "./language.js";
import { isLower, isUpper } from "./python-text.js";
import { countCapitalWords } from "./words.js";

/** The languages that the reference asks for. */
const LANGUAGES: Readonly<Record<string, string>> = {
  ar: "Arabic",
  bg: "Bulgarian",
  bn: "Bengali",
  de: "German",
  en: "English",
  es: "Spanish",
  fa: "Persian",
  fi: "Finnish",
  fr: "French",
  gu: "Gujarati",
  he: "Hebrew",
  hi: "Hindi",
  it: "Italian",
  ja: "Japanese",
  kn: "Kannada",
  ko: "Korean",
  ml: "Malayalam",
  mr: "Marathi",
  ne: "Nepali",
  pa: "Punjabi",
  pl: "Polish",
  pt: "Portuguese",
  ru: "Russian",
  sw: "Swahili",
  ta: "Tamil",
  te: "Telugu",
  th: "Thai",
  uk: "Ukrainian",
  ur: "Urdu",
  vi: "Vietnamese",
};

export const responseLanguage = defineInstruction({
  id: "language:response_language",
  kwargs: z.strictObject({
    language: z.string().regex(/^[a-z]{2}(-[a-z]+)?$/i, "an ISO 639-1 code is wanted"),
  }),
  checker:
    ({ language }) =>
    (response) =>
      checkLanguage(response, language),
  describe: ({ language }) =>
    `Write the whole answer in ${LANGUAGES[language] ?? language} and in no other language.`,
  generate: (random) => ({ language: drawOne(random, Object.keys(LANGUAGES)) }),
});

/** A text in which nothing tells a language passes, as in the reference. */
export function checkLanguage(response: string, wanted: string): Finding {
  const language = detectLanguage(response);
  const code = wanted.toLowerCase().replace(/-.*/, "");
  return {
    followed: language === undefined || language === code,
    evidence: `language ${language ?? "not to be told"}, asked for ${wanted}`,
  };
}

export const englishCapital = defineInstruction({
  id: "change_case:english_capital",
  kwargs: noKwargs,
  checker: () => (response) =>
    isUpper(response)
      ? checkLanguage(response, "en")
      : { followed: false, evidence: "not every letter is a capital" },
  describe: () => "Write your whole answer in English and in capital letters.",
  generate: () => ({}),
});

export const englishLowercase = defineInstruction({
  id: "change_case:english_lowercase",
  kwargs: noKwargs,
  checker: () => (response) =>
    isLower(response)
      ? checkLanguage(response, "en")
      : { followed: false, evidence: "not every letter is small" },
  describe: () => "Write your whole answer in English and in small letters, without any capital.",
  generate: () => ({}),
});

export const capitalWordFrequency = defineInstruction({
  id: "change_case:capital_word_frequency",
  kwargs: z.strictObject({ capital_frequency: natural, capital_relation: relation }),
  checker:
    ({ capital_frequency: frequency, capital_relation: wanted }) =>
    (response) =>
      compareCount(countCapitalWords(response), "words in capitals", wanted, frequency),
  describe: ({ capital_frequency: frequency, capital_relation: wanted }) =>
    `Words in capital letters only should occur ${wanted} ${frequency} times.`,
  generate: (random) => ({
    capital_frequency: drawNumber(random, 1, 20),
    capital_relation: drawOne(random, relation.options),
  }),
});

export const noComma = defineInstruction({
  id: "punctuation:no_comma",
  kwargs: noKwargs,
  checker: () => (response) => {
    const at = response.indexOf(",");
    return { followed: at < 0, evidence: at < 0 ? "no comma" : `a comma at character ${at + 1}` };
  },
  describe: () => "Do without commas in the whole answer.",
  generate: () => ({}),
});
