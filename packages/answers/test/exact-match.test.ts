// The answer in a response and whether it is the reference. Cases are of the kinds that models write, and of those that would pass by luck.
import { expect, test } from "vitest";
import {
  type ExactMatchExtraction,
  exactMatch,
  extractAnswer,
  isExactMatch,
  referenceAnswer,
} from "../src/exact-match.js";

test.each<[text: string, reference: string, answer: string | undefined]>([
  // The order of auto: boxed, hash, answer, number.
  ["Answer: 3\n#### 4\n\\boxed{5}", "1", "5"],
  ["Answer: 3\n#### 4", "1", "4"],
  ["The sum is 7. Answer: 3 of 9 or 8", "1", "3 of 9 or 8"],
  ["The sum is 7. Answer: 3 apples", "1", "3"],
  ["The sum is 7, so 12 - 4 = 8", "1", "8"],
  ["The sum is 7", "seven", "The sum is 7"],
  ["I do not know", "7", undefined],
  ["", "seven", undefined],
  // Boxed: nested, the last one, one that does not close, without braces.
  ["\\boxed{1} then \\boxed{\\frac{1}{2}}.", "x", "\\frac{1}{2}"],
  ["\\boxed{1} then \\boxed{\\frac{1}{2", "x", "1"],
  ["\\boxed{\\left\\{1, 2\\right\\}}", "x", "\\left\\{1, 2\\right\\}"],
  ["so \\boxed 7$", "x", "7"],
  ["$\\fbox{12}$", "12", "12"],
  ["#### 1,234\nand more 5", "1", "1,234"],
  ["####\n72", "1", "72"],
  // "answer is" and its relatives.
  ["The answer is 42.", "1", "42."],
  ["The final answer is: **42**", "1", "**42**"],
  ["**Answer:** Paris\nThat is in France.", "Rome", "Paris"],
  ["Answer: no. Wait. Answer: yes", "x", "yes"],
  ["the answer isn't 5 but 6", "1", "6"],
  ["答案是 42。", "1", "42"],
  // Numbers: signs, separators, decimals, and what is no number of its own.
  ["10-3", "1", "3"],
  ["it is -3", "1", "-3"],
  ["costs $1,234.50.", "1", "1,234.50"],
  ["in 2,500,000 steps", "1", "2,500,000"],
  ["1, 2, 3", "1", "3"],
  ["pi is 3.14.", "1", "3.14"],
  ["共42个", "1", "42"],
  ["use GPT4", "1", undefined],
])("auto: %j for %j is %j", (text, reference, answer) => {
  expect(extractAnswer(text, "auto", reference)).toBe(answer);
});

test.each<[ExactMatchExtraction, string | undefined]>([
  ["boxed", "5"],
  ["hash", "4"],
  ["answer", "3"],
  ["last_number", "5"],
  ["whole", "Answer: 3\n#### 4\n\\boxed{5}"],
])("%s takes its own", (extraction, answer) => {
  expect(extractAnswer(" Answer: 3\n#### 4\n\\boxed{5}\n", extraction, "1")).toBe(answer);
  if (extraction !== "whole") expect(extractAnswer("nothing", extraction, "1")).toBeUndefined();
});

test.each([
  ["Paris", "paris."],
  ["1,234,567", "1234567"],
  ["$1,200", "1200"],
  ["**42**", "42"],
  ["42.", "42"],
  ["$x + 1$", "x + 1"],
  ["\u221242", "-42"],
  ["+7", "7"],
  ["New   York\n", "new york"],
  ["４２", "42"],
])("%j is %j", (answer, reference) => {
  expect(isExactMatch(answer, reference)).toBe(true);
  expect(isExactMatch(reference, answer)).toBe(true);
});

test.each([
  ["42.0", "42"],
  ["1/2", "0.5"],
  ["4 2", "42"],
  ["1,2", "12"],
  ["1,2345", "12345"],
  ["-5", "5"],
  ["5%", "5"],
  ["Paris, France", "Paris"],
  ["", "0"],
])("%j is not %j", (answer, reference) => {
  expect(isExactMatch(answer, reference)).toBe(false);
});

test.each([
  ["48/2 = <<48/2=24>>24\n#### 72", "72"],
  ["So $\\boxed{\\frac12}$.", "\\frac12"],
  ["6+5=11\nAnswer: 391", "391"],
  [" 18 ", "18"],
])("the reference %j asks for %j", (reference, answer) => {
  expect(referenceAnswer(reference)).toBe(answer);
});

test("of several references one is enough, each with its own kind of answer", () => {
  expect(exactMatch(["seven", "7"], "It is 3 + 4 = 7", "auto").outcome).toBe("pass");
  expect(exactMatch(["seven", "8"], "It is 3 + 4 = 7", "auto").outcome).toBe("fail");
});

test.each([
  ["\\\\boxed{5}", "5"],
  ["\\boxed{1} \\boxed{}", undefined],
  ["\\boxed\\boxed 7 8", "7"],
  ["{{ \\boxed{5} \\boxed{6", "5"],
  ["\\boxed{1 \\boxed{2} 3}", "2"],
  ["\\boxed{\\}} \\{", "\\}"],
])("the box of %j holds %j", (text, content) => {
  expect(extractAnswer(text, "boxed", "1")).toBe(content);
});

test.each([
  "\\boxed{",
  "\\boxed",
  "{",
  "answer ",
  "answer",
  "answer **",
  "*",
  "*_",
  "1,",
  "1,111",
  "####\n",
  "$",
  "\\",
  " ",
  "-",
])(
  "a megabyte of %j takes no time",
  (piece) => {
    const text = piece.repeat(1e6 / piece.length);
    const before = process.cpuUsage();
    for (const response of [`answer${text}`, `${text}x`, `${text}x${text}`])
      for (const extraction of ["auto", "whole"] as const) exactMatch(["7", text], response, extraction);
    expect(process.cpuUsage(before).user / 1e6).toBeLessThan(10);
  },
  60_000,
);
