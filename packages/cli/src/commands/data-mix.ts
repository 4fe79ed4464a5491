// posttrain data mix: rows of several sources as one file, so much of each, interleaved.
import { detectFormat, mixRows, mixSourceOf } from "@posttrain/data";
import { z } from "zod";
import { defineCommand } from "../command.js";
import { count, plural } from "../format.js";
import { createOutput } from "../output.js";
import { watchReading } from "../reading.js";
import { openRowFile } from "../row-file.js";

export const command = defineCommand({
  options: z.strictObject({
    sources: z
      .array(z.string())
      .min(1)
      .describe(
        "DATA, DATA=0.5 (a share of its rows, above 1.0: several passes), DATA=1000 (rows); with rows: DATA=WEIGHT",
      ),
    rows: z.int().positive().optional().describe("rows in all: the numbers of sources are weights"),
    seed: z
      .int()
      .min(0)
      .max(2 ** 32 - 1)
      .default(42)
      .describe("seed of which rows, and of their order"),
    output: z.string().describe("new file: .parquet, else JSONL"),
  }),
  examples: [
    [
      "npx posttrain data mix --sources chats.jsonl=0.5,sums.parquet=1000 --output mix.jsonl",
      "half of one, a thousand rows of the other",
    ],
    [
      "npx posttrain data mix --sources chats.jsonl=3,sums.parquet=1 --rows 10000 --output mix.parquet",
      "three to one",
    ],
  ],
  notes:
    "As in open-instruct's mixer, 1.0 is all rows and 1 is one row. Rows stay as they are and keep the order of their files; where more are asked for than there are, they come again, and that is said. " +
    'The same sources and seed give the same file. --json prints {"rows", "parts": [{"data", "of", "taken"}], "output"}.',
  run: async ({ sources, rows, seed, output: file }, context) => {
    const output = createOutput(context, process.stderr);
    const result = await openRowFile(file);
    const reading = watchReading(output);
    try {
      const mix = await mixRows(
        sources.map((text) => mixSourceOf(text, rows !== undefined)),
        { seed, rows, onProgress: reading.onProgress },
      );
      const forms = new Map<string, number>();
      async function* values(isCounted: boolean) {
        const again = isCounted
          ? mix.rows
          : (
              await mixRows(
                sources.map((text) => mixSourceOf(text, rows !== undefined)),
                { seed, rows },
              )
            ).rows;
        for await (const { value } of again) {
          const form = detectFormat(value) ?? "unknown";
          if (isCounted) forms.set(form, (forms.get(form) ?? 0) + 1);
          yield value as Readonly<Record<string, unknown>>;
        }
      }
      await result.writeAll(values);
      reading.end();
      const total = mix.parts.reduce((sum, { taken }) => sum + taken, 0);
      for (const { data, of, taken } of mix.parts) {
        const again = taken > of ? `, ${(taken / of).toFixed(2)} times each` : "";
        output.print(`${data}: ${count(taken)} of ${plural(of, "row")}${again}`);
      }
      if (forms.size > 1)
        output.say(
          `The rows have several forms: ${[...forms].map(([form, n]) => `${form} ${count(n)}`).join(", ")}. posttrain data convert makes them one.`,
        );
      output.print(`${plural(total, "row")}: ${file}`);
      output.result({ quiet: file, json: { rows: total, parts: mix.parts, output: file } });
    } finally {
      reading.end();
      await result.discard();
    }
  },
});
