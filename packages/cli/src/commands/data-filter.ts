// posttrain data filter: rows without those that rules find fault with.
import { type FaultOptions, faultChecks, faultsOf, textsOf, UserError } from "@posttrain/data";
import { detectLanguage, languageCodes } from "@posttrain/instructions";
import { z } from "zod";
import { defineCommand } from "../command.js";
import { createOutput } from "../output.js";
import { type Removal, sift, siftNotes, siftOptions } from "../sift.js";

export const command = defineCommand({
  options: z.strictObject({
    ...siftOptions,
    checks: z
      .array(z.enum(faultChecks))
      .default([...faultChecks])
      .describe("what rows are looked at for; none with an empty list"),
    languages: z
      .array(z.string())
      .default([])
      .describe("languages that answers may be in, such as en,zh (ISO 639-1); any without it"),
    min_words: z.int().min(0).optional().describe("fewest words of a row, of all its texts"),
    max_words: z.int().min(1).optional().describe("most words of a row"),
  }),
  examples: [
    [
      "npx posttrain data filter --data rows.jsonl --languages en --min_words 5 --output good.jsonl",
      "English rows of five words and more, without damage, repetition, personal data and refusals",
    ],
    [
      "npx posttrain data filter --data rows.parquet --checks encoding --output whole.parquet",
      "without text that was decoded wrongly",
    ],
  ],
  notes:
    "encoding: characters lost in decoding, UTF-8 read as Windows-1252, control characters. personal_data: e-mail addresses, numbers of telephones, cards, bank accounts, social security, public IP addresses, but not those that are set apart for examples. " +
    "refusal: answers that begin by declining, in English, Chinese, German, French or Spanish. repetition: answers of 50 words and more beyond the limits of Gopher's filters. Rows that cannot be read or trained on go too, by what is wrong with them. " +
    `A row goes with its first fault; the others stand beside it as "also". ${siftNotes}`,
  run: async (options, context) => {
    const output = createOutput(context, process.stderr);
    const {
      checks,
      languages,
      min_words: minWords = 0,
      max_words: maxWords = Number.POSITIVE_INFINITY,
    } = options;
    const unknown = languages.find((language) => !languageCodes().includes(language));
    if (unknown !== undefined) {
      throw new UserError(
        "bad_option",
        `languages has ${JSON.stringify(unknown)}: expected of ${languageCodes().join(", ")}.`,
      );
    }
    if (minWords > maxWords)
      throw new UserError(
        "bad_option",
        `min_words is ${minWords} and max_words ${maxWords}: no row has such a length.`,
      );
    const rules: FaultOptions = {
      ...{ checks, minWords, maxWords },
      languages: languages.length > 0 ? { allowed: languages, of: detectLanguage } : undefined,
    };
    await sift(
      options,
      {
        takesBadRows: true,
        decide: async (rows) => {
          const removals = new Map<number, Removal>();
          let row = 0;
          for await (const { value, place } of rows) {
            const removal = removalOf(value, place, rules);
            if (removal !== undefined) removals.set(row, removal);
            row++;
          }
          return removals;
        },
      },
      output,
    );
  },
});

function removalOf(
  value: unknown,
  place: Parameters<typeof textsOf>[1],
  rules: FaultOptions,
): Removal | undefined {
  try {
    const [first, ...others] = faultsOf(textsOf(value, place), rules);
    return first && { ...first, ...(others.length > 0 && { also: others }) };
  } catch (error) {
    if (error instanceof UserError) return { reason: error.code, why: error.message };
    throw error;
  }
}
