// Our own comparison and extraction: what is the same, what is not, and where the answer stands.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { extractAnswer, gradeAnswer, tokenF1 } from "../src/index.js";

const outcome = (reference: string, answer: string, options = {}) =>
  gradeAnswer(reference, answer, { extracted: true, ...options }).outcome;

/** Reference, then answers that say the same. */
const same: readonly (readonly [string, ...string[]])[] = [
  [
    "5",
    "5.0",
    "05",
    "+5",
    "10/2",
    "\\frac{10}{2}",
    "x = 5",
    "$5$",
    "\\(5\\)",
    "\\boxed{5}",
    "**5**",
    "5.",
    "five",
    "五",
    "５",
    "٥",
  ],
  ["\\frac12", "1/2", "0.5", ".5", "\\dfrac{1}{2}", "2^{-1}", "50%", "½", "二分之一", "\\frac{3}{6}"],
  ["1000", "1,000", "1\\,000", "1 000", "10^3", "1e3", "1{,}000", "1,\\!000", "一千"],
  ["3\\frac12", "7/2", "3.5", "3 1/2", "三点五"],
  ["-2\\frac12", "-5/2", "-2.5"],
  ["28\\%", "28", "0.28", "28 percent", "28%", "7/25"],
  ["0.\\overline{36}", "4/11", "\\frac{36}{99}"],
  ["\\sqrt{50}", "5\\sqrt2", "5\\sqrt{2}", "√50", "5 sqrt(2)", "50^{1/2}"],
  ["\\frac{1}{\\sqrt2}", "\\frac{\\sqrt{2}}{2}", "2^{-1/2}", "\\cos 45^\\circ", "\\sin\\frac{\\pi}{4}"],
  ["2\\pi", "\\pi+\\pi", "2π", "2 pi", "\\frac{4\\pi}{2}"],
  ["e^{-2}", "\\frac{1}{e^2}", "\\exp(-2)"],
  ["1+2i", "2i+1", "\\sqrt{-4}+1", "(1+2i)"],
  ["x^2-1", "(x-1)(x+1)", "-(1-x^2)", "x^2 - 1^2"],
  ["\\frac{x+2}{7}", "\\frac{x}{7}+\\frac27"],
  ["1", "\\sin^2 x+\\cos^2 x"],
  ["|x-1|", "|1-x|", "\\sqrt{(x-1)^2}"],
  ["\\frac{n(n-1)}{2}", "\\binom{n}{2}"],
  ["n!", "n(n-1)!"],
  ["10^{10^{10}}", "10^{10^{10}}"],
  ["y=2x+1", "2x+1", "y-2x-1=0", "2x-y+1=0", "2y=4x+2"],
  ["2x+4y-3=0", "y=-\\frac12x+\\frac34"],
  ["x<3", "3>x", "2x<6", "(-\\infty,3)", "x\\in(-\\infty,3)"],
  ["-x<4", "x>-4"],
  ["|x-1|<2", "-1<x<3", "(-1,3)"],
  ["(-\\infty,-1)\\cup(3,\\infty)", "x<-1 or x>3", "x>3 \\text{ or } x<-1", "|x-1|>2"],
  ["-1<x<3", "x>-1 and x<3", "x>-1 \\text{ and } x<3"],
  ["42", "6*7=42", "6 \\cdot 7 = 42"],
  ["[1,3]", "[1,2]\\cup[2,3]", "[1,2)\\cup[2,3]", "[1,2]\\cup(2,3]", "1\\le x\\le 3"],
  ["(-\\infty,2)\\cup(2,\\infty)", "x\\ne2", "\\mathbb{R}\\setminus\\{2\\}"],
  ["\\mathbb{R}", "(-\\infty,\\infty)"],
  ["\\emptyset", "\\{\\}", "\\varnothing"],
  ["1,2", "2,1", "1 and 2", "2 \\text{ or } 1", "\\{1,2\\}", "x=1 or x=2", "(1,2)"],
  ["\\{1,2\\}", "\\{2,1\\}", "1,2", "\\{1,2,2\\}"],
  ["(1,2)", "(1, 2)", "\\left(1,\\frac42\\right)", "1,2", "(x,y)=(1,2)"],
  ["\\pm 2", "2,-2", "x=\\pm2"],
  ["1\\pm\\sqrt2", "1-\\sqrt2, 1+\\sqrt2"],
  [
    "\\begin{pmatrix}1\\\\2\\end{pmatrix}",
    "\\begin{bmatrix}1\\\\2\\end{bmatrix}",
    "2\\begin{pmatrix}1/2\\\\1\\end{pmatrix}",
  ],
  ["5 cm", "5", "50 mm", "5\\text{ cm}", "0.05 meters", "5 centimeters"],
  ["12\\text{ m}^2", "12", "12 square meters", "120000 cm^2"],
  ["\\$18.90", "18.90", "$\\$18.90$", "18.9 dollars", "1890 cents"],
  ["12 apples", "12", "12 apple"],
  ["20^\\circ\\text{C}", "20°C", "20"],
  ["1010_2", "1010", "1010_{2}"],
  ["2:3", "4:6", "2/3"],
  ["1:2:3", "2:4:6"],
  ["\\text{odd}", "odd", "Odd.", "\\textbf{odd}"],
  ["New York", "new york", "the New York"],
  [
    "C",
    "(C)",
    "C.",
    "c",
    "\\text{(C)}",
    "C) Cecile",
    "Option C",
    "choice C because it is right",
    "\\textbf{(C)}\\ 9",
  ],
  ["Yes", "yes.", "True"],
  ["3:30 PM", "3:30 p.m.", "15:30", "3:30"],
  ["January 5, 2020", "2020-01-05", "5 January 2020"],
  ["12:00", "12:00"],
  ["xy", "xy", "x y"],
];

