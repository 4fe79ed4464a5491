// Tables: what they hold, those that are made, and those of rows of --seeds.
import { isJsonObject } from "@posttrain/data";
import type { Draws } from "../draws.js";
import { people } from "../logic/words.js";
import { drop, keep, type Outcome } from "../outcome.js";

export interface Column {
  readonly name: string;
  /** Decimals have two digits, and are kept in hundredths. */
  readonly type: "text" | "int" | "decimal";
}

export type Cell = string | number;

export interface Table {
  readonly title: string;
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Cell[])[];
  /** A column of text of which no two rows have the same: rows are named by it. */
  readonly key: number;
}

/** As it stands in a table and in an answer. */
export function cellText(value: Cell, { type }: Pick<Column, "type">): string {
  if (type !== "decimal") return String(value);
  const hundredths = Math.abs(value as number);
  return `${(value as number) < 0 ? "-" : ""}${Math.floor(hundredths / 100)}.${String(hundredths % 100).padStart(2, "0")}`;
}

interface Theme {
  readonly title: string;
  readonly key: readonly [name: string, words: readonly string[]];
  readonly groups: readonly (readonly [name: string, words: readonly string[]])[];
  readonly numbers: readonly (readonly [
    name: string,
    type: "int" | "decimal",
    least: number,
    most: number,
  ])[];
}

const cities = [
  "Lima",
  "Oslo",
  "Porto",
  "Quito",
  "Riga",
  "Turin",
  "Ghent",
  "Basel",
  "Dakar",
  "Hanoi",
  "Cusco",
  "Bergen",
  "Leeds",
  "Nantes",
  "Osaka",
  "Perth",
  "Split",
  "Tunis",
] as const;
const goods = [
  "anvil",
  "bucket",
  "candle",
  "drill",
  "easel",
  "funnel",
  "gasket",
  "hammer",
  "inkpot",
  "jacket",
  "kettle",
  "ladder",
  "mirror",
  "needle",
  "oven",
  "pillow",
  "quilt",
  "rope",
] as const;

const themes: readonly Theme[] = [
  {
    title: "Staff",
    key: ["Name", people],
    groups: [
      ["Department", ["Sales", "Research", "Support", "Finance"]],
      ["City", cities.slice(0, 5)],
    ],
    numbers: [
      ["Age", "int", 21, 64],
      ["Salary", "int", 2100, 7900],
      ["Years employed", "int", 0, 30],
    ],
  },
  {
    title: "Stock",
    key: ["Item", goods],
    groups: [
      ["Warehouse", ["North", "South", "East"]],
      ["Supplier", ["Abel", "Borg", "Cruz", "Dahl"]],
    ],
    numbers: [
      ["Quantity", "int", 0, 400],
      ["Price", "decimal", 120, 9999],
      ["Weight in kg", "decimal", 10, 2500],
    ],
  },
  {
    title: "Cities",
    key: ["City", cities],
    groups: [
      ["Region", ["Coast", "Hills", "Plain"]],
      ["Climate", ["dry", "mild", "wet"]],
    ],
    numbers: [
      ["Population", "int", 9000, 980_000],
      ["Area in km2", "decimal", 900, 99_999],
      ["Founded", "int", 900, 1950],
    ],
  },
  {
    title: "Race",
    key: ["Rider", people],
    groups: [
      ["Team", ["Red", "Blue", "Green", "White"]],
      ["Country", ["Chile", "Ghana", "Japan", "Norway", "Spain"]],
    ],
    numbers: [
      ["Points", "int", 0, 120],
      ["Wins", "int", 0, 9],
      ["Kilometres", "decimal", 10_000, 99_999],
    ],
  },
  {
    title: "Library",
    key: [
      "Book",
      [
        "Ashes",
        "Bridges",
        "Comets",
        "Deserts",
        "Embers",
        "Ferns",
        "Glaciers",
        "Harbours",
        "Islands",
        "Journeys",
        "Kites",
        "Lanterns",
        "Meadows",
        "Nomads",
        "Orchards",
        "Pearls",
      ],
    ],
    groups: [
      ["Genre", ["novel", "poems", "history", "science"]],
      ["Language", ["English", "French", "Swahili"]],
    ],
    numbers: [
      ["Pages", "int", 80, 900],
      ["Loans", "int", 0, 150],
      ["Rating", "decimal", 100, 500],
    ],
  },
];

