// The answer in a response and whether it is the reference. Cases are of the kinds that models write, and of those that would pass by luck.
import { expect, test } from "vitest";
import { type Extraction, extractAnswer, isExactMatch, referenceAnswer } from "../src/extract.js";
import { exactMatch } from "../src/grade.js";

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

test.each<[Extraction, string | undefined]>([
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

test("a response that never ended is not right, and one without an answer is told apart from a wrong one", async () => {
  const grade = exactMatch("auto");
  const outcome = async (text: string, finish: "stop" | "length") =>
    (await grade({ answer: "72" }, { text, finish })).outcome;
  expect(await outcome("#### 72", "stop")).toBe("pass");
  expect(await outcome("#### 72", "length")).toBe("unparseable");
  expect(await outcome("#### 71", "stop")).toBe("fail");
  expect(await outcome("no idea", "stop")).toBe("unparseable");
});

test.each<Extraction>(["auto", "boxed", "hash", "answer", "last_number", "whole"])(
  "%s: what stands in thinking is not graded",
  async (extraction) => {
    const marks = {
      auto: "72",
      boxed: "\\boxed{72}",
      hash: "#### 72",
      answer: "Answer: 72",
      last_number: "72",
      whole: "72",
    };
    const answer = marks[extraction];
    const outcome = async (text: string) =>
      (await exactMatch(extraction)({ answer: "72" }, { text, finish: "stop" })).outcome;
    expect(await outcome(`<think>\n#### 5 or \\boxed{6}\n</think>\n${answer}`)).toBe("pass");
    expect(await outcome(`<think>${answer}</think>`)).toBe("unparseable");
    expect(await outcome(`<think>\n${answer}`)).toBe("unparseable");
    expect(await outcome(`${answer}\n</think>no idea`)).not.toBe("pass");
  },
);
