// What of an announcement is the answer: explanations come off, in many languages; second answers, doubts and retractions never pass.
import { expect, test } from "vitest";
import { extractAnswer, gradeAnswer } from "../../src/index.js";

const outcome = (reference: string, response: string): string => gradeAnswer(reference, response).outcome;

const explained: readonly (readonly [reference: string, ...responses: string[]])[] = [
  [
    "72",
    "The answer is 72, which is the total.",
    "The answer is 72 because 6 * 12 = 72.",
    "The answer is 72 (six dozen).",
    "The answer is 72; each box has 12 eggs.",
    "The answer is 72. Then we stop.",
    "The answer is 72, since 6*12=72.",
    "So the answer is **72**, as 6 × 12 = 72.",
    "Answer: 72 eggs, which is six dozen",
    "The answer is $72$, which is the total.",
    "The final answer is 72 dollars, because 6*12 = 72.",
    "The answer is 72 — six boxes of twelve.",
    "The answer is 72 - six boxes of twelve.",
    "The answer is 72, not 73.",
    "foo\n#### 72 apples",
    "#### 72\nHope this helps!",
    "答案是72，因为6乘12等于72。",
    "答案是72（六打）。",
    "<answer>The answer is 72.</answer>",
    "<answer>72, which is the total</answer>",
    "Ans: 72",
    "The answer is 72.Then we stop.",
    "The answer is:\n72",
  ],
  [
    "B",
    "The answer is B because the others are wrong.",
    "The answer is B (a train).",
    "The answer is B. Then he left.",
    "The answer is (B), because it is a train.",
    "The answer is B, a train.",
    "The answer is B) a train because it is fast",
    "The correct option is B.",
    "答案是B",
    "故选B。",
    "选B",
    "答案选B",
    "答案是选项 B",
    "答案是第B项",
    "答案是Ｂ。",
    "答案是B，因为火车更快。",
    "正确答案为（B）。",
    "正确选项是B。",
    "정답은 B입니다.",
    "答えはBです。",
    "答案：B",
    "答案B",
    "正解はBです",
    "The answer is B, the others are not prime.",
  ],
  [
    "18",
    "The answer is $18 per day, because 9*2 = 18",
    "Jibu ni 18.",
    "Jibu la mwisho ni 18 kwa sababu 9*2=18",
    "La réponse est de 18 euros.",
    "La réponse finale est 18, car 9*2 = 18.",
    "La respuesta final es 18 porque 9*2=18.",
    "Die Antwort ist 18, weil 9*2 = 18.",
    "Ответ: 18, потому что 9*2=18",
    "Ответ — 18.",
    "答えは18ドルです。",
    "답: 18달러",
    "উত্তর হবে 18টি",
    "答案是18美元。",
    "答えは１８個です",
    "సమాధానం 18 డాలర్లు",
    "Die Antwort lautet: 18 Euro.",
  ],
  ["1/2", "The answer is 1/2 (0.5).", "答案是 $\\frac12$。"],
  ["0.5", "The answer is 1/2 (0.5).", "\\boxed{0,5}"],
  [
    "Paris",
    "The answer is Paris because it is the capital of France.",
    "The answer is Paris, which is the capital.",
    "foo\n#### Paris",
  ],
  ["yes", "The answer is yes, because 5 > 3."],
  ["Yes", "Answer: Yes; 5 > 3"],
  ["x=5", "The answer is x = 5, since 2x = 10."],
  [
    "9",
    "#### Step 1\nfoo\n#### Step 2\nThe answer is 9.",
    "#### Answer: 9",
    "The answer is 9.\n\n#### Step 2\nbla",
    "### Final Answer\n\n9",
    "**Answer**\n9",
    "## Answer:\n9",
    "#### 2. Compute\nThe answer is 9.",
    "#### **9**",
    "#### $9",
    "#### Final answer\n9",
    "#### The answer is 9",
    "The answer is 9.\n#### 3. Check",
  ],
  ["北京", "答案是北京。"],
  ["5", "答えは五です。", "정답은 5입니다.", "答案是５"],
  ["30000", "答案是3万。"],
  ["120000000", "答案：1.2亿"],
  ["23", "答案是二十三", "答案是二十三个。"],
  [
    "3",
    "الجواب هو ٣",
    "الإجابة هي 3.",
    "उत्तर ३ है।",
    "उत्तर है ३",
    "జవాబు ౩",
    "উত্তর হল ৩।",
    "คำตอบคือ ๓",
    "ตอบ 3",
  ],
  ["-3", "答案是-3"],
  ["20000", "答案是２万元"],
  ["0.111", "\\boxed{0,111}"],
  ["3.14", "Die Antwort ist 3,14.", "Antwort: 3,14 Meter"],
  ["1234.56", "Antwort: 1.234,56"],
  ["C", 'Answer: "C"'],
  ["D", "The answer is D, it cannot be A."],
  ["14", "The answer is 14, the number of apples."],
  ["4", "The answer is 4, i.e. two pairs."],
  ["35", "Therefore, the answer is 35 minutes, so he arrives late."],
  ["3:30 PM", "The answer is 3:30 p.m. because he left at 3."],
];

