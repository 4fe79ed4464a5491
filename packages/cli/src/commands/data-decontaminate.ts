// posttrain data decontaminate: rows without those that hold items of benchmarks, as Qwen2.5's report does it.
import { availableParallelism } from "node:os";
import {
  type Contamination,
  type ContaminationRule,
  fewestWords,
  findContamination,
  placeText,
  type RowPlace,
  readRows,
  testItemsOf,
  textsOf,
  wholeText,
  wordsOf,
} from "@posttrain/data";
import { z } from "zod";
import { defineCommand } from "../command.js";
import { count, plural } from "../format.js";
import { createOutput, type Output } from "../output.js";
import { watchReading } from "../reading.js";
import { type Removal, sift, siftNotes, siftOptions } from "../sift.js";

export const command = defineCommand({
  options: z.strictObject({
    ...siftOptions,
    benchmarks: z
      .array(z.string())
      .min(1)
      .describe("rows of tests, as evaluate reads them, or of any form; several with commas"),
    answers: z
      .boolean()
      .default(false)
      .describe("look for answers, solutions, code and tests of benchmarks too, not for questions alone"),
    mode: z
      .enum(["strict", "fast"])
      .default("strict")
      .describe(
        "strict: every pair is looked at, none is missed; fast: pairs that share ngram words in a row",
      ),
    min_words: z
      .int()
      .min(1)
      .default(13)
      .describe("words that a row and a test item have in common, in this order, for both to be the same"),
    min_share: z
      .number()
      .gt(0)
      .max(1)
      .default(0.6)
      .describe("and the share that they are of the shorter of both"),
    ngram: z.int().min(1).max(1000).default(8).describe("fast: words in a row that lead to a comparison"),
    whole_up_to: z
      .int()
      .min(0)
      .default(500)
      .describe(
        "strict: rows of more words are taken in windows of twice the test item, as all are in fast mode",
      ),
  }),
  examples: [
    [
      "npx posttrain data decontaminate --data rows.jsonl --benchmarks gsm8k.jsonl,ifeval.jsonl --output clean.jsonl",
      "without what two benchmarks ask",
    ],
    [
      "npx posttrain data decontaminate --data rows.parquet --benchmarks tests/ --mode fast --output clean.parquet",
      "the same by shared runs of words",
    ],
  ],
  notes:
    "The rule of Qwen2.5's report: texts as words without case and punctuation (a Chinese or Japanese character is a word); a row goes whose longest common subsequence with a test item has at least min_words words and min_share of the shorter. " +
    "Items are what benchmarks ask; short worked answers are like others by chance (0.5 % of GSM8K's training rows hold an answer of 400 other rows, by this rule), so that answers are items only where you say so. A book holds any short item as a subsequence, so that long rows are taken in windows; both countings are told. Items of fewer words than min_words (in fast mode, than ngram) match nothing, and are listed. " +
    `--threads says how many work. ${siftNotes} Here: "whole", "windowed" (rows that hold an item by either counting), "taken_in_windows" (rows), "benchmarks": [{"data", "rows", "items", "found"}], "too_short": [{"file", "line", "part", "words", "text"}].`,
  run: async (options, context) => {
    const output = createOutput(context, process.stderr);
    const { mode, min_words: minWords, min_share: minShare, ngram, whole_up_to: wholeUpTo } = options;
    const rule: ContaminationRule = { mode, minWords, minShare, ngram, wholeUpTo };
    const { benchmarks, items, tooShort } = await readItems(options, rule, output);
    const threads = context.threads ?? availableParallelism();
    const found = items.map(() => false);
    let [whole, windowed, inWindows] = [0, 0, 0];
    const decide = async (rows: Parameters<Parameters<typeof sift>[1]["decide"]>[0]) => {
      const removals = new Map<number, Removal>();
      let row = 0;
      const texts = items.map(({ text }) => text);
      const judged = findContamination(rows, ({ value, place }) => wholeText(textsOf(value, place)), {
        ...{ items: texts, rule, threads },
      });
      for await (const [, contamination] of judged) {
        whole += Number(contamination.whole);
        windowed += Number(contamination.windowed);
        inWindows += Number(contamination.isWindowed);
        for (const { item } of contamination.matches) found[item] = true;
        if (contamination.matches.length > 0) removals.set(row, removalOf(contamination, items));
        row++;
      }
      return removals;
    };
    const tell = (): object => {
      const taken =
        mode === "fast"
          ? "all rows"
          : `${plural(inWindows, "row")} of more than ${plural(wholeUpTo, "word")}`;
      output.print(
        `Rows that hold an item: ${count(whole)} taken whole, ${count(windowed)} within windows of twice the item; ${taken} went by windows.`,
      );
      const told = benchmarks.map(({ data, rows, from, to }) => {
        const hits = found.slice(from, to).filter(Boolean).length;
        output.print(
          `${data}: ${count(hits)} of ${plural(to - from, "item")} of ${plural(rows, "row")} found`,
        );
        return { data, rows, items: to - from, found: hits };
      });
      return { whole, windowed, taken_in_windows: inWindows, benchmarks: told, too_short: tooShort };
    };
    await sift(options, { decide, tell }, output);
  },
});

