// posttrain data convert: rows of any form and file as rows of another.
import { createConverter, type DataFormat, dataFormats, originalColumn, readRows } from "@posttrain/data";
import { z } from "zod";
import { defineCommand } from "../command.js";
import { namingOf, namingOptions } from "../data-naming.js";
import { count, plural } from "../format.js";
import { createOutput } from "../output.js";
import { watchReading } from "../reading.js";
import { openRowFile } from "../row-file.js";

export const command = defineCommand({
  options: z.strictObject({
    data: z
      .string()
      .describe(
        "rows: a file (JSONL, JSON, CSV, Parquet; .gz, .zst), files, a folder, FOLDER:SPLIT, a glob, FOLDER:NAME of dataset_info.json",
      ),
    output: z.string().describe("new file: .parquet, else JSONL"),
    to: z.enum(dataFormats).optional().describe("form of the new rows; without it they stay as they are"),
    from: z.enum(dataFormats).optional().describe("form of the rows, if their columns shall not tell"),
    ...namingOptions,
  }),
  examples: [
    [
      "npx posttrain data convert --data chats.parquet --to sharegpt --output chats.jsonl",
      "conversations as ShareGPT has them",
    ],
    [
      "npx posttrain data convert --data rows.csv --columns prompt=question,response=reply \\\n--to messages --output rows.parquet",
      "columns of other names, as messages in Parquet",
    ],
  ],
  notes:
    "What a row says moves into the columns of the new form; all other columns stay. Where the way back would give another row, the row as it was goes along in a column original, and converting back takes it from there. " +
    'A pair becomes two rows of unpaired. What a form cannot say is an error that names the row. --json prints {"rows", "from", "written", "carried", "output"}.',
  run: async (options, context) => {
    const { data, output: file, to, from } = options;
    const output = createOutput(context, process.stderr);
    const naming = namingOf(options);
    const rows = await openRowFile(file);
    const reading = watchReading(output);
    const found = new Map<DataFormat, number>();
    let [read, written, carried] = [0, 0, 0];
    async function* converted(isCounted: boolean) {
      const convert = to === undefined ? undefined : createConverter({ to, from });
      for await (const { value, place } of readRows(data, { naming, onProgress: reading.onProgress })) {
        const made =
          convert === undefined ? { from: undefined, rows: [value as object] } : convert(value, place);
        if (isCounted) {
          read++;
          if (made.from !== undefined) found.set(made.from, (found.get(made.from) ?? 0) + 1);
          written += made.rows.length;
          carried += made.rows.filter(
            (row) => originalColumn in row && !(originalColumn in (value as object)),
          ).length;
        }
        yield* made.rows as readonly Readonly<Record<string, unknown>>[];
      }
    }
    try {
      await rows.writeAll(converted);
      reading.end();
    } finally {
      reading.end();
      await rows.discard();
    }
    const forms = [...found].map(([name, rows]) => `${name} ${count(rows)}`);
    output.print(
      `${plural(read, "row")}${forms.length > 0 ? ` (${forms.join(", ")})` : ""} -> ${plural(written, "row")}${to === undefined ? "" : ` of ${to}`}: ${file}`,
    );
    if (carried > 0)
      output.say(
        `${plural(carried, "row")} say more than ${to} has columns for: what they were is in ${originalColumn}.`,
      );
    output.result({
      quiet: file,
      json: { rows: read, from: Object.fromEntries(found), written, carried, output: file },
    });
  },
});
