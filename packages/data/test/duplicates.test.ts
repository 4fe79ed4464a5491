/** Duplicates: published cases, and brute force on small random rows. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { openDuplicateFinder } from "../src/hygiene/duplicates.js";
import { createMinHash, jaccard, shinglesOf } from "../src/hygiene/min-hash.js";
import { ngrams, wordsAndSigns, wordsOf } from "../src/hygiene/words.js";
import { uniform } from "../src/index.js";

const cases = <T>(name: string): readonly T[] =>
  readFileSync(new URL(`fixtures/hygiene/${name}.jsonl`, import.meta.url), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as T);

/** The command's own. */
const usual = { ngram: 5, bands: 24, bandHashes: 5, seed: 42, threshold: 0.7 };

async function firstOf(texts: readonly string[], options: Partial<typeof usual> = {}) {
  const finder = await openDuplicateFinder({ ...usual, ...options });
  try {
    for (const [i, text] of texts.entries()) await finder.add({ text }, { path: "rows", line: i + 1 });
    const { first, isCopy } = await finder.find();
    return { first: [...first], copies: texts.map((_, i) => isCopy(i)) };
  } finally {
    await finder.close();
  }
}

/** Different members as numbers, ascending. */
const numbered = (members: readonly string[], all: readonly string[]): number[] =>
  [...new Set(members)].map((member) => all.indexOf(member)).sort((a, b) => a - b);

test.each(cases<{ id: string; a: string[]; b: string[]; expected: number }>("jaccard_cases"))(
  "text-dedup, Jaccard: $id",
  ({ a, b, expected }) => {
    const all = [...a, ...b];
    expect(jaccard(numbered(a, all), numbered(b, all))).toBeCloseTo(expected, 12);
  },
);

test.each(
  cases<{ id: string; sequence: string[]; n: number; min_length?: number | null; expected: string[][] }>(
    "text_dedup_ngram_cases",
  ),
)("text-dedup, n-grams: $id", ({ sequence, n, min_length: least, expected }) => {
  const found = sequence.length < (least ?? 5) ? [] : ngrams(sequence, n);
  expect(found).toEqual(expected);
  // What is hashed is the same: each different run once, and none of fewer than 5 words.
  if ((least ?? 5) <= 5 && sequence.length >= 5)
    expect(shinglesOf(sequence, n)).toHaveLength(new Set(expected.map(String)).size);
  if (sequence.length < 5) expect(shinglesOf(sequence, n)).toHaveLength(0);
});

test("lm-evaluation-harness, word n-grams: the same runs of as many words", () => {
  for (const { id, input, expected } of cases<{ id: string; input: string; expected: string[] }>(
    "janitor_word_ngrams",
  )) {
    const n = Number(/\d+$/.exec(id)![0]);
    const words = wordsOf(input);
    expect(words).toHaveLength(input.split(/\s+/).length);
    expect(ngrams(words, n).map((run) => run.join(" "))).toEqual(
      expected.map((run) => wordsOf(run).join(" ")),
    );
  }
});

test.each(
  cases<{
    id: string;
    text_a: string;
    text_b: string;
    expected_range: [number, number];
    true_jaccard_5word: number;
  }>("minhash_similarity_pairs"),
)(
  "datatrove, similarity: $id",
  ({ text_a: a, text_b: b, expected_range: [low, high], true_jaccard_5word: truth }) => {
    const [left, right] = [a, b].map((text) => shinglesOf(wordsAndSigns(text), 5)) as [
      Uint32Array,
      Uint32Array,
    ];
    expect(jaccard(left, right)).toBeCloseTo(truth, 12);
    const signatureOf = createMinHash(usual);
    const [first, second] = [signatureOf(left), signatureOf(right)];
    const equal = first.filter((value, i) => value === second[i]).length / first.length;
    expect(equal).toBeGreaterThanOrEqual(low);
    expect(equal).toBeLessThanOrEqual(high);
    // Four standard deviations of as many draws as there are hashes.
    expect(Math.abs(equal - truth)).toBeLessThanOrEqual(
      4 * Math.sqrt((truth * (1 - truth)) / first.length) + 1e-9,
    );
  },
);

test("datatrove, clusters: documents group as theirs do", async () => {
  const documents = cases<{ cluster: number; text: string }>("minhash_cluster_documents");
  const texts = documents.map(({ text }) => text);
  const clusterOf = documents.map(({ cluster }) => documents.findIndex((one) => one.cluster === cluster));
  for (let seed = 42; seed < 52; seed++) expect((await firstOf(texts, { seed })).first).toEqual(clusterOf);
  // Theirs, 14 bands of 8, miss a pair of Jaccard index 0.75 with some seeds, as 1 - (1 - 0.75^8)^14 = 0.77 says, and never join two clusters.
  for (let seed = 42; seed < 52; seed++) {
    const { first } = await firstOf(texts, { seed, bands: 14, bandHashes: 8 });
    for (const [i, row] of first.entries()) expect(clusterOf[row]).toBe(clusterOf[i]);
  }
});

