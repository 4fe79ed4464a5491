/** Nothing that a model can answer, and nothing that a row can ask for, keeps a check busy or breaks it. */
import { beforeAll, expect, test } from "vitest";
import { seededRandom } from "../../../tests/support/random.js";
import { checkInstructions, detectLanguage, findKind, instructionKinds } from "../src/index.js";

/** What the checks look for, over and over: beginnings without an end, ends without a beginning. */
const fragments = [
  ..."aA\n ?.*-_'\"`[]{<>1,:。🙂\ud800",
  ..."a\n|\n\n|* \n|*\n|- a\n|<<|>>|****** |``` |a. |A. |1. |'' |'s |cannot |d'| '|. . |.\"|--|U.S. |Mr. Smith ".split(
    "|",
  ),
  ...'Section 1 |p.s|{"a":|[1,|"\\|NaN | \u00a0|।|İ|AaAa '.split("|"),
];
const repeated = (text: string, length: number): string => text.repeat(Math.ceil(length / text.length));
const WHOLE = 1_000_000;
/**
 * Every fragment is tried at a tenth of the size, and those that take the most of it at the whole: what grows faster than its length,
 * and would take over a second there, takes more than what does not here.
 */
const TENTH = WHOLE / 10;
const SLOWEST = 2;
/** A second alone; processor time too grows where others use the caches and the other half of a core. */
const MILLISECONDS = 3000;

beforeAll(async () => {
  detectLanguage("The table of languages loads once, and is no part of the time of a check.");
});

/** Processor time, which other programs on the machine do not lengthen. */
async function millisecondsOf(work: () => Promise<void>): Promise<number> {
  const start = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

test.each(instructionKinds.map((kind) => [kind.id, kind] as const))(
  "%s: a megabyte of anything in under a second",
  async (id, kind) => {
    const kwargs = kind.generate(seededRandom(1), "Write about the sea.");
    const millisecondsFor = (text: string, length: number): Promise<number> =>
      millisecondsOf(async () => {
        const verdict = await checkInstructions(repeated(text, length), [{ id, kwargs }], "strict");
        expect(["pass", "fail"], JSON.stringify(text)).toContain(verdict.outcome);
        expect(verdict.evidence.length, JSON.stringify(text)).toBeLessThan(1000);
      });
    const times: [text: string, milliseconds: number][] = [];
    for (const text of fragments) {
      const milliseconds = await millisecondsFor(text, TENTH);
      // Before the whole, which might never end.
      expect(milliseconds, JSON.stringify(text)).toBeLessThan(MILLISECONDS);
      times.push([text, milliseconds]);
    }
    times.sort(([, one], [, other]) => other - one);
    for (const [text] of times.slice(0, SLOWEST)) {
      expect(await millisecondsFor(text, WHOLE), JSON.stringify(text)).toBeLessThan(MILLISECONDS);
    }
  },
);

test.each([
  ["keywords:existence", { keywords: ["(a+)+$"] }],
  ["keywords:frequency", { keyword: "(a|aa)*c", frequency: 1, relation: "less than" }],
  ["keywords:forbidden_words", { forbidden_words: ["(x*)*y"] }],
  ["detectable_content:postscript", { postscript_marker: "(p+)+z" }],
  ["detectable_format:multiple_sections", { section_spliter: "(S+)+", num_sections: 1 }],
])("a pattern that does not end is the row's fault: %s %j", async (id, kwargs) => {
  const response = "aAxXpPSs".replace(/./g, (letter) => letter.repeat(5000)).concat("!");
  const milliseconds = await millisecondsOf(async () => {
    const verdict = await checkInstructions(response, [{ id, kwargs }], "strict");
    expect(verdict.outcome).toBe("infrastructure-error");
    expect(verdict.evidence).toMatch(/did not end within 500 ms on a response of 40001 characters/);
  });
  expect(milliseconds).toBeLessThan(1000);
});

test.each([
  ["keywords:existence", {}, /keywords/],
  ["keywords:existence", { keywords: [] }, /keywords/],
  ["keywords:existence", { keywords: ["(unclosed"] }, /"\(unclosed" cannot be read/],
  ["keywords:existence", { keywords: "one" }, /keywords/],
  ["keywords:frequency", { keyword: "sea", frequency: 2, relation: "at most" }, /relation/],
  ["keywords:frequency", { keyword: "sea", frequency: -1, relation: "at least" }, /frequency/],
  ["keywords:frequency", { keyword: "sea", frequency: 1.5, relation: "at least" }, /frequency/],
  [
    "keywords:letter_frequency",
    { letter: "ab", let_frequency: 1, let_relation: "at least" },
    /one character/,
  ],
  ["length_constraints:number_words", { num_words: "many", relation: "at least" }, /num_words/],
  ["length_constraints:number_words", { num_word: 5, relation: "at least" }, /num_word/],
  [
    "length_constraints:nth_paragraph_first_word",
    { num_paragraphs: 2, nth_paragraph: 3, first_word: "sea" },
    /beyond num_paragraphs/,
  ],
  ["language:response_language", { language: "Klingon" }, /ISO 639-1/],
  ["punctuation:no_comma", { why: 1 }, /why/],
  ["punctuation:no_comma", "none", /parameters/],
  ["punctuation:no_semicolon", {}, /no instruction kind "punctuation:no_semicolon"/],
  ["verify_keywords", {}, /keyword_list/],
])("parameters that do not fit are never the response's failure: %s %j", async (id, kwargs, message) => {
  for (const strictness of ["strict", "loose"] as const) {
    const verdict = await checkInstructions(
      "Any answer.",
      [{ id: "punctuation:no_comma" }, { id, kwargs }],
      strictness,
    );
    expect(verdict.outcome).toBe("infrastructure-error");
    expect(verdict.evidence).toMatch(message);
    expect(verdict.details.instructions.map((result) => result.outcome)).toEqual([
      "pass",
      "infrastructure-error",
    ]);
  }
});

test("parameters that cannot be read count even when the response is empty or another instruction fails", async () => {
  const bad = { id: "keywords:existence", kwargs: { keywords: 7 } };
  expect((await checkInstructions("", [bad], "strict")).outcome).toBe("infrastructure-error");
  expect((await checkInstructions("a, b", [{ id: "punctuation:no_comma" }, bad], "strict")).outcome).toBe(
    "infrastructure-error",
  );
});

test("a list without instructions is no pass", async () => {
  expect((await checkInstructions("Any answer.", [], "strict")).outcome).toBe("infrastructure-error");
});

test("names of JavaScript's own are no kinds", () => {
  for (const id of ["constructor", "__proto__", "toString", "has"]) expect(findKind(id)).toBeUndefined();
});
