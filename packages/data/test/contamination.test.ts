/** Contamination: brute force on small random cases, and the cases of others' n-gram rules where both say the same. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { createSubsequences } from "../src/hygiene/common-subsequence.js";
import { createContaminationFinder } from "../src/hygiene/contamination.js";
import type { ContaminationRule } from "../src/hygiene/contamination-rule.js";
import { wordsOf } from "../src/hygiene/words.js";
import { uniform } from "../src/index.js";

const published: ContaminationRule = {
  minWords: 13,
  minShare: 0.6,
  mode: "strict",
  ngram: 13,
  wholeUpTo: 1000,
};

const draws = (seed: number) => {
  let at = 0;
  return (most: number): number => Math.floor(uniform(seed, "dataBuilding", [at++, 11, 0, 0]) * most);
};

/** By the table, as textbooks have it. */
function longestCommon(a: readonly unknown[], b: readonly unknown[]): number {
  let above = new Array<number>(b.length + 1).fill(0);
  for (const x of a) {
    const row = [0];
    for (const [j, y] of b.entries()) row.push(x === y ? above[j]! + 1 : Math.max(above[j + 1]!, row[j]!));
    above = row;
  }
  return above[b.length]!;
}

const windowsOf = <T>(row: readonly T[], width: number): readonly (readonly T[])[] =>
  row.length <= width
    ? [row]
    : Array.from({ length: row.length - width + 1 }, (_, i) => row.slice(i, i + width));

test("subsequences by bits and by strands are those of the table, for items of 1 to 100 words", () => {
  for (let seed = 0; seed < 300; seed++) {
    const draw = draws(seed);
    const alphabet = 1 + draw(12);
    const item = Array.from({ length: 1 + draw(seed % 10 === 0 ? 100 : 40) }, () => draw(alphabet));
    const row = Array.from({ length: draw(80) }, () => draw(alphabet + 2) - 1).map((word) =>
      word < alphabet ? word : -1,
    );
    const { whole, inWindows } = createSubsequences(alphabet)(Int32Array.from(item));
    expect(whole(Int32Array.from(row))).toBe(longestCommon(item, row));
    const width = 1 + draw(30);
    const best = Math.max(0, ...windowsOf(row, width).map((window) => longestCommon(item, window)));
    expect(inWindows(Int32Array.from(row), width)).toBe(best);
  }
});

/** Rows that hold items with words changed, put in and left out, among others that do not. */
function randomCase(seed: number) {
  const draw = draws(seed);
  const word = (): string => `w${draw(12 + (seed % 20))}`;
  const items = Array.from({ length: 8 }, () => Array.from({ length: 1 + draw(12) }, word));
  const rows = Array.from({ length: 8 }, () => {
    const words = Array.from({ length: draw(30) }, word);
    const item = items[draw(items.length)]!;
    const held = item.flatMap((one) => (draw(5) === 0 ? [] : draw(5) === 0 ? [one, word()] : [one]));
    if (draw(2) === 0) words.splice(draw(words.length + 1), 0, ...held);
    return words;
  });
  return { items, rows };
}

test.each(["strict", "fast"] as const)("%s mode is brute force, whole and in windows", (mode) => {
  const seen = { whole: 0, windowed: 0, apart: 0, long: 0, free: 0 };
  for (let seed = 0; seed < 150; seed++) {
    const { items, rows } = randomCase(seed);
    const rule = { minWords: 3 + (seed % 3), minShare: 0.6, mode, ngram: 2 + (seed % 2), wholeUpTo: 20 };
    const find = createContaminationFinder(
      items.map((words) => words.join(" ")),
      rule,
    );
    for (const row of rows) {
      const judged = items.map((item) => {
        const matches = (common: number): boolean =>
          common >= rule.minWords && 10 * common >= 6 * Math.min(row.length, item.length);
        const runs = (words: readonly string[]): string[] =>
          words.slice(rule.ngram - 1).map((_, i) => words.slice(i, i + rule.ngram).join(" "));
        const isLooked = mode === "strict" || runs(item).some((run) => runs(row).includes(run));
        return {
          whole: isLooked && matches(longestCommon(item, row)),
          windowed:
            isLooked &&
            windowsOf(row, 2 * item.length).some((window) => matches(longestCommon(item, window))),
        };
      });
      const found = find(row.join(" "));
      const isWindowed = mode === "fast" || row.length > rule.wholeUpTo;
      const deciding = judged.flatMap((one, i) => ((isWindowed ? one.windowed : one.whole) ? [i] : []));
      expect(found.matches.map(({ item }) => item).sort((a, b) => a - b)).toEqual(deciding);
      expect(found).toMatchObject({
        words: row.length,
        whole: judged.some(({ whole }) => whole),
        windowed: judged.some(({ windowed }) => windowed),
      });
      if (row.length >= rule.minWords) expect(found.isWindowed).toBe(isWindowed);
      for (const { item, common } of found.matches)
        expect(common).toBeGreaterThanOrEqual(
          Math.max(rule.minWords, 0.6 * Math.min(row.length, items[item]!.length)),
        );
      seen.whole += Number(found.whole);
      seen.windowed += Number(found.windowed);
      seen.apart += Number(found.whole && !found.windowed);
      seen.long += Number(isWindowed && found.matches.length > 0);
      seen.free += Number(!found.whole);
    }
  }
  for (const [what, times] of Object.entries(seen)) expect([what, times > 10]).toEqual([what, true]);
});

