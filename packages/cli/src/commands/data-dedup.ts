// posttrain data dedup: rows without those that say what a row before them says.
import { openDuplicateFinder, placeText, type RowPlace } from "@posttrain/data";
import { z } from "zod";
import { defineCommand } from "../command.js";
import { count } from "../format.js";
import { createOutput } from "../output.js";
import { type Removal, sift, siftNotes, siftOptions } from "../sift.js";

// Runs of 5 words and some 112 hashes are datatrove's and FineWeb's, the threshold is text-dedup's. Their 14 bands of 8 find three quarters of the pairs at an index of
// 0.75; here the index itself is taken of what the bands find, so that more and shorter bands cost comparisons and no wrong pair.
export const command = defineCommand({
  options: z.strictObject({
    ...siftOptions,
    method: z
      .enum(["minhash", "exact"])
      .default("minhash")
      .describe("minhash: also rows that are nearly the same; exact: the same text only"),
    ngram: z.int().min(1).max(100).default(5).describe("minhash: words in a run"),
    threshold: z
      .number()
      .gt(0)
      .max(1)
      .default(0.7)
      .describe("minhash: Jaccard index of two rows' runs of words from which on they are the same"),
    bands: z
      .int()
      .min(1)
      .max(1000)
      .default(24)
      .describe("minhash: groups of hashes; rows are compared that agree in one"),
    band_hashes: z.int().min(1).max(100).default(5).describe("minhash: hashes in a band"),
    seed: z
      .int()
      .min(0)
      .max(2 ** 32 - 1)
      .default(42)
      .describe("minhash: seed of the hash functions"),
  }),
  examples: [
    ["npx posttrain data dedup --data rows.jsonl --output unique.jsonl", "without copies and near copies"],
    ["npx posttrain data dedup --data rows.parquet --method exact --output unique.parquet", "without copies"],
  ],
  notes:
    "Texts of turns are compared, not the other columns. Equal: but for white space, case and Unicode's forms. Nearly equal: the same runs of words, by Jaccard's index of all runs of both; bands only find what is compared, and miss few pairs well above the threshold: " +
    "1 - (1 - J^band_hashes)^bands of them are found. Rows that are near to one another are one cluster, whose first row stays; rows of fewer than 5 words are only told by equality. The same data and seed give the same rows. " +
    `${siftNotes} Here: "compared", "confirmed" (pairs).`,
  run: async (options, context) => {
    const output = createOutput(context, process.stderr);
    const { method, ngram, threshold, bands, band_hashes: bandHashes, seed } = options;
    const finder = await openDuplicateFinder({
      ngram,
      bands,
      bandHashes,
      seed,
      threshold: method === "exact" ? undefined : threshold,
    });
    let pairs = { compared: 0, confirmed: 0 };
    try {
      await sift(
        options,
        {
          decide: async (rows) => {
            const places = createPlaces();
            for await (const { value, place } of rows) {
              await finder.add(value, place);
              places.add(place);
            }
            const { first, isCopy, compared, confirmed } = await finder.find();
            pairs = { compared, confirmed };
            const removals = new Map<number, Removal>();
            for (const [row, original] of first.entries()) {
              if (original === row) continue;
              const reason = isCopy(row) ? "exact_duplicate" : "near_duplicate";
              const place = places.of(original);
              const why = `${isCopy(row) ? "says what a row before it says" : "is near to others"}; of these stays ${placeText(place)}`;
              removals.set(row, { reason, why, kept: { file: place.path, line: place.line } });
            }
            return removals;
          },
          tell: () => {
            const { compared, confirmed } = pairs;
            if (method === "minhash")
              output.say(
                `Pairs that shared a band: ${count(compared)}; near by all their runs: ${count(confirmed)}.`,
              );
            return pairs;
          },
        },
        output,
      );
    } finally {
      await finder.close();
    }
  },
});

/** Where rows stand, by their numbers: 16 bytes each, however long the names of files are. */
function createPlaces() {
  const files: Pick<RowPlace, "path" | "unit">[] = [];
  const fileOf: number[] = [];
  const lineOf: number[] = [];
  return {
    add({ line, ...file }: RowPlace): void {
      if (files.at(-1)?.path !== file.path) files.push(file);
      fileOf.push(files.length - 1);
      lineOf.push(line);
    },
    of: (row: number): RowPlace => ({ ...files[fileOf[row]!]!, line: lineOf[row]! }),
  };
}
