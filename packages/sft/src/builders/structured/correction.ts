// A table with one wrong number that the others give away, and the query that finds it.
import type { Draws } from "../draws.js";
import { people } from "../logic/words.js";
import { type Cell, type Column, cellText, type Table } from "./table.js";

export interface Correction {
  /** With the wrong number. */
  readonly table: Table;
  readonly rule: string;
  /** The row that is wrong and what it should have, as `name: value`. */
  readonly answer: string;
  readonly steps: readonly string[];
  readonly sql: string;
}

const kinds = [
  { title: "Invoice", key: "Item", a: "Quantity", b: "Price", c: "Total", unit: "decimal" },
  { title: "Work", key: "Name", a: "Hours", b: "Rate", c: "Pay", unit: "int" },
  { title: "Fields", key: "Farmer", a: "Length", b: "Width", c: "Area", unit: "int" },
] as const;
const items = [
  "bolts",
  "cables",
  "dowels",
  "fuses",
  "hinges",
  "lamps",
  "nails",
  "pipes",
  "screws",
  "tiles",
  "valves",
  "wires",
] as const;

/** One column is the product of two others, but in one row. Grades: 3 to 11 rows; the wrong value ever closer to the right one. */
export function makeCorrection(draws: Draws, difficulty: number): Correction {
  const { title, key, a, b, c, unit } = draws.pick(kinds);
  const count = 2 * difficulty + draws.int(1, 2);
  const names = draws.some<string>(key === "Item" ? items : people, Math.min(count, items.length));
  const columns: readonly Column[] = [
    { name: key, type: "text" },
    { name: a, type: "int" },
    { name: b, type: unit },
    { name: c, type: unit },
  ];
  const right = names.map((name): readonly [string, number, number, number] => {
    const [one, other] = [draws.int(2, 20 * difficulty), draws.int(2, unit === "decimal" ? 5000 : 60)];
    return [name, one, other, one * other];
  });
  const wrong = draws.int(0, right.length - 1);
  const [name, one, other, product] = right[wrong]!;
  const off =
    difficulty < 3 ? product + one * draws.int(1, 9) : product + draws.pick([-1, 1]) * draws.pick([1, 10, 9]);
  const text = (value: Cell): string => cellText(value, { type: unit });
  return {
    table: {
      title,
      columns,
      key: 0,
      rows: right.map((row, i) => (i === wrong ? [name, one, other, off] : row)),
    },
    rule: `${c} is ${a} times ${b}. One row has a wrong ${c}.`,
    answer: `${name}: ${text(product)}`,
    steps: right.map(([own, x, y, z], i) => {
      const has = i === wrong ? off : z;
      return `${own}: ${x} * ${text(y)} = ${text(z)}, the table has ${text(has)}${i === wrong ? ": wrong" : ""}.`;
    }),
    sql: `select "${key}", cast("${a}" * "${b}" as ${unit === "int" ? "bigint" : "decimal(18, 2)"}) from t where "${a}" * "${b}" <> "${c}"`,
  };
}
