/** Sentences. Where a line says NLTK, the expectation is what NLTK 3.10's English Punkt returned for the text. */
import { expect, test } from "vitest";
import { countSentences, splitSentences } from "../src/sentences.js";

test.each([
  ["", []],
  [" \n\t ", []],
  ["No full stop at the end", ["No full stop at the end"]],
  ["One. Two? Three! Four", ["One.", "Two?", "Three!", "Four"]],
  ["Mr. and Mrs. Smith met Dr. Who in St. Louis.", ["Mr. and Mrs. Smith met Dr. Who in St. Louis."]],
  ["She works at Acme Inc. They pay well.", ["She works at Acme Inc.", "They pay well."]],
  [
    "It grew in the U.S. economy. However, the U.S. However is rare.",
    ["It grew in the U.S. economy.", "However, the U.S.", "However is rare."],
  ],
  ["J. S. Bach wrote it. So did C. P. E. Bach.", ["J. S. Bach wrote it.", "So did C. P. E. Bach."]],
  [
    "It costs 3.50 or .5 dollars. Version 1.2.3 is out.",
    ["It costs 3.50 or .5 dollars.", "Version 1.2.3 is out."],
  ],
  ["In 1995. Then in 2,000. and again.", ["In 1995.", "Then in 2,000. and again."]],
  ["Wait... what? Well... The end.", ["Wait... what?", "Well...", "The end."]],
  ['He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]],
  ["He said “Stop.” Then he left.", ["He said “Stop.”", "Then he left."]],
  ["(It rained.) We left.", ["(It rained.)", "We left."]],
  ["What?! No way!!! Really.", ["What?!", "No way!!!", "Really."]],
  ["See www.example.com/a.b?c=d for more. Thanks.", ["See www.example.com/a.b?c=d for more.", "Thanks."]],
  ["self-help for Ph.D. students", ["self-help for Ph.D. students"]],
  // Quirks that the reference's verdicts show.
  ["We like fruit, e.g. apples.", ["We like fruit, e.g.", "apples."]],
  ["**Wow!** He left.", ["**Wow!", "** He left."]],
  ["He paid (too much!).", ["He paid (too much!", ")."]],
])("as NLTK: %j", (text, sentences) => {
  expect(splitSentences(text)).toEqual(sentences);
  expect(countSentences(text)).toBe(sentences.length);
});

test.each([
  ["Outline\nA. Methods\nB. Results", ["Outline\nA.", "Methods\nB.", "Results"]],
  ["Solve for x.\nNext line", ["Solve for x.", "Next line"]],
  ["你好。今天天气很好！你呢？", ["你好。", "今天天气很好！", "你呢？"]],
  ["「行こう。」と言った。", ["「行こう。」", "と言った。"]],
  ["यह घर है। वह स्कूल है।", ["यह घर है।", "वह स्कूल है।"]],
  ["هل هذا بيت؟ نعم. یہ گھر ہے۔ ٹھیک", ["هل هذا بيت؟", "نعم.", "یہ گھر ہے۔", "ٹھیک"]],
])("beyond NLTK: %j", (text, sentences) => {
  expect(splitSentences(text)).toEqual(sentences);
});

test("nothing but white space between sentences is lost", () => {
  const text = 'Dr. No said: "Go!" (He meant it.) A. B. Smith -- 3. place... 好。Yes';
  const without = (some: string) => some.replace(/\s/g, "");
  expect(without(splitSentences(text).join(""))).toBe(without(text));
});
