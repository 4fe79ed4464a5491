// Questions about how a table is built: its size, what stands where, another form, a row with a cell too few.
import type { Draws } from "../draws.js";
import { ordinal } from "../logic/words.js";
import { fenced, type TableFormat, tableFormats, tableText } from "./formats.js";
import { quoted } from "./query.js";
import { cellText, type Table } from "./table.js";

export interface Structure {
  /** What stands in the question in place of the table, if not the table as it is. */
  readonly shown?: string;
  readonly question: string;
  readonly answer: string;
  readonly response: string;
  /** What says it of the table t, as the answer does; undefined: it concerns the text of the table alone. */
  readonly sql?: string;
}

/** Grades 1 and 2: sizes and places; 3: the other way round; 4: another form; 5: broken text. */
export function makeStructure(
  table: Table,
  format: TableFormat,
  draws: Draws,
  difficulty: number,
): Structure {
  const { columns, rows } = table;
  if (difficulty === 1) {
    const answer = `${rows.length} rows, ${columns.length} columns`;
    return {
      question:
        'How many rows has this table, without the header, and how many columns? Say it as "3 rows, 2 columns".',
      answer,
      response: `The columns are ${columns.map(({ name }) => name).join(", ")}: ${columns.length}.\nThe rows are those of ${rows.map((row) => row[table.key]).join(", ")}: ${rows.length}.\nAnswer: ${answer}`,
      sql: `select (select count(*) from t) || ' rows, ' || (select count(*) - 1 from information_schema.columns where table_name = 't') || ' columns'`,
    };
  }
  if (difficulty < 4) {
    const i = draws.int(0, Math.min(rows.length, 8) - 1);
    const j = draws.int(0, Math.min(columns.length, 8) - 1);
    const column = columns[j]!;
    const cell = cellText(rows[i]![j]!, column);
    const where = `row ${i + 1} (the header is none), ${ordinal(j + 1)} column`;
    if (difficulty === 2)
      return {
        question: `What stands in ${where}?`,
        answer: cell,
        response: `The ${ordinal(j + 1)} column is ${column.name}.\nRow ${i + 1} is ${rows[i]!.map((one, k) => cellText(one, columns[k]!)).join(", ")}.\nAnswer: ${cell}`,
        sql: `select ${quoted(column.name)} from t where row = ${i}`,
      };
    const key = columns[table.key]!.name;
    const name = String(rows[i]![table.key]);
    return {
      question: `In which row (the header is none) is ${key} ${name}, and which columns of that row hold numbers? Say it as "row 2: Age, Height", or "row 2: none".`,
      answer: `row ${i + 1}: ${
        columns
          .filter(({ type }) => type !== "text")
          .map((one) => one.name)
          .join(", ") || "none"
      }`,
      response: `The values under ${key} are ${rows.map((row) => row[table.key]).join(", ")}: ${name} is number ${i + 1}.\nNumbers stand under ${columns
        .filter(({ type }) => type !== "text")
        .map((one) => one.name)
        .join(", ")}.\nAnswer: row ${i + 1}: ${columns
        .filter(({ type }) => type !== "text")
        .map((one) => one.name)
        .join(", ")}`,
      sql: `select 'row ' || (row + 1) || ': ' || (select string_agg(column_name, ', ' order by ordinal_position) from information_schema.columns where table_name = 't' and column_name <> 'row' and data_type <> 'VARCHAR') from t where ${quoted(key)} = '${name.replaceAll("'", "''")}'`,
    };
  }
  if (difficulty === 4) {
    const other = draws.pick(tableFormats.filter((one) => one !== format));
    return {
      question: `Write this table as ${other}${other === "JSON" ? ", a list with an object for each row; numbers as numbers" : ""}, in a code block and without anything else.`,
      answer: tableText(table, other),
      response: fenced(table, other),
    };
  }
  const broken = draws.int(0, rows.length - 1);
  const lines = tableText(table, "CSV").split("\n");
  const missing = draws.int(0, columns.length - 1);
  const text = tableText(
    {
      columns: columns.filter((_, j) => j !== missing),
      rows: [rows[broken]!.filter((_, j) => j !== missing)],
    },
    "CSV",
  );
  const cut = text.split("\n").slice(1).join("\n");
  lines[broken + 1] = cut;
  const line = `line ${broken + 2}`;
  return {
    shown: `\`\`\`csv\n${lines.join("\n")}\n\`\`\``,
    question: 'One line of this CSV has a cell too few. Which one? The header is line 1; say it as "line 3".',
    answer: line,
    response: `The header has ${columns.length} cells.\n${rows.map((_, i) => `line ${i + 2}: ${i === broken ? columns.length - 1 : columns.length}`).join("\n")}\nAnswer: ${line}`,
  };
}
