// Area structured: questions about tables whose answers DuckDB finds, over CSV, JSON, Markdown and HTML. Without a teacher; tables are made, or taken from rows of
// --seeds (WikiTableQuestions, TabFact, or any {"table": {"header", "rows"}}).
import type { Area, Draft, Making, Seed } from "../area.js";
import type { Draws } from "../draws.js";
import { drop, keep, type Outcome } from "../outcome.js";
import { makeCorrection } from "./correction.js";
import { type Database, openDatabase } from "./duckdb.js";
import { fenced, tableFormats } from "./formats.js";
import { drawQuery, questionOf, sqlOf, work } from "./query.js";
import { makeStructure } from "./structure.js";
import { makeTable, type Table, tableOfSeed } from "./table.js";

/** Something asked, with the answer that was worked out, before it is checked. */
interface Asked {
  readonly index: number;
  readonly task: string;
  readonly difficulty: number;
  readonly question: string;
  readonly response: string;
  readonly answer: string;
  /** What is queried, and what its one row must be, cell for cell joined with ": "; several rows: with ", ". */
  readonly table: Table;
  readonly sql: string | undefined;
  readonly expected: string;
  readonly parents: readonly string[];
}

export const structured: Area = {
  version: 1,
  tasks: ["question", "fact", "correction", "structure"],
  seeds: "taken",
  async *build(making) {
    const database = await openDatabase();
    try {
      const asked = making.step("ask", candidates(making), (candidate) => ask(candidate, making));
      const checked = making.step("execute", asked, (one) => executed(one, database));
      yield* making.distinct(checked, ({ messages }) => String(messages[0]?.content));
    } finally {
      database.close();
    }
  },
};

interface Candidate {
  readonly index: number;
  readonly table?: { readonly table: Table; readonly seed: Seed };
}

/** Numbers, for tables that are made; with seeds, their tables over and over, each time asked something else. */
async function* candidates({
  config,
  seeds,
  step,
  tasks,
}: Making): AsyncGenerator<Candidate, void, undefined> {
  let index = 0;
  if (config.seeds === undefined) for (; ; index++) yield { index };
  const tables: { table: Table; seed: Seed }[] = [];
  const read = step("read", seeds(), (seed) => {
    const found = tableOfSeed(seed.row);
    return "kept" in found
      ? keep({ table: found.kept[0]!, seed })
      : drop((found as { dropped: string }).dropped, seed.place);
  });
  for await (const table of read) tables.push(table);
  if (tables.length === 0) return;
  // A table can be asked so much and no more.
  for (let visit = 0; visit < mostVisits * tasks.length; visit++)
    for (const table of tables) yield { index: index++, table };
}

const mostVisits = 200;

function ask({ index, table: given }: Candidate, { draws, tasks, difficultyOf }: Making): Outcome<Asked> {
  const draw = draws(index);
  const task = tasks[index % tasks.length] as string;
  const difficulty = difficultyOf(Math.floor(index / tasks.length));
  const base = { index, task, difficulty, parents: given === undefined ? [] : [given.seed.id] };
  const format = draw.pick(tableFormats);
  if (task === "correction") {
    if (given !== undefined) return drop("tables_that_are_made_only");
    const { table, rule, answer, steps, sql } = makeCorrection(draw, difficulty);
    const question = `${table.title}:\n\n${fenced(table, format)}\n\n${rule} Which row is it, and what should it have? End with "Answer: NAME: VALUE".`;
    return keep({
      ...base,
      question,
      answer,
      response: `${steps.join("\n")}\nAnswer: ${answer}`,
      table,
      sql,
      expected: answer,
    });
  }
  const table = given?.table ?? makeTable(draw, difficulty);
  if (task === "structure") {
    const { shown, question, answer, response, sql } = makeStructure(table, format, draw, difficulty);
    return keep({
      ...base,
      question: `${shown ?? fenced(table, format)}\n\n${question}`,
      answer,
      response,
      table,
      sql,
      expected: answer,
    });
  }
  const told = queried(table, draw, difficulty);
  if (told === undefined) return drop("no_single_answer");
  const { query, answered } = told;
  const { answer, steps } = answered;
  const [shown, sql] = [`${table.title}:\n\n${fenced(table, format)}`, sqlOf(query, table)];
  const asking = questionOf(query, table);
  if (task === "question") {
    const question = `${shown}\n\n${asking} Explain, then end with "Answer: " and the answer alone.`;
    return keep({
      ...base,
      question,
      answer,
      response: `${steps.join("\n")}\nAnswer: ${answer}`,
      table,
      sql,
      expected: answer,
    });
  }
  const isTrue = draw.chance(0.5);
  const other = isTrue ? answer : wrongAnswer(answer, table, draw);
  if (other === undefined) return drop("no_false_answer");
  const verdict = isTrue ? "True" : "False";
  const question = `${shown}\n\nSomebody asks: ${asking}\nSomebody answers: ${other}\n\nIs that answer true or false? Explain, then end with "Answer: True" or "Answer: False".`;
  const found = `What was asked comes to ${answer}, so the answer ${other} is ${isTrue ? "right" : "wrong"}.`;
  return keep({
    ...base,
    question,
    answer: verdict,
    response: `${steps.join("\n")}\n${found}\nAnswer: ${verdict}`,
    table,
    sql,
    expected: answer,
  });
}

/** Draws may come to no answer, or to more than one. */
function queried(table: Table, draw: Draws, difficulty: number) {
  for (let tries = 0; tries < 30; tries++) {
    const query = drawQuery(table, draw, difficulty);
    const answered = query === undefined ? undefined : work(query, table);
    if (query !== undefined && answered !== undefined) return { query, answered };
  }
  return undefined;
}

/** An answer of the same kind that is not this one: a name of another row, a number nearby. */
function wrongAnswer(answer: string, { rows, columns }: Table, draw: Draws): string | undefined {
  if (/^-?\d+(\.\d\d)?$/.test(answer)) {
    const digits = answer.includes(".") ? 2 : 0;
    const by = draw.pick([1, 2, 10, -1]) * (draw.chance(0.5) ? 1 : draw.int(1, 9));
    return (Number(answer) + by).toFixed(digits);
  }
  const all = answer.split(", ");
  const place = columns.findIndex(
    ({ type }, i) => type === "text" && all.every((one) => rows.some((row) => row[i] === one)),
  );
  if (place < 0) return undefined;
  const others = [...new Set(rows.map((row) => String(row[place])))].filter((one) => !all.includes(one));
  if (others.length === 0) return all.length > 1 ? all.slice(1).join(", ") : undefined;
  return [...all.slice(0, -1), draw.pick(others)].join(", ");
}

/** True labels: what DuckDB says is what was worked out, or the row is dropped. */
async function executed(one: Asked, database: Database): Promise<Outcome<Draft>> {
  const { index, task, difficulty, question, response, answer, table, sql, expected, parents } = one;
  if (sql !== undefined) {
    const found = await database.run({ t: table }, sql);
    const text = found.map((cells) => cells.join(": ")).join(", ");
    if (text !== expected) return drop("answers_differ", { question, worked: expected, duckdb: text, sql });
  }
  return keep({
    ...{ task, difficulty, parents },
    messages: [
      { role: "user", content: question },
      { role: "assistant", content: response },
    ],
    columns: { answer },
    evidence: {
      generator: `structured/${task}`,
      index,
      ...(sql === undefined ? { checked: "the table's own text" } : { sql, result: expected }),
    },
  });
}