test("a book holds a short item as a subsequence, and no window of it does", () => {
  const item = "how many apples does tom have after he gives three of them to his sister";
  const filler = (word: string, i: number): string =>
    `${word} ${Array.from({ length: 30 }, (_, j) => `x${i}y${j}`).join(" ")}`;
  const book = item.split(" ").map(filler).join(" ");
  const find = createContaminationFinder([item], { ...published, wholeUpTo: 100 });
  expect(find(book)).toMatchObject({ isWindowed: true, whole: true, windowed: false, matches: [] });
  expect(find(`${book} ${item} ${book}`)).toMatchObject({
    windowed: true,
    matches: [{ item: 0, common: 15 }],
  });
  expect(createContaminationFinder([item], published)(book)).toMatchObject({
    isWindowed: false,
    matches: [{ item: 0, common: 15 }],
  });
});

test("strict mode finds what shares no run of 13 words with the item; spelling, case and punctuation hide nothing", () => {
  const item =
    "A train leaves the station at noon and travels 60 miles an hour. It doesn't stop; when does it reach the city 180 miles away?";
  const words = item.split(" ");
  const changed = words
    .map((word, i) => (i % 6 === 5 ? "some" : word))
    .join("  ")
    .toUpperCase()
    .replace("'", "’");
  expect(createContaminationFinder([item], published)(changed).matches).toHaveLength(1);
  expect(createContaminationFinder([item], { ...published, mode: "fast" })(changed).matches).toHaveLength(0);
  expect(
    createContaminationFinder([item], { ...published, mode: "fast", ngram: 5 })(changed).matches,
  ).toHaveLength(1);
  expect(createContaminationFinder([item], published)(words.slice(0, 12).join(" ")).matches).toHaveLength(0);
});

test("a Chinese question is as many words as characters", () => {
  const item = "小明有十二个苹果，他给了小红三个，又买了五个，现在他有多少个苹果？";
  expect(wordsOf(item)).toHaveLength(29);
  expect(createContaminationFinder([item], published)(`问题：${item}`).matches).toHaveLength(1);
});

/**
 * datatrove removes a document that shares one run of 12 words with a query or a label of the benchmark, and so do we with 12 words of an item that are all of it. The
 * benchmark itself is not among the cases: what they call contaminated is the item here. Its rule goes on where ours does not: one run out of a long item is enough there.
 */
test("datatrove's n-gram decontamination keeps and removes the same documents", () => {
  const [{ texts, prefix, suffix }, ...expected] = readFileSync(
    new URL("fixtures/hygiene/datatrove_ngram_decontamination.jsonl", import.meta.url),
    "utf8",
  )
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line)) as [
    { texts: string[]; prefix: string; suffix: string },
    ...{ id: string; kept_doc_ids: number[] }[],
  ];
  const { kept_doc_ids: kept } = expected.find(({ id }) => id === "test_query")!;
  const items = [texts[0]!, texts[1]!, texts[4]!];
  for (const mode of ["strict", "fast"] as const) {
    const find = createContaminationFinder(items, { ...published, mode, minWords: 12, ngram: 12 });
    const stay = texts.flatMap((text, i) =>
      find(`${prefix}${text}${suffix}`).matches.length === 0 ? [i] : [],
    );
    expect(stay).toEqual(kept);
    // By the report's 13 words the query of 12 is too short to be matched.
    const byReport = createContaminationFinder(items, { ...published, mode });
    expect(
      texts.flatMap((text, i) => (byReport(`${prefix}${text}${suffix}`).matches.length === 0 ? [i] : [])),
    ).toEqual([2, 3, 4, 5, 6]);
  }
});

/**
 * lm-evaluation-harness's janitor cuts runs of n words out of a text, 200 characters on both sides. Where an item is one such run, a text that it would cut is a row that we
 * find; and a text that it leaves alone, as its words come in another order, is one that we leave alone in fast mode. Its text is not theirs.
 */
test("lm-evaluation-harness's janitor cuts texts that hold the item, and no others", () => {
  const line = "Here is one line of text of which there are several. ";
  const dirt = "dirty and filthy words stand here";
  const find = createContaminationFinder([dirt], {
    ...published,
    mode: "fast",
    minWords: 6,
    minShare: 1,
    ngram: 6,
  });
  const rows = [
    line.repeat(8),
    `${line.repeat(4)}DIRTY and filthY words, stand here. ${line}`,
    `${line}filthy and dirty words stand here ${line}`,
  ];
  expect(rows.map((row) => find(row).matches.length)).toEqual([0, 1, 0]);
});