/** Grades: 4 to 12 rows, 3 to 6 columns. */
export function makeTable(draws: Draws, difficulty: number): Table {
  const { title, key, groups, numbers } = draws.pick(themes);
  const rows = draws.int(2 + 2 * difficulty, 3 + 2 * difficulty);
  const some = draws.some(groups, difficulty > 2 ? 2 : 1);
  const amounts = draws.some(numbers, Math.min(numbers.length, difficulty > 3 ? 3 : difficulty > 1 ? 2 : 1));
  const names = draws.some(key[1], Math.min(rows, key[1].length));
  const columns: Column[] = [
    { name: key[0], type: "text" },
    ...some.map(([name]) => ({ name, type: "text" as const })),
    ...amounts.map(([name, type]) => ({ name, type })),
  ];
  const cells = names.map((name) => [
    name,
    ...some.map(([, words]) => draws.pick(words)),
    ...amounts.map(([, , least, most]) => draws.int(least, most)),
  ]);
  const order = [0, ...draws.shuffled(columns.slice(1).map((_, i) => i + 1))];
  return {
    title,
    columns: order.map((i) => columns[i]!),
    rows: cells.map((row) => order.map((i) => row[i]!)),
    key: 0,
  };
}

const mostRows = 40;

/** The table of a row such as WikiTableQuestions' and TabFact's: {"table": {"header", "rows"}}. */
export function tableOfSeed(row: Readonly<Record<string, unknown>>): Outcome<Table> {
  const { table, caption, title } = row;
  if (!isJsonObject(table) || !isTextList(table["header"]) || !isTextLists(table["rows"]))
    return drop("no_table");
  const header = table["header"].map((name) => name.replaceAll(/\s+/g, " ").trim());
  const texts = table["rows"].map((cells) => cells.map((cell) => cell.replaceAll(/\s+/g, " ").trim()));
  if (new Set(header.map((name) => name.toLowerCase())).size !== header.length || header.includes(""))
    return drop("columns_without_own_names");
  if (texts.length < 3 || texts.length > mostRows || texts.some((cells) => cells.length !== header.length))
    return drop("too_short_long_or_ragged");
  if (texts.some((cells) => /^(?:totals?|sum|average|all)$/i.test(cells[0] ?? "")))
    return drop("rows_of_totals");
  const columns = header.map((name, i) => ({ name, type: typeOf(texts.map((cells) => cells[i]!)) }));
  const key = columns.findIndex(
    ({ type }, i) =>
      type === "text" &&
      new Set(texts.map((cells) => cells[i])).size === texts.length &&
      texts.every((cells) => cells[i] !== ""),
  );
  if (key < 0 || !columns.some(({ type }) => type !== "text")) return drop("no_names_or_no_numbers");
  const rows = texts.map((cells) =>
    cells.map((cell, i) => {
      const { type } = columns[i]!;
      return type === "text" ? cell : type === "int" ? Number(cell) : Math.round(Number(cell) * 100);
    }),
  );
  const named = [caption, title].find((one) => typeof one === "string") ?? "Table";
  return keep({ title: named as string, columns, rows, key });
}

function typeOf(cells: readonly string[]): Column["type"] {
  if (cells.every((cell) => /^-?(?:0|[1-9]\d{0,8})$/.test(cell))) return "int";
  return cells.every((cell) => /^-?(?:0|[1-9]\d{0,8})(?:\.\d{1,2})?$/.test(cell)) ? "decimal" : "text";
}

const isTextList = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((one) => typeof one === "string");
const isTextLists = (value: unknown): value is readonly (readonly string[])[] =>
  Array.isArray(value) && value.every(isTextList);
