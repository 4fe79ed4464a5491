// Questions about tables: every answer is what DuckDB finds in the table as the question's text has it.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type BuildReport, build, buildConfig } from "../src/index.js";
import { noModels } from "./support/building.js";

const folder = mkdtempSync(join(tmpdir(), "posttrain-structured-"));
let connection: DuckDBConnection;
beforeAll(async () => {
  connection = await (await DuckDBInstance.create(":memory:", { threads: "1" })).connect();
});
afterAll(() => {
  connection.closeSync();
  rmSync(folder, { recursive: true });
});

interface Row {
  readonly messages: readonly [{ readonly content: string }, { readonly content: string }];
  readonly task: string;
  readonly answer: string;
  readonly parents: readonly string[];
  readonly evidence: { readonly sql?: string; readonly result?: string };
}

let files = 0;
async function made(
  options: object,
): Promise<{ readonly rows: readonly Row[]; readonly report: BuildReport; readonly dropped: string }> {
  const output = join(folder, `${files++}.jsonl`);
  const report = await build(buildConfig.parse({ area: "structured", output, ...options }), noModels);
  const rows = readFileSync(output, "utf8")
    .split("\n")
    .filter((line) => line !== "");
  return {
    report,
    rows: rows.map((line) => JSON.parse(line) as Row),
    dropped: readFileSync(report.dropped_file, "utf8"),
  };
}

type Cells = readonly (readonly string[])[];

/** A table as text, header first, by four small readers of our own. */
function parsed(format: string, text: string): Cells {
  if (format === "csv")
    return text
      .split("\n")
      .map((line) =>
        [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
          ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain!,
        ),
      );
  if (format === "markdown")
    return text
      .split("\n")
      .filter((_, i) => i !== 1)
      .map((line) =>
        line
          .slice(2, -2)
          .split(/(?<!\\) ?\| ?/)
          .map((cell) => cell.replaceAll("\\|", "|")),
      );
  if (format === "html")
    return [...text.matchAll(/<tr>(.*?)<\/tr>/g)].map(([, line]) =>
      [...line!.matchAll(/<t[hd]>(.*?)<\/t[hd]>/g)].map(([, cell]) =>
        cell!.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&"),
      ),
    );
  // Numbers as they are written.
  const objects = JSON.parse(text.replaceAll(/: (-?[\d.]+)(?=[,}])/g, ': "$1"')) as Record<string, string>[];
  return [Object.keys(objects[0]!), ...objects.map((one) => Object.values(one))];
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

async function queried(cells: Cells, sql: string): Promise<string> {
  const [header, ...rows] = cells as [readonly string[], ...Cells];
  const types = header.map((_, i) => {
    const values = rows.map((row) => row[i]!);
    if (values.every((value) => /^-?\d{1,9}$/.test(value))) return "bigint";
    return values.every((value) => /^-?\d+\.\d\d$/.test(value)) ? "decimal(18, 2)" : "varchar";
  });
  await connection.run(
    `create or replace table t (row integer, ${header.map((name, i) => `${quoted(name)} ${types[i]}`).join(", ")})`,
  );
  const literals = rows.map(
    (row, i) => `(${[i, ...row.map((cell) => `'${cell.replaceAll("'", "''")}'`)].join(", ")})`,
  );
  await connection.run(`insert into t values ${literals.join(", ")}`);
  const found = (await connection.runAndReadAll(sql)).getRows();
  return found.map((row) => row.map(String).join(": ")).join(", ");
}