test("equal texts are told whatever their case, spaces and forms; signs and order count", async () => {
  const texts = [
    "What is 2 + 3?",
    "what is  2 + 3?\n",
    "What is 2 * 3?",
    "What is 3 + 2?",
    "ﬁne",
    "fine",
    "What is 2 - 3?",
  ];
  for (const threshold of [0.7, 1]) {
    const { first, copies } = await firstOf(texts, { threshold });
    expect(first).toEqual([0, 0, 2, 3, 4, 4, 6]);
    expect(copies).toEqual([false, true, false, false, false, true, false]);
  }
});

test("the index of all runs decides: at a threshold of 1 what differs in a word stays", async () => {
  const text = "the quick brown fox jumps over the lazy dog and then it sleeps under the old tree until noon";
  expect((await firstOf([text, `${text} today`], { threshold: 0.7 })).first).toEqual([0, 0]);
  expect((await firstOf([text, `${text} today`], { threshold: 1 })).first).toEqual([0, 1]);
});

/** With a band for every hash nothing is missed, so the clusters are those of all pairs. */
test("random rows: clusters are those of all pairs compared, whatever the seed", async () => {
  for (let seed = 0; seed < 6; seed++) {
    const draw = (i: number, j: number, most: number): number =>
      Math.floor(uniform(seed, "dataBuilding", [i, j, 7, 0]) * most);
    const texts = Array.from({ length: 40 }, (_, i) =>
      // Rows come in families of shared words, some of which change.
      Array.from({ length: 12 }, (_, j) =>
        draw(i, j, 6) === 0 ? `w${draw(i, j + 100, 50)}` : `f${i % 6}x${j}`,
      ).join(" "),
    );
    const shingles = texts.map((text) => shinglesOf(wordsAndSigns(text), 2));
    const first = texts.map((_, i) => i);
    for (let changed = true; changed; ) {
      changed = false;
      for (let i = 0; i < texts.length; i++)
        for (let j = 0; j < texts.length; j++)
          if (first[j]! < first[i]! && jaccard(shingles[i]!, shingles[j]!) >= 0.5) {
            first[i] = first[j]!;
            changed = true;
          }
    }
    const found = await firstOf(texts, { ngram: 2, bands: 400, bandHashes: 1, threshold: 0.5, seed });
    expect(found.first).toEqual(first);
    expect(new Set(first).size).toBeLessThan(40);
    expect(await firstOf(texts, { ngram: 2, bands: 400, bandHashes: 1, threshold: 0.5, seed })).toEqual(
      found,
    );
  }
});

test("what a row says is compared, whatever its form; rows of tokens are refused", async () => {
  const finder = await openDuplicateFinder({ ...usual, threshold: undefined });
  try {
    const rows = [
      { prompt: "Name a river.", completion: "The Rhine." },
      {
        messages: [
          { role: "user", content: "Name a river." },
          { role: "assistant", content: "The Rhine." },
        ],
        source: "a",
      },
      { instruction: "Name a river.", output: "The Elbe." },
      { prompt: "Name a river.", chosen: "The Rhine.", rejected: "Paris." },
    ];
    for (const [i, row] of rows.entries()) await finder.add(row, { path: "rows", line: i + 1 });
    await expect(finder.add({ input_ids: [1, 2] }, { path: "rows", line: 9 })).rejects.toMatchObject({
      code: "no_text",
      message: expect.stringContaining("rows, line 9"),
    });
    expect([...(await finder.find()).first]).toEqual([0, 0, 2, 3]);
  } finally {
    await finder.close();
  }
});

test("rows that only ask are told apart by what stands beside the question, names of rows apart", async () => {
  const finder = await openDuplicateFinder({ ...usual, threshold: undefined });
  const asked = { question: "Which of these is true?", options: ["A", "B"], answer: "A" };
  try {
    const rows = [
      { id: 1, context: "There are three books.", ...asked },
      { id: 2, context: "There are five birds.", ...asked },
      { id: "x", context: "There are three books.", ...asked },
      { id: 4, context: "There are three books.", ...asked, answer: "B" },
      { id: 5, context: "There are three books.", ...asked, options: ["A", "C"] },
      { instruction: "Sum it up.", query: "A long text.", response: "Short." },
      { instruction: "Sum it up.", query: "Another text.", response: "Short." },
    ];
    for (const [i, row] of rows.entries()) await finder.add(row, { path: "rows", line: i + 1 });
    expect([...(await finder.find()).first]).toEqual([0, 1, 0, 3, 4, 5, 6]);
  } finally {
    await finder.close();
  }
});
