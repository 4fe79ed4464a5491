/** open-instruct's functions where they differ from IFEval's kinds: what passes, and its nearest miss. */
import { expect, test } from "vitest";
import { checkInstructions } from "../src/index.js";
import { openInstructFunctions } from "../src/open-instruct.js";

const cases: Readonly<
  Record<string, readonly [kwargs: unknown, pass: readonly string[], fail: readonly string[]]>
> = {
  verify_keywords: [{ keyword_list: ["sea", "C++"] }, ["seaside c++"], ["sea"]],
  verify_keyword_frequency: [{ word: "Sea", N: 2 }, ["sea, SEA seaside"], ["sea", "sea sea sea"]],
  validate_forbidden_words: [{ forbidden_words: ["sea"] }, ["ocean"], ["Seaside"]],
  verify_letter_frequency: [{ letter: "a", N: 2 }, ["aAa"], ["a", "aaa"]],
  validate_response_language: [
    { language: "fr" },
    ["Le phare éclaire la mer pendant toute la nuit."],
    ["The lighthouse shines over the sea all night."],
  ],
  verify_paragraph_count: [{ N: 2 }, ["a\n  * * *\nb"], ["a", "a\n* * *\n", "a\n***\nb"]],
  validate_word_constraint: [{ N: 25, quantifier: "around" }, [words(23), words(27)], [words(22), words(28)]],
  verify_sentence_constraint: [
    { N: 3, quantifier: "at most" },
    ["One. Mr. X? Two!"],
    ["One. Two? Three! Four."],
  ],
  validate_paragraphs: [
    { N: 2, first_word: "But", i: 2 },
    ["a\n\nBut b"],
    ["a\n\nbut b", "But\n\na", "a\n\nBut\n\nb"],
  ],
  verify_postscript: [{ postscript_marker: "P.S." }, ["a P.S. b"], ["a P.S.", "a p.s. b"]],
  validate_placeholders: [{ N: 2 }, ["[a] [b] [c]"], ["[a] [b"]],
  verify_bullet_points: [{ N: 2 }, ["* a\n  - b", "**a**\n*b"], ["* a", "* a\n* b\n- c"]],
  validate_title: [{}, ["<<>>", "<<a>>"], ["<<a\n>>", "<a>"]],
  validate_choice: [{ options: ["A", "B"] }, ["Apple"], ["neither"]],
  validate_highlighted_sections: [{ N: 2 }, ["*a* **"], ["*a* *"]],
  validate_sections: [
    { N: 2, section_splitter: "Part (x)" },
    ["part (x)1 Part (X) 2"],
    ["Part (x) 1", "Part x 1 Part x 2"],
  ],
  validate_json_format: [{}, ['{"a": NaN}', "1"], ['```json\n{"a": 1}\n```', "{a}"]],
  validate_repeat_prompt: [{ original_prompt: "Say it" }, ["Say it: no"], ["say it", " Say it"]],
  validate_two_responses: [{}, ["a\n******\nb"], ["a\n******\n a", "a******b******c", "a"]],
  validate_uppercase: [{}, ["ABC 1", "1"], ["ABc"]],
  validate_lowercase: [{}, ["abc 1", "1"], ["abC"]],
  validate_frequency_capital_words: [{ N: 2, quantifier: "at least" }, ["AB I x"], ["AB Ab A1 É"]],
  validate_end: [{ end_phrase: "The end." }, ["a The end."], ["a the end.", "The end. "]],
  validate_quotation: [{}, ['"a"', '"'], [' "a"', '"a" b']],
  validate_no_commas: [{}, ["a b"], ["a, b"]],
};

function words(count: number): string {
  return Array.from({ length: count }, () => "don't").join(" ");
}

test("there are 25 functions, each with cases", () => {
  expect(openInstructFunctions.map((kind) => kind.id).sort()).toEqual(Object.keys(cases).sort());
});

test.each(Object.entries(cases))("%s", async (id, [kwargs, pass, fail]) => {
  for (const [outcome, responses] of [
    ["pass", pass],
    ["fail", fail],
  ] as const) {
    for (const response of responses) {
      expect(await checkInstructions(response, [{ id, kwargs }], "strict"), response).toMatchObject({
        outcome,
      });
    }
  }
});

test.each([
  ["at least", [1, 2, 3], [false, true, true]],
  ["around", [0, 1, 2, 3, 4], [false, true, true, true, false]],
  ["at most", [1, 2, 3], [true, true, false]],
])("%s two words", async (quantifier, counts, expected) => {
  const followed = await Promise.all(
    counts.map(async (count) => {
      const request = { id: "validate_word_constraint", kwargs: { n: 2, quantifier } };
      return (await checkInstructions(`${words(count)}\n `, [request], "strict")).outcome === "pass";
    }),
  );
  expect(followed).toEqual(expected);
});

test("around rounds a tenth as Python does: halves to the even number", async () => {
  const allowed = async (N: number, count: number) => {
    const request = { id: "validate_word_constraint", kwargs: { N, quantifier: "around" } };
    return (await checkInstructions(words(count), [request], "strict")).outcome === "pass";
  };
  // 2.5 becomes 2, 3.5 becomes 4.
  expect([await allowed(25, 27), await allowed(25, 28)]).toEqual([true, false]);
  expect([await allowed(35, 39), await allowed(35, 40)]).toEqual([true, false]);
});
