/** What rows are found fault with, and what looks like it and is none. */
import { expect, test } from "vitest";
import { encodingDamage } from "../src/hygiene/encoding-damage.js";
import { personalData } from "../src/hygiene/personal-data.js";
import { refusal } from "../src/hygiene/refusals.js";
import { repetition } from "../src/hygiene/repetition.js";
import { faultChecks, faultsOf } from "../src/hygiene/row-faults.js";

/** UTF-8, read as Windows-1252 (Node's own decoder takes it for Latin-1). */
const misread = (text: string): string =>
  Buffer.from(text, "utf8")
    .toString("latin1")
    .replace(
      /[\u0080\u0099\u009c\u009d\u0093]/g,
      (character) => "€™œ\u009d“"["\u0080\u0099\u009c\u009d\u0093".indexOf(character)]!,
    );

test.each([
  "café",
  "It’s “quoted” – thus",
  "Москва",
  "Ελλάδα",
  "日本語",
  "😀",
  "naïve",
  "10 °C",
  "Łódź i Gdańsk",
])("encoding: %s misread is damage, as it is written it is none", (text) => {
  expect(encodingDamage(text)).toBeUndefined();
  expect(encodingDamage(`a ${misread(text)} b`)).toBeDefined();
});

test("encoding: it says what was meant; lost and control characters", () => {
  expect(encodingDamage(misread("café"))).toBe('UTF-8 was read as Windows-1252: "Ã©" for "é"');
  expect(encodingDamage(misread("It’s"))).toBe('UTF-8 was read as Windows-1252: "â€™" for "’"');
  expect(encodingDamage("a \ufffd b")).toContain("U+FFFD");
  expect(encodingDamage("a\u0000b")).toContain("U+0000");
  expect(encodingDamage("a\u0093b")).toContain("U+0093");
  for (const sound of [
    "a\tb\r\nc\fd",
    "«É»",
    "„MENÜ“ und „CAFÉ“",
    "ça va? Ça va… ÀÉÎÕÜ",
    "x² ± ½ × 10³ §4",
    "ÄÖÜ äöü ß €",
    "😀👍🏽",
    "한국어",
    "ﬁ",
  ])
    expect([sound, encodingDamage(sound)]).toEqual([sound, undefined]);
});

test("personal data: addresses and numbers of people", () => {
  for (const [text, what] of [
    ["write to jane.doe@acme-corp.de today", "an e-mail address (jan...)"],
    ["call +49 30 1234 5678 now", "a telephone number"],
    ["call (212) 736-5000 now", "a telephone number"],
    ["212-736-5000", "a telephone number"],
    ["card 4111 1111 1111 1111", "the number of a payment card"],
    ["amex 378282246310005.", "the number of a payment card"],
    ["pay to DE89 3704 0044 0532 0130 00", "the number of a bank account (IBAN)"],
    ["ssn 536-22-8145", "a social security number"],
    ["from 91.198.174.192 at noon", "an IP address"],
  ])
    expect([text, personalData(text!)]).toEqual([text, expect.stringContaining(what!)]);
});

test("personal data: examples, sums, versions, dates and code are none", () => {
  for (const text of [
    "user@example.com, a@b.example, root@localhost, @handle, foo@bar",
    "call 555-0123 or (212) 555-0123 or +1 212 555 0123",
    "4111 1111 1111 1112 and 1234567812345678",
    "DE89 3704 0044 0532 0130 01",
    "10.0.0.1 192.168.1.1 127.0.0.1 203.0.113.7 8.8.8.8 255.255.255.0 version 1.2.3.4 300.1.1.1",
    "000-12-3456 2024-05-17 12-34-5678",
    "123 + 456 - 789 = -210; 3.14159265358979; 1,234,567,890; 2^31 = 2147483648",
    "x = a[1] + 12 - 345 - 6789",
    "ISBN 978-3-16-148410-0",
  ])
    expect([text, personalData(text)]).toEqual([text, undefined]);
});

