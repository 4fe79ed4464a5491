/** Words. Counts of words in capitals are what NLTK 3.10's word_tokenize and Python's isupper returned. */
import { expect, test } from "vitest";
import { isLower, isUpper, splitOnSpace, strip } from "../src/python-text.js";
import { countCapitalWords, countWords } from "../src/words.js";

test.each([
  ["", 0],
  ["word1, word2 -- word3... word4!", 4],
  ["Hyphenated-word has two word counts.", 6],
  ["don't", 2],
  ["snake_case 3.14", 3],
  ["naïve café", 2],
  // A combining mark is no word character in Python.
  ["cafe\u0301s", 2],
  ["नमस्ते", 2],
  ["你好世界 再见", 2],
])("words of %j: %i", (text, count) => {
  expect(countWords(text)).toBe(count);
});

test.each([
  ["HERE there are THREE FUlly CAPITAL words.", 3],
  ["STATE-OF-THE-ART", 1],
  ["DON'T", 2],
  ["DON'T.", 2],
  ["DON’T", 2],
  ["IT'S THE U.S.A.", 4],
  ["I'LL SAY: 'HELLO' (WORLD)", 5],
  ["STATE='READONLY'", 2],
  ["CANNOT GONNA", 4],
  ["A,B C:D 10,000KM", 5],
  ["A/B AND/OR R&D", 4],
  ["«OUI» “YES” X—Y", 4],
  ["NASA/ESA 3D B2B ßS ABC123", 4],
  ["", 0],
])("words in capitals of %j: %i", (text, count) => {
  expect(countCapitalWords(text)).toBe(count);
});

test("case as Python has it: no letter with a case, no case", () => {
  expect([isUpper("ABC 1!"), isUpper("123"), isUpper("ABc"), isUpper("你好")]).toEqual([
    true,
    false,
    false,
    false,
  ]);
  expect([isLower("abc 1!"), isLower("123"), isLower("Abc"), isLower("ß")]).toEqual([
    true,
    false,
    false,
    true,
  ]);
  expect([isUpper("ǅ"), isLower("ǅ")]).toEqual([false, false]);
});

test("white space as Python has it: no byte order mark, but the separators of ASCII", () => {
  expect(strip("\u00a0\x1c a \x1f\u3000")).toBe("a");
  expect(strip("\ufeffa\ufeff")).toBe("\ufeffa\ufeff");
  expect(splitOnSpace("\x1ca\u2028b\x85c ")).toEqual(["a", "b", "c"]);
});