/** Reference, then answers that do not. */
const different: readonly (readonly [string, ...string[]])[] = [
  ["5", "-5", "5.0001", "50", "500", "0.05", "5x", "banana", "", "five hundred", "3, 5", "55", "---5"],
  ["1/3", "0.333", "0.333333", "3"],
  ["\\pi", "3.14", "3.14159265358979", "180"],
  ["50", "0.5", "5000", "x50y"],
  ["0.5", "0.5%", "50"],
  ["x^{100}", "x^{100}+10^{-12}", "x^{101}", "x^{99}"],
  ["10^{10^{10}}", "10^{10^{10}}+1", "+1", "10^{10^{11}}", "\\infty"],
  ["0/0", "0/0", "1"],
  ["\\frac10", "\\frac10", "\\frac20"],
  ["\\infty", "-\\infty", "10^{100}"],
  ["\\sqrt{x^2}", "x"],
  ["\\ln(x^2)", "2\\ln x"],
  ["\\sqrt{xy}", "\\sqrt{x}\\sqrt{y}"],
  ["x+1", "y+1", "x+2"],
  ["listen", "silent", "tinsel"],
  ["\\text{abc}", "cab", "bca"],
  ["no", "on"],
  ["New York", "York New"],
  ["f(x)", "f(y)", "g(x)"],
  ["(1,2)", "(2,1)", "[1,2]", "(1,2,3)", "\\{1,2\\}", "1"],
  ["(2,1)", "(3,1)"],
  ["[0,1)", "(0,1)", "[0,1]", "0,1"],
  ["1,2", "1", "1,2,3", "1,1"],
  ["[1,3]", "[1,2)\\cup(2,3]", "(1,3)", "[1,2]\\cup[2,4]"],
  ["x<3", "x\\le3", "x>3", "(-\\infty,3]"],
  ["x=5", "y=5", "x=6"],
  ["42", "6*7=41", "6*8=42"],
  ["-1<x<3", "x>-1 or x<3"],
  ["a+3z=0", "0"],
  ["5 cm", "5 m", "5 kg", "5\\text{ cm}^2"],
  ["25\\text{ ft}", "25^\\circ"],
  ["3 apples", "3 pears"],
  ["\\$5", "5 euros"],
  ["1010_2", "1010_3", "10"],
  ["1:2:3", "1:6", "3:2:1"],
  ["Yes", "No", "maybe"],
  ["C", "D", "Cat", "C D", "A cat"],
  ["3:30 PM", "3:30 AM", "4:30 PM"],
  ["January 5, 2020", "2020-05-01", "January 6, 2020"],
  [
    "\\begin{pmatrix}1\\\\2\\end{pmatrix}",
    "\\begin{pmatrix}1&2\\end{pmatrix}",
    "(1,2)",
    "\\begin{pmatrix}2\\\\1\\end{pmatrix}",
  ],
  ["3", "3s^2", "3x"],
  ["1e400", "1e401"],
];