test("refusals, and answers that only speak of them", () => {
  for (const text of [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, but I cannot assist with that request.",
    "As an AI language model, I do not have opinions.",
    "Unfortunately, I am unable to open links.",
    "I cannot provide medical advice.",
    "抱歉，我无法回答这个问题。",
    "作为一个人工智能语言模型，我没有感情。",
    "Es tut mir leid, dabei kann ich nicht helfen.",
    "Je suis désolé, je ne peux pas vous aider.",
    "Lo siento, no puedo ayudar con eso.",
  ])
    expect([text, refusal(text)]).toEqual([text, expect.any(String)]);
  for (const text of [
    "Sorry to hear that! Here is what helps: rest and water.",
    "The train cannot stop here.",
    "An AI model is a program that predicts.",
    "I can help you with that.",
    `${"A story. ".repeat(60)}"I'm sorry, but I can't," said the fox.`,
  ])
    expect([text, refusal(text)]).toEqual([text, undefined]);
});

const prose = Array.from(
  { length: 12 },
  (_, i) => `Sentence ${i} tells of thing${i} and place${i}, which nobody${i} knew before${i}.`,
);

test("repetition: lines, phrases and runs of words said again and again; short answers and code are none", () => {
  expect(repetition(prose.join(" "))).toBeUndefined();
  expect(repetition(prose.join("\n"))).toBeUndefined();
  expect(repetition([...prose, ...prose.slice(0, 8)].join("\n"))).toContain("of its lines were there before");
  expect(repetition([prose.slice(0, 6).join("\n"), prose.slice(0, 6).join("\n")].join("\n\n"))).toContain(
    "of its paragraphs",
  );
  expect(repetition(`${"very good ".repeat(60)}indeed`)).toContain("of it is");
  expect(repetition([...prose, ...prose.slice(0, 5)].join(" "))).toContain("words that were there before");
  expect(repetition("ha ".repeat(20))).toBeUndefined();
  const code = prose.map((_, i) => `function f${i}(a${i}) {\n  return a${i} + ${i};\n}`).join("\n");
  expect(repetition(code)).toBeUndefined();
});

test("all faults of a row are told; language and length are asked for; worse answers may decline", () => {
  const options = { checks: faultChecks, minWords: 0, maxWords: Number.POSITIVE_INFINITY };
  const texts = { asked: ["Mail jane@acme.org"], answers: ["I'm sorry, I can't."], rejected: [], beside: [] };
  expect(faultsOf(texts, options).map(({ reason }) => reason)).toEqual(["personal_data", "refusal"]);
  expect(faultsOf(texts, { ...options, checks: ["refusal"] })).toHaveLength(1);
  expect(
    faultsOf({ asked: ["q"], answers: ["Paris."], rejected: ["I'm sorry, I can't."], beside: [] }, options),
  ).toEqual([]);
  const pair = { asked: ["Hallo"], answers: ["Guten Tag"], rejected: [], beside: [] };
  expect(faultsOf(pair, { ...options, minWords: 4 })).toEqual([
    { reason: "length", why: "3 words, fewer than 4" },
  ]);
  expect(faultsOf(pair, { ...options, maxWords: 2 })).toEqual([
    { reason: "length", why: "3 words, more than 2" },
  ]);
  const asked: string[] = [];
  const of = (text: string): string | undefined => {
    asked.push(text);
    return text === "7" ? undefined : "de";
  };
  expect(faultsOf(pair, { ...options, languages: { allowed: ["en", "fr"], of } })).toEqual([
    { reason: "language", why: "its language is de, not en or fr" },
  ]);
  expect(faultsOf(pair, { ...options, languages: { allowed: ["de"], of } })).toEqual([]);
  expect(faultsOf({ ...pair, answers: ["7"] }, { ...options, languages: { allowed: ["en"], of } })).toEqual(
    [],
  );
  expect(asked).toEqual(["Guten Tag", "Guten Tag", "7"]);
});