/** What is wrong with a row. */
async function problemOf({
  messages: [{ content }, response],
  task,
  answer,
  evidence: { sql, result },
}: Row): Promise<string | undefined> {
  const [, format, text] = /```(\w+)\n([\s\S]*?)\n```/.exec(content)!;
  if (sql === undefined) {
    if (content.includes("a cell too few")) {
      const lengths = parsed("csv", text!).map((cells) => cells.length);
      const short = lengths.findIndex((length) => length < lengths[0]!);
      return answer === `line ${short + 1}` && response.content.endsWith(`Answer: ${answer}`)
        ? undefined
        : `line ${short + 1}`;
    }
    const [, other, written] = /^```(\w+)\n([\s\S]*)\n```$/.exec(response.content)!;
    const same = JSON.stringify(parsed(other!, written!)) === JSON.stringify(parsed(format!, text!));
    return same && other !== format ? undefined : "it is another table";
  }
  const found = await queried(parsed(format!, text!), sql);
  if (!response.content.endsWith(`\nAnswer: ${answer}`)) return "the response ends otherwise";
  if (found !== result) return `DuckDB finds ${found}, not ${result}`;
  if (task !== "fact") return found === answer ? undefined : `${found}, not ${answer}`;
  const said = /^Somebody answers: (.*)$/m.exec(content)![1];
  return (said === found ? "True" : "False") === answer ? undefined : `it is ${found}`;
}

async function problemsOf(rows: readonly Row[]): Promise<readonly string[]> {
  const problems: string[] = [];
  for (const row of rows) {
    const problem = await problemOf(row);
    if (problem !== undefined) problems.push(`${problem}: ${row.messages[0].content}`);
  }
  return problems;
}

it("has answers that DuckDB finds in the question's text, in every task, grade and form of table", async () => {
  const { rows, report } = await made({ rows: 400, seed: 11 });
  expect(report).toMatchObject({
    rows: 400,
    tasks: { question: 100, fact: 100, correction: 100, structure: 100 },
  });
  expect(report.difficulty).toEqual({ 1: 80, 2: 80, 3: 80, 4: 80, 5: 80 });
  expect(await problemsOf(rows)).toEqual([]);
  for (const form of ["csv", "json", "markdown", "html"])
    expect(
      rows.filter(({ messages }) => messages[0].content.includes(`\`\`\`${form}\n`)).length,
    ).toBeGreaterThan(60);
  const facts = rows.filter(({ task }) => task === "fact");
  const share = facts.filter(({ answer }) => answer === "True").length / facts.length;
  expect(Math.abs(share - 0.5)).toBeLessThan(0.15);
});

it("asks of tables of other data sets, and says which it cannot", async () => {
  const seeds = join(folder, "seeds.jsonl");
  const tables = [
    {
      question: "who won?",
      table: {
        header: ["Team", "Won | lost", "Notes"],
        rows: [
          ["Reds, FC", "12", 'the "best"'],
          ["Blues", "7", "a < b"],
          ["Greens", "12", "a & b"],
          ["Whites", "0", "it's"],
        ],
      },
    },
    {
      caption: "heights",
      statement: "x",
      table: {
        header: ["peak", "height"],
        rows: [
          ["a", "8.5"],
          ["b", "7.25"],
          ["c", "-1"],
        ],
      },
    },
    { table: { header: ["x", "X"], rows: [["1", "2"]] } },
    {
      table: {
        header: ["a", "b"],
        rows: [
          ["x", "1"],
          ["y", "2"],
          ["Total", "3"],
        ],
      },
    },
    {
      table: {
        header: ["a", "b"],
        rows: [
          ["x", "1"],
          ["x", "2"],
          ["x", "3"],
        ],
      },
    },
    { table: { header: ["a", "b"], rows: [["x", "1"], ["y"], ["z", "3"]] } },
    { table: "none" },
  ];
  writeFileSync(seeds, tables.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const { rows, report, dropped } = await made({
    rows: 120,
    seeds: [seeds],
    tasks: ["question", "fact", "structure"],
  });
  expect(report.rows).toBe(120);
  expect(await problemsOf(rows)).toEqual([]);
  expect(new Set(rows.flatMap(({ parents }) => parents)).size).toBe(2);
  const why = report.steps.find(({ step }) => step === "read")!.dropped;
  expect(why).toEqual({
    columns_without_own_names: 1,
    rows_of_totals: 1,
    no_names_or_no_numbers: 1,
    too_short_long_or_ragged: 1,
    no_table: 1,
  });
  expect(dropped).toContain('"line":7');
  // Two small tables are used up.
  const all = await made({ rows: 100_000, seeds: [seeds], tasks: ["structure"], difficulty: [1] });
  expect(all.report).toMatchObject({ end: "used up", rows: 8 });
});