interface Item {
  readonly place: RowPlace;
  readonly part: string;
  readonly text: string;
  readonly words: number;
}

const LISTED = 5;

/** All items, the benchmarks that they are of, and those that nothing can match. UserError naming file and row. */
async function readItems(
  { benchmarks: names, answers }: { readonly benchmarks: readonly string[]; readonly answers: boolean },
  rule: ContaminationRule,
  output: Output,
) {
  const items: Item[] = [];
  const tooShort: object[] = [];
  const benchmarks: { data: string; rows: number; from: number; to: number }[] = [];
  const reading = watchReading(output);
  try {
    for (const data of names) {
      const from = items.length;
      let rows = 0;
      const short: Item[] = [];
      for await (const { value, place } of readRows(data, { onProgress: reading.onProgress })) {
        rows++;
        const own = testItemsOf(value, place)
          .filter(({ isAsked }) => isAsked || answers)
          .map((item) => ({ ...item, place, words: wordsOf(item.text).length }));
        const long = own.filter(({ words }) => words >= fewestWords(rule));
        items.push(...long);
        const asked = own.filter(({ isAsked }) => isAsked);
        if (!asked.some((item) => long.includes(item))) short.push(...asked.slice(0, 1));
      }
      reading.end();
      benchmarks.push({ data, rows, from, to: items.length });
      if (short.length > 0) {
        output.print(
          `${data}: ${plural(short.length, "row")} of ${count(rows)} cannot be matched, with fewer than ${plural(fewestWords(rule), "word")}:`,
        );
        for (const { place, text } of short.slice(0, LISTED))
          output.say(`  ${placeText(place)}: ${text.slice(0, 100)}`);
        if (short.length > LISTED)
          output.say(`  and ${count(short.length - LISTED)} more; --json lists them.`);
      }
      for (const { place, part, words, text } of short)
        tooShort.push({ file: place.path, line: place.line, part, words, text });
    }
  } finally {
    reading.end();
  }
  return { items, benchmarks, tooShort };
}

function removalOf({ matches, isWindowed, whole, windowed }: Contamination, items: readonly Item[]): Removal {
  const [{ item, common }] = matches as [Contamination["matches"][number]];
  const { place, part, words, text } = items[item]!;
  const more = matches.length > 1 ? ` and ${plural(matches.length - 1, "other item")}` : "";
  return {
    reason: "contaminated",
    why: `${count(common)} of the ${plural(words, "word")} of ${placeText(place)} (${part}), in order${more}`,
    item: { file: place.path, line: place.line, part, words, text },
    common,
    items: matches.length,
    taken: isWindowed ? "windows" : "whole",
    ...{ whole, windowed },
  };
}
