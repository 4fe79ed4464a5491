// What can be asked of a table: as a question, as SQL for DuckDB, and worked out here step by step. The two answers must be one.
import type { Draws } from "../draws.js";
import { type Cell, type Column, cellText, type Table } from "./table.js";

interface Condition {
  readonly column: number;
  readonly is: "=" | ">" | "<";
  readonly value: Cell;
}

export type Query = { readonly where: readonly Condition[] } & (
  | { readonly kind: "lookup" | "sum" | "mean" | "largest" | "smallest"; readonly column: number }
  | { readonly kind: "count" }
  /** Names of rows, in the table's order. */
  | { readonly kind: "list" }
  /** The name of the row with the `place`-th largest (or smallest) value. */
  | { readonly kind: "rank"; readonly column: number; readonly place: number; readonly largest: boolean }
  /** The group whose sum, or number of rows, is the largest. */
  | { readonly kind: "group"; readonly by: number; readonly column: number | undefined }
  | { readonly kind: "difference"; readonly column: number; readonly rows: readonly [Cell, Cell] }
);

export interface Answered {
  readonly answer: string;
  readonly steps: readonly string[];
}

/** Something to ask of a table; undefined: these draws gave nothing. Grades: one step, conditions, ranks and groups, two conditions. */
export function drawQuery(table: Table, draws: Draws, difficulty: number): Query | undefined {
  const { columns, key } = table;
  const numbers = places(columns, ({ type }) => type !== "text");
  const groups = places(columns, ({ type }, i) => type === "text" && i !== key && repeats(table, i));
  const column = draws.pick(numbers);
  const name = (): Cell => draws.pick(table.rows)[key]!;
  const some = (): Condition | undefined => {
    if (groups.length > 0 && draws.chance(0.6)) {
      const by = draws.pick(groups);
      return { column: by, is: "=", value: draws.pick(table.rows)[by]! };
    }
    const by = draws.pick(numbers);
    return { column: by, is: draws.pick([">", "<"] as const), value: draws.pick(table.rows)[by]! };
  };
  const conditions = (count: number): readonly Condition[] => {
    const all = Array.from({ length: count }, some).filter((one) => one !== undefined);
    return all.filter((one, i) => all.findIndex(({ column: other }) => other === one.column) === i);
  };
  const where = conditions(Math.max(0, Math.min(2, difficulty - 2)) + (difficulty === 2 ? 1 : 0));
  const kinds = [
    ["lookup", "count", "largest"],
    ["count", "sum", "rank", "difference"],
    ["sum", "mean", "rank", "list", "group"],
    ["sum", "mean", "rank", "list", "group", "difference"],
    ["sum", "mean", "rank", "list", "group"],
  ][difficulty - 1]!;
  const kind = draws.pick(kinds);
  switch (kind) {
    case "lookup":
      return {
        kind,
        column: draws.pick(places(columns, (_, i) => i !== key)),
        where: [{ column: key, is: "=", value: name() }],
      };
    case "count":
      return { kind, where: conditions(1) };
    case "list":
      return { kind, where };
    case "rank":
      return {
        kind,
        column,
        where: difficulty < 3 ? [] : where,
        place: draws.int(1, Math.min(3, difficulty)),
        largest: draws.chance(0.6),
      };
    case "group":
      if (groups.length === 0) return undefined;
      return {
        kind,
        by: draws.pick(groups),
        column: draws.chance(0.8) ? column : undefined,
        where: difficulty < 4 ? [] : where,
      };
    case "difference": {
      const [a, b] = draws.some(table.rows, 2);
      return { kind, column, rows: [a![key]!, b![key]!], where: [] };
    }
    default:
      return { kind: kind as "sum" | "mean" | "largest", column, where: kind === "largest" ? [] : where };
  }
}

const places = (
  columns: readonly Column[],
  fits: (column: Column, i: number) => boolean,
): readonly number[] => columns.flatMap((column, i) => (fits(column, i) ? [i] : []));

const repeats = ({ rows }: Table, column: number): boolean =>
  new Set(rows.map((row) => row[column])).size < rows.length && rows.every((row) => row[column] !== "");

const named = (table: Table, column: number): string => table.columns[column]!.name;
const shown = (table: Table, column: number, value: Cell): string => cellText(value, table.columns[column]!);

