// What of an announcement is the answer: explanations come off, in many languages; second answers, doubts and retractions never pass.
import { expect, test } from "vitest";
import { extractAnswer, gradeAnswer } from "../src/index.js";
import { readSuite } from "./support/answer-suites.js";

interface Announced {
  readonly reference: string;
  readonly response: string;
  readonly passes: boolean;
}

const cases = readSuite("announced") as unknown as readonly Announced[];

test("an announced answer is read with what explains it, in every language", () => {
  const explained = cases.filter(({ passes }) => passes);
  expect(explained.length).toBeGreaterThan(200);
  for (const { reference, response } of explained)
    expect(gradeAnswer(reference, response).outcome, `${reference}: ${response}`).toBe("pass");
});

test("two answers, doubts, conditions, questions and what is taken back pass for none", () => {
  const refused = cases.filter(({ passes }) => !passes);
  expect(refused.length).toBeGreaterThan(180);
  for (const { reference, response } of refused)
    expect(gradeAnswer(reference, response).outcome, `${reference}: ${response}`).not.toBe("pass");
});

test("one ranking of marks, whatever their order", () => {
  const marks = ["\\boxed{1}", "<answer>2</answer>", "\n#### 3\n", "The answer is 4."];
  for (let first = 0; first < marks.length; first++) {
    for (let second = first + 1; second < marks.length; second++) {
      for (const text of [`${marks[first]} ${marks[second]}`, `${marks[second]} ${marks[first]}`]) {
        expect(extractAnswer(text), text).toMatchObject({ text: String(first + 1) });
      }
    }
  }
});

test("a heading is no answer, and an answer in a heading is one", () => {
  const extracted = (response: string): string | undefined => {
    const extraction = extractAnswer(response);
    return extraction.found ? extraction.text : undefined;
  };
  expect(extracted("#### Step 2\nThe answer is 9.")).toBe("9");
  expect(extracted("The answer is 9.\n#### Step 2\nmore")).toBe("9");
  expect(extracted("#### 2. Compute\nThe answer is 9.")).toBe("9");
  expect(extracted("#### 2 ways to see it\nThe answer is 9.")).toBe("9");
  expect(extracted("#### Step 2\nmore words")).toBeUndefined();
  expect(extracted("#### 3. Check\nmore words")).toBeUndefined();
  expect(extracted("#### Answer: 9")).toBe("9");
  expect(extracted("### Final Answer\n\n9\n")).toBe("9");
  expect(extracted("**Answer**\n9")).toBe("9");
  expect(extracted("work\n#### Paris")).toBe("Paris");
  expect(extracted("work\n#### 72\nI hope this helps.")).toBe("72");
  expect(extracted("work\n#### 72, which is six dozen")).toBe("72");
});

test("words may be the answer together with what reads like an explanation", () => {
  const said = "The answer is the dog, which barked.";
  expect(gradeAnswer("the dog, which barked", said, { kind: "text" }).outcome).toBe("pass");
  expect(gradeAnswer("the dog", said, { kind: "text" }).outcome).toBe("pass");
  expect(
    gradeAnswer('{"a": 1, "b": "x; y"}', 'Answer: {"a": 1, "b": "x; y"}', { kind: "json" }).outcome,
  ).toBe("pass");
});

test.each([
  ["0.5", "0,5"],
  ["0.111", "0,111"],
  ["\\frac12", "0,5"],
  ["3.14", "3,14"],
  ["-2.5", "-2,5"],
  ["1234.56", "1.234,56"],
  ["1234.56", "1 234,56"],
  ["3.5 m", "3,5 m"],
  ["2.5\\%", "2,5 %"],
])("one number, %s, may be written %s", (reference, answer) => {
  expect(gradeAnswer(reference, `\\boxed{${answer}}`).outcome).toBe("pass");
});

test.each([
  ["1.234", "1,234"],
  ["1234", "1.234"],
  ["0.5", "0, 5"],
  ["1.2", "1, 2"],
  ["1,2", "1.2"],
  ["0,5", "0.5"],
  ["\\{1, 5\\}", "1.5"],
  ["(1,5)", "1.5"],
  ["1.5", "(1,5)"],
  ["-6", "(-6,0)"],
  ["3.2", "\\{3,2\\}"],
  ["\\frac{3}{8}", "\\left(\\frac34,5\\right)"],
])("a comma is no decimal point in thousands and lists: %s is not %s", (reference, answer) => {
  expect(gradeAnswer(reference, `\\boxed{${answer}}`).outcome).not.toBe("pass");
});

test.each([
  ["30000", "3万", "３萬", "3만", "30 thousand", "$30 thousand", "3万元"],
  ["35000", "3万5千", "3만 5천", "三万五千"],
  ["120000000", "1.2亿", "1.2億", "120 million", "1億2000万", "1억 2천만", "12 crore", "12 करोड़"],
  ["3000000", "3 million", "$3 million", "300万", "3 Millionen", "3 миллиона", "30 lakh", "3 ล้าน"],
  ["0.3", "3 tenths"],
  ["23", "二十三", "二十三个", "２３", "২৩", "२३", "٢٣", "౨౩", "๒๓"],
  ["1/2", "一半", "半"],
])("%s is all of these", (reference, ...answers) => {
  for (const answer of answers)
    expect(gradeAnswer(reference, `<answer>${answer}</answer>`).outcome, answer).toBe("pass");
});

test.each([
  ["3", "3 million", "3万", "3 hundred", "3 tenths", "3만", "3千"],
  ["1.5", "一半"],
  ["5", "五或六", "五万"],
])("%s is none of these", (reference, ...answers) => {
  for (const answer of answers)
    expect(gradeAnswer(reference, `<answer>${answer}</answer>`).outcome, answer).not.toBe("pass");
});