test.each(same)("%s is all of these", (reference, ...answers) => {
  for (const answer of [reference, ...answers]) expect(outcome(reference, answer), answer).toBe("pass");
});

test.each(different)("%s is none of these", (reference, ...answers) => {
  for (const answer of answers) expect(outcome(reference, answer), answer).not.toBe("pass");
});

test("a reference that nobody can read is nobody's wrong answer", () => {
  expect(gradeAnswer("  ", "\\boxed{5}").outcome).toBe("infrastructure-error");
  expect(outcome("{not json", "{}", { kind: "json" })).toBe("infrastructure-error");
  expect(gradeAnswer([], "\\boxed{5}").outcome).toBe("infrastructure-error");
});

test("no answer and no readable answer are unparseable, wrong words are wrong", () => {
  expect(gradeAnswer("5", "I think it may be 5").outcome).toBe("unparseable");
  expect(gradeAnswer("5", "\\boxed{\\frac{}}").outcome).toBe("unparseable");
  expect(gradeAnswer("5", "\\boxed{five apples or so}").outcome).toBe("fail");
});

test("one of several references is enough", () => {
  expect(gradeAnswer(["4", "5"], "\\boxed{5}").outcome).toBe("pass");
  expect(gradeAnswer(["4", "6"], "\\boxed{5}").outcome).toBe("fail");
});

test("a verdict says what was extracted, how, and by what rule it was decided", () => {
  expect(gradeAnswer("\\frac12", "So \\boxed{0.5}.")).toEqual({
    outcome: "pass",
    evidence: 'By value, the answer "0.5" (box) and the reference "\\\\frac12" are the same.',
    details: { mode: "own", reference: "\\frac12", extracted: "0.5", extractedBy: "box", rule: "value" },
  });
});

test("tolerance, order, JSON and token F1 on request", () => {
  expect(outcome("3.14", "3.1", { tolerance: { absolute: 0.05 } })).toBe("pass");
  expect(outcome("3.14", "3.0", { tolerance: { absolute: 0.05 } })).toBe("fail");
  expect(outcome("\\pi", "3.14159", { tolerance: { relative: 1e-5 } })).toBe("pass");
  expect(outcome("10^{10^{10}}", "1", { tolerance: { relative: 1e9 } })).toBe("fail");
  expect(outcome("1, 2", "2, 1", { ordered: true })).toBe("fail");
  expect(outcome("1, 2", "1, 2", { ordered: true })).toBe("pass");
  expect(outcome('{"a":1,"b":[1,2]}', '```json\n{"b":[1,2],"a":1.0}\n```', { kind: "json" })).toBe("pass");
  expect(outcome('{"a":[1,2]}', '{"a":[2,1]}', { kind: "json" })).toBe("fail");
  expect(outcome('{"a":[1,2]}', '{"a":[2,1]}', { kind: "json", ordered: false })).toBe("pass");
  expect(outcome('{"a":1}', '{"a":1,"b":2}', { kind: "json" })).toBe("fail");
  expect(outcome("the red house", "red house on a hill", { kind: "text", minimumF1: 0.5 })).toBe("pass");
  expect(outcome("the red house", "a blue hut", { kind: "text", minimumF1: 0.5 })).toBe("fail");
  expect(tokenF1("hello world", "hello").f1).toBeCloseTo(2 / 3, 12);
});