export function questionOf(query: Query, table: Table): string {
  const key = named(table, table.key);
  const of = query.where.length === 0 ? "" : ` of the rows where ${conditionsText(query.where, table)}`;
  switch (query.kind) {
    case "lookup":
      return `What is the ${named(table, query.column)} of the row whose ${key} is ${query.where[0]!.value}?`;
    case "count":
      return `In how many rows is it true that ${conditionsText(query.where, table)}?`;
    case "sum":
      return `What is the sum of ${named(table, query.column)}${of}?`;
    case "mean":
      return `What is the mean of ${named(table, query.column)}${of}, with two decimals?`;
    case "largest":
      return `What is the largest value of ${named(table, query.column)}?`;
    case "smallest":
      return `What is the smallest value of ${named(table, query.column)}?`;
    case "list":
      return `Which ${key}${of === "" ? " stands in each row" : ` has each${of}`}? List them in the order of the table, with commas between them.`;
    case "rank":
      return `Which ${key} has the ${["", "second ", "third "][query.place - 1]}${query.largest ? "largest" : "smallest"} ${named(table, query.column)}${of}?`;
    case "group":
      return query.column === undefined
        ? `Which ${named(table, query.by)} has the most rows${of === "" ? "" : `${of}`}?`
        : `Which ${named(table, query.by)} has the largest sum of ${named(table, query.column)}${of}?`;
    case "difference":
      return `How much larger is the ${named(table, query.column)} of ${query.rows[0]} than that of ${query.rows[1]}? It may be negative.`;
  }
}

const conditionsText = (where: readonly Condition[], table: Table): string =>
  where
    .map(({ column, is, value }) => {
      const said = { "=": "is", ">": "is more than", "<": "is less than" }[is];
      return `${named(table, column)} ${said} ${shown(table, column, value)}`;
    })
    .join(" and ");

const fits = (row: readonly Cell[], { column, is, value }: Condition): boolean => {
  const cell = row[column]!;
  return is === "=" ? cell === value : is === ">" ? cell > value : cell < value;
};

