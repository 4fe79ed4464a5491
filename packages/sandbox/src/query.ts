/** SQLite queries: the candidate's and the reference's run in processes of their own, the rows are compared here. */
import type { Verdict } from "@posttrain/data";
import { responseOf, stopped } from "./asserts.js";
import { crash, ended, fail, infrastructure, pass } from "./code-verdict.js";
import { plainEqual, plainKey, plainText } from "./compare.js";
import type { Interpreter } from "./interpreter.js";
import type { Limits } from "./limits.js";
import { decodePlain, type Plain, plainOfJson } from "./plain.js";
import type { QueryTask } from "./task.js";

type Rows = Extract<Plain, { readonly items: readonly Plain[] }>;

export async function gradeQuery(
  task: QueryTask,
  query: string,
  open: () => Promise<Interpreter>,
  limits: Limits,
): Promise<Verdict> {
  let expected: Plain;
  if (task.rows) expected = plainOfJson(task.rows);
  else if (task.reference !== undefined) {
    const reference = await rowsOf(await open(), task.setup, task.reference, limits);
    if (!("rows" in reference))
      return infrastructure(`the reference query does not run: ${reference.verdict.evidence}`);
    expected = reference.rows;
  } else return infrastructure("the task has neither rows nor a reference query", { fault: "row" });

  const result = await rowsOf(await open(), task.setup, query, limits);
  if (!("rows" in result)) return result.verdict;
  const wanted = expected as Rows;
  const details = { sealed: true, rows: result.rows.items.length };
  const tolerance = { relative: 1e-9, floatsOnly: true };
  const [a, b] = task.ordered ? [result.rows, wanted] : [sorted(result.rows), sorted(wanted)];
  if (plainEqual(a, b, tolerance)) return pass(`The same ${wanted.items.length} rows.`, details);
  return fail(`Expected rows ${plainText(wanted)}, got ${plainText(result.rows)}.`, details);
}

/** As a multiset: both sides in one order of their texts. */
function sorted(rows: Rows): Rows {
  const keyed = rows.items.map((row) => [rowKey(row), row] as const);
  keyed.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return { kind: "list", items: keyed.map(([, row]) => row) };
}

function rowKey(row: Plain): string {
  const cells = typeof row === "object" && row !== null && "items" in row ? row.items : [row];
  return JSON.stringify(cells.map((cell) => plainKey(cell)));
}

async function rowsOf(
  interpreter: Interpreter,
  setup: string,
  query: string,
  limits: Limits,
): Promise<{ readonly rows: Rows } | { readonly verdict: Verdict }> {
  if ((await interpreter.receive()) !== "ready")
    return { verdict: ended(await stopped(interpreter), limits, "before its query") };
  interpreter.send(JSON.stringify({ setup, query }));
  const line = await interpreter.receive();
  if (!line?.startsWith("=")) return { verdict: ended(await stopped(interpreter), limits, "in its query") };
  const response = responseOf(line);
  if (typeof response["setupError"] === "string") {
    return { verdict: infrastructure(`the tables cannot be made: ${response["setupError"]}`) };
  }
  if (typeof response["error"] === "string") return { verdict: crash(`SQLite: ${response["error"]}`) };
  return { rows: decodePlain(response["rows"]) as Rows };
}