test("extraction, strict: only what is marked as the answer", () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ["first \\boxed{1}, finally \\boxed{\\frac{1}{\\sqrt{2}}}.", "\\frac{1}{\\sqrt{2}}"],
    ["so $\\boxed{1}$ and $\\boxed{2}$.", "1, 2"],
    ["\\boxed{3} but then \\boxed{4", undefined],
    ["\\boxed{}", undefined],
    ["<think>\\boxed{1}</think> The answer is 2.", "2"],
    ["The answer is **42**.", "42"],
    ["The final answer is $x=3$. I hope it is correct.", "$x=3$"],
    ["The answer is 3.5.", "3.5"],
    ["The answer is $40 and not $30.", "$40 and not $30"],
    ["Answer: 1/2\nBye", "1/2"],
    ["the correct answer is (C).", "(C)"],
    ["work\n#### 1,234", "1,234"],
    ["<answer>Paris</answer>", "Paris"],
    ["<answer>Paris", undefined],
    ["答案是 42。", "42"],
    ["答案：每份 3 吨", "每份 3 吨"],
    ["答えは42です", "42"],
    ["La réponse est 42.", "42"],
    ["ответ: 42", "42"],
    ["Die Antwort lautet 17 Euro.", "17 Euro"],
    ["la respuesta es 42.", "42"],
    ["উত্তর হল 18", "18"],
    ["คำตอบคือ 18", "18"],
    ["Answer: 6*7=42", "6*7=42"],
    ["జవాబు 18", "18"],
    ["Ответ — 18.", "18"],
    ["Therefore 42", undefined],
    ["I considered 5, 6 and 7.", undefined],
    ["", undefined],
  ];
  for (const [response, expected] of cases) {
    const extraction = extractAnswer(response);
    expect(extraction.found ? extraction.text : undefined, response).toBe(expected);
  }
});

test("extraction, lenient: the last formula, number or letter", () => {
  const lenient = (response: string, expect?: "letter" | "number") => {
    const extraction = extractAnswer(response, { extraction: "lenient", ...(expect && { expect }) });
    return extraction.found ? `${extraction.by} ${extraction.text}` : undefined;
  };
  expect(lenient("so $x=1$ or $x=2$.")).toBe("formula x=1, x=2");
  expect(lenient("thus \\[[0,1)\\].")).toBe("formula [0,1)");
  expect(lenient("costs $10,200 + $255 = $10,455 in total")).toBe("number 10,455");
  expect(lenient("sold for $2 per egg, so 2 * 9 = $<<2*9=18>>18 a day\nA: 18")).toBe("number 18");
  expect(lenient("$15000/3=$5000 then, so $15000+$5000=$20,000 over two years\nA: 20000")).toBe(
    "number 20000",
  );
  expect(lenient("He gives her 200$ a week and 700$ to his wife: 350$ remain. A: 350")).toBe("number 350");
  expect(lenient("at $.1 per foot it is 120*.1=$12 to fill, hence $x = 12$")).toBe("formula x = 12");
  expect(lenient("a ticket is $ 7 $, two are $2 \\cdot 7$")).toBe("formula 2 \\cdot 7");
  expect(lenient("In all $ 72 $")).toBe("formula 72");
  expect(lenient("Thus \\frac{1}{2}")).toBe("number \\frac{1}{2}");
  expect(lenient("B seems right, not C", "letter")).toBe("choice C");
  expect(lenient("nothing here")).toBeUndefined();
});

test("every reference answer of MATH is read as itself, and no other is equal unless it is the same", () => {
  const path = new URL("./fixtures/math_references.json", import.meta.url);
  const references: string[] = JSON.parse(readFileSync(path, "utf8"));
  expect(references.length).toBeGreaterThan(700);
  for (const reference of references) {
    const verdict = gradeAnswer(reference, `It follows that \\boxed{${reference}}.`);
    expect(verdict.outcome, verdict.evidence).toBe("pass");
  }
  // A number that is off by one digit is another answer.
  for (const reference of references.slice(0, 300)) {
    const changed = reference.replace(/[0-8](?!.*[0-8])/s, (digit) => String(Number(digit) + 1));
    if (changed === reference) continue;
    const verdict = gradeAnswer(reference, `\\boxed{${changed}}`);
    expect(verdict.outcome, verdict.evidence).not.toBe("pass");
  }
});