/** Worked out here; undefined: there is no answer, or more than one. */
export function work(query: Query, table: Table): Answered | undefined {
  const { key } = table;
  const rows = table.rows.filter((row) => query.where.every((condition) => fits(row, condition)));
  const name = (row: readonly Cell[]): string => String(row[key]);
  const kept =
    query.where.length === 0
      ? []
      : [
          `Rows where ${conditionsText(query.where, table)}: ${rows.length === 0 ? "none" : rows.map(name).join(", ")}.`,
        ];
  if (query.kind === "count")
    return { answer: String(rows.length), steps: [...kept, `That is ${rows.length}.`] };
  if (rows.length === 0) return undefined;
  const text = (column: number, value: Cell): string => shown(table, column, value);
  const listed = (column: number): string =>
    rows.map((row) => `${name(row)} ${text(column, row[column]!)}`).join(", ");
  const sum = (of: readonly (readonly Cell[])[], column: number): number =>
    of.reduce((total, row) => total + (row[column] as number), 0);
  switch (query.kind) {
    case "lookup":
      return {
        answer: text(query.column, rows[0]![query.column]!),
        steps: [
          `The row of ${name(rows[0]!)} has ${text(query.column, rows[0]![query.column]!)} under ${named(table, query.column)}.`,
        ],
      };
    case "list":
      return query.where.length === 0 ? undefined : { answer: rows.map(name).join(", "), steps: kept };
    case "sum":
    case "mean": {
      const { column } = query;
      const total = sum(rows, column);
      const added = `${named(table, column)}: ${rows.map((row) => text(column, row[column]!)).join(" + ")} = ${text(column, total)}.`;
      if (query.kind === "sum") return { answer: text(column, total), steps: [...kept, added] };
      const hundredths = table.columns[column]!.type === "decimal" ? total : total * 100;
      // Only means that two digits say exactly.
      if (hundredths % rows.length !== 0) return undefined;
      const mean = cellText(hundredths / rows.length, { type: "decimal" });
      return { answer: mean, steps: [...kept, added, `Divided by ${rows.length} rows: ${mean}.`] };
    }
    case "largest":
    case "smallest": {
      const values = rows.map((row) => row[query.column] as number);
      const best = query.kind === "largest" ? Math.max(...values) : Math.min(...values);
      return {
        answer: text(query.column, best),
        steps: [
          `${named(table, query.column)}: ${listed(query.column)}.`,
          `The ${query.kind} is ${text(query.column, best)}.`,
        ],
      };
    }
    case "rank": {
      const { column, place, largest } = query;
      const sorted = rows.toSorted(
        (a, b) => ((a[column] as number) - (b[column] as number)) * (largest ? -1 : 1),
      );
      const found = sorted[place - 1];
      if (found === undefined || rows.filter((row) => row[column] === found[column]).length > 1)
        return undefined;
      const order = sorted.slice(0, place).map((row) => `${name(row)} (${text(column, row[column]!)})`);
      return {
        answer: name(found),
        steps: [
          ...kept,
          `${named(table, column)}: ${listed(column)}.`,
          `From the ${largest ? "largest" : "smallest"}: ${order.join(", ")}.`,
        ],
      };
    }
    case "group": {
      const { by, column } = query;
      const groups = [...new Set(rows.map((row) => row[by]!))].map((group) => {
        const own = rows.filter((row) => row[by] === group);
        return { group, own, total: column === undefined ? own.length : sum(own, column) };
      });
      const most = Math.max(...groups.map(({ total }) => total));
      const best = groups.filter(({ total }) => total === most);
      if (best.length > 1 || groups.length < 2) return undefined;
      const said = groups.map(({ group, own, total }) =>
        column === undefined
          ? `${group}: ${total} ${total === 1 ? "row" : "rows"} (${own.map(name).join(", ")}).`
          : `${group}: ${own.map((row) => text(column, row[column]!)).join(" + ")} = ${text(column, total)}.`,
      );
      return {
        answer: String(best[0]!.group),
        steps: [...kept, ...said, `The largest is that of ${best[0]!.group}.`],
      };
    }
    case "difference": {
      const { column } = query;
      const [a, b] = query.rows.map((own) => table.rows.find((row) => row[key] === own)!) as [
        readonly Cell[],
        readonly Cell[],
      ];
      const difference = (a[column] as number) - (b[column] as number);
      return {
        answer: text(column, difference),
        steps: [
          `${name(a)} has ${text(column, a[column]!)}, ${name(b)} has ${text(column, b[column]!)}.`,
          `${text(column, a[column]!)} - ${text(column, b[column]!)} = ${text(column, difference)}.`,
        ],
      };
    }
  }
}

/** For DuckDB, over the table `t`, whose column `row` numbers its rows. */
export function sqlOf(query: Query, table: Table): string {
  const column = (i: number): string => quoted(named(table, i));
  const where =
    query.where.length === 0
      ? ""
      : ` where ${query.where.map(({ column: i, is, value }) => `${column(i)} ${is} ${literal(value, table.columns[i]!)}`).join(" and ")}`;
  const key = column(table.key);
  switch (query.kind) {
    case "lookup":
      return `select ${column(query.column)} from t${where}`;
    case "count":
      return `select count(*) from t${where}`;
    case "sum":
      return `select sum(${column(query.column)}) from t${where}`;
    case "mean":
      return `select cast(sum(${column(query.column)}) / count(*) as decimal(18, 2)) from t${where}`;
    case "largest":
      return `select max(${column(query.column)}) from t${where}`;
    case "smallest":
      return `select min(${column(query.column)}) from t${where}`;
    case "list":
      return `select ${key} from t${where} order by row`;
    case "rank":
      return `select ${key} from t${where} order by ${column(query.column)} ${query.largest ? "desc" : "asc"} limit 1 offset ${query.place - 1}`;
    case "group":
      return `select ${column(query.by)} from t${where} group by ${column(query.by)} order by ${query.column === undefined ? "count(*)" : `sum(${column(query.column)})`} desc limit 1`;
    case "difference": {
      const of = (own: Cell): string =>
        `(select ${column(query.column)} from t where ${key} = ${literal(own, table.columns[table.key]!)})`;
      return `select ${of(query.rows[0])} - ${of(query.rows[1])}`;
    }
  }
}

export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

export const literal = (value: Cell, column: Pick<Column, "type">): string =>
  column.type === "text" ? `'${String(value).replaceAll("'", "''")}'` : cellText(value, column);
