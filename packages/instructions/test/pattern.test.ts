/** Patterns in Python's syntax. The counts are what `len(re.findall(pattern, text, re.IGNORECASE))` returned. */
import { expect, test } from "vitest";
import { compilePattern, compileWholeWord } from "../src/pattern.js";

test.each([
  ["sea", "Sea, SEA and seaside", 3],
  ["Mona Lisa", "the mona lisa", 1],
  ["a.c", "abc a\nc a\rc", 2],
  ["colou?r", "color colour", 2],
  ["\\bsea\\b", "sea seaside über-sea", 2],
  ["\\bé", "é aé", 1],
  ["\\Bsea", "sea undersea", 1],
  ["\\d+", "12 and ٣", 2],
  ["\\w+", "né à 3_4", 3],
  ["\\s", "a b\x1cc\ufeff", 2],
  ["\\S+", "a b\x1cc", 3],
  ["[\\w.]+", "a.b, c-d", 3],
  ["[^\\w\\s]", "a-b c!", 2],
  ["[\\W_]", "a_b c", 2],
  ["[]a]", "]a[", 2],
  ["[^]a]", "]ab", 1],
  ["[a-c-]", "abcd-", 4],
  ["[&&~~]", "a&b~", 2],
  ["(?P<x>a)(?P=x)", "aa ab", 1],
  ["(a)(b)\\2\\1", "abba", 1],
  ["(?:ab){,2}c", "c abc ababc", 3],
  ["x{2}", "xxxx", 2],
  ["{name}", "hello {name}", 1],
  ["a{b}", "a{b}", 1],
  ["]", "a]b]", 2],
  ["}", "a}b", 1],
  ["^a", "a\na", 1],
  ["a$", "a\na\n", 1],
  ["\\Aa\\Z", "a", 1],
  ["C\\+\\+", "c++ and C", 1],
  ["\\-\\ \\#", "- #", 1],
  ["(?<=\\$)\\d+", "$5 6", 1],
  ["(?<!x)y", "xy y", 1],
  ["a|b", "a b c", 2],
  ["\\x41\\u0042", "AB ab", 2],
  ["\\n", "a\nb", 1],
  ["/", "a/b", 1],
  ["...", "abcdef", 2],
  ["🙂", "🙂🙂", 2],
  ["ß", "ß SS", 1],
])("%j in %j: %i", (pattern, text, count) => {
  expect(compilePattern(pattern, { ignoreCase: true }).count(text)).toBe(count);
});

test("case counts where it is asked to", () => {
  expect(compilePattern("Section", { ignoreCase: false }).count("Section SECTION")).toBe(1);
});

test.each([
  ["sea", "The sea.", 1],
  ["sea", "seaside undersea", 0],
  ["sea", "SEA-green, sea_green", 1],
  ["été", "l'été étés", 1],
  ["new york", "New York", 1],
  ["a|b", "ab a", 1],
])("whole word %j in %j: %i", (word, text, count) => {
  expect(compileWholeWord(word).count(text)).toBe(count);
});

test.each([
  "(",
  ")",
  "[a",
  "*a",
  "a\\",
  "\\q",
  "(?i)a",
  "(?(1)a|b)",
  "(?P=x)",
  "\\1",
  "(?P<x",
  "[b-a]",
  "a{3,2}",
])("%j is refused as %s", (pattern) => {
  expect(() => compilePattern(pattern, { ignoreCase: true })).toThrow(
    expect.objectContaining({ name: "UserError", code: "bad_pattern" }),
  );
});

test("a pattern with repetition that ends is counted under the clock", () => {
  const pattern = compilePattern("(a+b)+", { ignoreCase: false });
  expect([pattern.count("aab ab"), pattern.count(""), pattern.count("ab".repeat(100_000))]).toEqual([
    2, 0, 1,
  ]);
});
