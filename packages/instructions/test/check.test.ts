/** The verdict over a list: strict, loose with each of its variants, evidence. */
import { expect, test } from "vitest";
import { checkInstructions } from "../src/index.js";

const outcomeOf = async (response: string, id: string, kwargs: unknown, strictness: "strict" | "loose") =>
  (await checkInstructions(response, [{ id, kwargs }], strictness)).outcome;

const words = (count: number) =>
  ["length_constraints:number_words", { num_words: count, relation: "less than" }] as const;

// Each response follows in one variant only.
test.each([
  ["the response as it is", "one two\nthree\nfour", ["keywords:existence", { keywords: ["one", "four"] }]],
  ["without asterisks", '*"quoted"*', ["startend:quotation", {}]],
  ["without the first line", "Sure, here it is:\nno comma\nhere", ["punctuation:no_comma", {}]],
  ["without the last line", "no comma\nhere\nSo, that is it.", ["punctuation:no_comma", {}]],
  ["without both", "Sure, yes:\nno comma\nSo, bye.", ["punctuation:no_comma", {}]],
  ["without the first line and asterisks", 'Sure:\n*"quoted"*', ["startend:quotation", {}]],
  ["without the last line and asterisks", '*"quoted"*\nBye.', ["startend:quotation", {}]],
  ["without both and asterisks", 'Sure:\n*"quoted"*\nBye.', ["startend:quotation", {}]],
] as const)("loose is content with %s", async (name, response, [id, kwargs]) => {
  expect(await outcomeOf(response, id, kwargs, "loose")).toBe("pass");
  expect(await outcomeOf(response, id, kwargs, "strict")).toBe(
    name === "the response as it is" ? "pass" : "fail",
  );
});

test("loose fails where no variant follows, and lines inside stay", async () => {
  expect(await outcomeOf("a\nb, c\nd", "punctuation:no_comma", {}, "loose")).toBe("fail");
  expect(await outcomeOf("a, b", "punctuation:no_comma", {}, "loose")).toBe("fail");
});

test.each(["", " \n\t", "\u3000"])("an empty response follows nothing: %j", async (response) => {
  for (const strictness of ["strict", "loose"] as const) {
    expect(await outcomeOf(response, ...words(10), strictness)).toBe("fail");
    const verdict = await checkInstructions(response, [{ id: "punctuation:no_comma" }], strictness);
    expect(verdict).toMatchObject({
      outcome: "fail",
      evidence: "punctuation:no_comma: the response is empty",
    });
  }
});

test("a response in which nothing tells the language is in any language", async () => {
  expect(await outcomeOf("12 + 30 = 42", "language:response_language", { language: "fr" }, "strict")).toBe(
    "pass",
  );
  // A letter is needed for the case.
  expect(await outcomeOf("12 + 30 = 42", "change_case:english_capital", {}, "strict")).toBe("fail");
});

test("a variant that is empty follows nothing either", async () => {
  // Without its only line nothing is left, which would have fewer than two words.
  expect(await outcomeOf("one two three", ...words(2), "loose")).toBe("fail");
});

test("one verdict for the list, one entry for each instruction", async () => {
  const requests = [
    { id: "punctuation:no_comma", kwargs: null },
    { id: "keywords:existence", kwargs: { keywords: ["sea", "light"], frequency: null } },
    { id: "length_constraints:number_words", kwargs: { num_words: 3, relation: "at least" } },
  ];
  const passed = await checkInstructions("The light on the sea", requests, "strict");
  expect(passed.outcome).toBe("pass");
  expect(passed.details.instructions.map((result) => result.outcome)).toEqual(["pass", "pass", "pass"]);
  const failed = await checkInstructions("Light, light", requests, "strict");
  expect(failed).toEqual({
    outcome: "fail",
    evidence:
      'punctuation:no_comma: a comma at character 6; keywords:existence: "sea" missing of "sea", "light"; length_constraints:number_words: 2 words, asked for at least 3',
    details: {
      instructions: [
        { id: "punctuation:no_comma", outcome: "fail", evidence: "a comma at character 6" },
        { id: "keywords:existence", outcome: "fail", evidence: '"sea" missing of "sea", "light"' },
        { id: "length_constraints:number_words", outcome: "fail", evidence: "2 words, asked for at least 3" },
      ],
    },
  });
});
