// posttrain data stats, posttrain data validate: what data holds, and what is wrong with it.
import { type Survey, surveyRows } from "@posttrain/data";
import { z } from "zod";
import { defineCommand } from "../command.js";
import { namingOf, namingOptions } from "../data-naming.js";
import { exitCodes } from "../failure.js";
import { count, plural } from "../format.js";
import { createOutput, type Output } from "../output.js";
import { watchReading } from "../reading.js";

const options = z.strictObject({
  data: z
    .string()
    .describe(
      "rows: a file (JSONL, JSON, CSV, Parquet; .gz, .zst), files, a folder, FOLDER:SPLIT, a glob, FOLDER:NAME of dataset_info.json",
    ),
  ...namingOptions,
});

type Report = (survey: Survey, output: Output, data: string) => void;

const surveying = (report: Report, notes: string, example: readonly [string, string]) =>
  defineCommand({
    options,
    examples: [example],
    notes,
    run: async (given, context) => {
      const output = createOutput(context, process.stdout);
      const reading = watchReading(output);
      try {
        const survey = await surveyRows(given.data, {
          naming: namingOf(given),
          onProgress: reading.onProgress,
        });
        reading.end();
        report(survey, output, given.data);
      } finally {
        reading.end();
      }
    },
  });

export const stats = surveying(
  (survey, output, data) => {
    const { rows, formats, columns, roles, characters, duplicates, bad } = survey;
    const listed = (counts: object): string =>
      Object.entries(counts)
        .map(([name, n]) => `${name} ${count(n as number)}`)
        .join(", ") || "none";
    output.print(`${data}: ${plural(rows, "row")}`);
    output.table([
      ["read as", listed(formats)],
      ["columns", listed(columns)],
      ["turns", listed(roles)],
      [
        "characters",
        `${count(characters.total)} in all; a row ${count(characters.min)} to ${count(characters.max)}, median ${count(characters.median)}, 95 % up to ${count(characters.p95)}`,
      ],
      ["duplicates", `${plural(duplicates, "row")} that say what one before them says`],
      ["bad", bad === 0 ? "none" : `${plural(bad, "row")}: posttrain data validate lists them`],
    ]);
    output.result({ quiet: String(rows), json: { data, ...survey } });
  },
  "Rows are read as the first form whose columns they have. Columns that are null are not counted. --json prints all counts.",
  ["npx posttrain data stats --data rows.parquet", "forms, columns, roles, lengths, duplicates"],
);

export const validate = surveying(
  ({ rows, formats, bad, problems }, output, data) => {
    const forms = Object.entries(formats).map(([name, n]) => `${name} ${count(n)}`);
    output.print(`${data}: ${plural(rows, "row")}, read as ${forms.join(", ") || "nothing"}`);
    for (const { code, count: n, examples } of problems) {
      output.print(`${code}: ${plural(n, "row")}`);
      for (const example of examples) output.say(`  ${example}`);
    }
    output.print(
      bad === 0
        ? "All rows can be trained on or asked."
        : `${plural(bad, "row")} cannot be used as they are.`,
    );
    output.result({ quiet: String(bad), json: { data, rows, formats, bad, problems } });
    if (bad > 0) process.exitCode = exitCodes.mistake;
  },
  `Needs no model: texts and the order of turns are looked at, not tokens (posttrain validate does that for a stage). Exit code ${exitCodes.mistake} where a row is bad. --json prints {"data", "rows", "formats", "bad", "problems"}.`,
  ["npx posttrain data validate --data rows.jsonl", "every kind of bad row, with its first places"],
);