test.each(explained)("%s is announced in all of these", (reference, ...responses) => {
  for (const response of responses) expect(outcome(reference, response), response).toBe("pass");
});

const refused: readonly (readonly [reference: string, ...responses: string[]])[] = [
  [
    "72",
    "The answer is 72 or 73.",
    "The answer is either 72 or 73.",
    "The answer is between 5 and 72.",
    "The answer is 72, 73.",
    "The answer is 72; 73",
    "The answer is 72 (or 73).",
    "The answer is 72 (73).",
    "The answer is 72, maybe 73.",
    "The answer is 72. Or 73.",
    "The answer is 72. Actually, it is 73.",
    "The answer is 72. No, wait, 73.",
    "The answer is 72. 73.",
    "The answer is 72?",
    "The answer is maybe 72",
    "The answer is not 72.",
    "The answer is 72 because it could be 73.",
    "The answer is 72, which could also be 73.",
    "The answer is 72, which is 73.",
    "The answer is 72 but maybe not",
    "The answer is 72 I guess or 73",
    "The answer is 72 but 73 if you count zero.",
    "The answer is 72 (73 if you count zero).",
    "The answer is 72 and 73.",
    "The answer is 72 to 73",
    "The answer is 72 if x is 3, 73 otherwise",
    "The answer is $72$ or $73$.",
    "The answer is $72$, maybe $73$.",
    "The answer is $72$, or 73.",
    "The answer is 72. The answer is 73.",
    "#### 72 or 73",
    "#### 72\n#### 73",
    "答案是72或73",
    "答案是72，或者73。",
    "Answer: 72 73",
    "정답은 72 또는 73입니다",
    "答えは72または73です",
    "Die Antwort ist 72 oder 73.",
    "La réponse est 72 ou 73.",
    "Ответ: 72 или 73",
    "The answer is 72 or maybe 73, because 6*12",
    "If the answer is 72, then x = 3.",
    "The answer is 72. It could also be 73.",
    "The answer is 72, 73, or 74 because I am not sure",
    "Answer: 72 or 73 (six dozen)",
    "The answer is 72 = 73",
    "The answer is 73 (72).",
    "Answer: 72-73",
    "The answer is 72, also 73.",
    "The answer is 72, the other is 73.",
    "The answer is 72 as well as 73.",
    "The answer is 72 so 73",
    "The answer is 72 plus 1",
    "The answer is 72 times 2",
    "The answer is 72 more than 5",
  ],
  [
    "A",
    "The answer is A or B.",
    "The answer is either A or B.",
    "The answer is A. B.",
    "The answer is A, B.",
    "The answer is A; B",
    "The answer is A (B)",
    "The answer is A/B",
    "Answer: A\nAnswer: B",
    "The answer is A and B",
    "A cat: the answer is A cat",
    "The answer is A) B",
    "The answer is A: B",
    "答案是A或B",
    "答案是A、B",
    "不选A",
    "选项A是错的",
    "The answer is A because B or A could be right",
  ],
  ["3", "The answer is 3 million.", "Answer: 3 by 4", "The answer is 3 hundred"],
  ["Paris", "The answer is Paris or London.", "The answer is Paris, London.", "Answer: Paris (or London)"],
  ["5", "答案是五或六", "The answer is 5 of 9 or 8"],
  ["1234", "Antwort: 1.234"],
  ["1.234", "\\boxed{1,234}"],
  ["1.2", "\\boxed{1, 2}"],
  ["B", "The answer is B is wrong", "选B或C"],
];

test.each(refused)("%s is not the answer of any of these", (reference, ...responses) => {
  for (const response of responses) expect(outcome(reference, response), response).not.toBe("pass");
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
