// What rows of --seeds hold, as the builders that begin with questions or texts see it.
import { askedByRow, isJsonObject, UserError } from "@posttrain/data";
import type { Seed } from "./area.js";
import { drop, keep, type Outcome } from "./outcome.js";

/** What the row asks: of a conversation its first user turn. */
export function queryOf({ row, place }: Seed): Outcome<string> {
  const turns = row["messages"] ?? row["conversations"] ?? row["prompt"];
  if (Array.isArray(turns)) {
    const first = turns.find((turn) => isJsonObject(turn) && users.has(turn["role"] ?? turn["from"]));
    const text = first?.content ?? first?.value;
    return typeof text === "string" && text.trim() !== "" ? keep(text.trim()) : drop("asks_nothing", place);
  }
  try {
    const asked = askedByRow(row, place);
    if ("problem" in asked) return drop("asks_nothing", { ...place, why: asked.problem });
    return asked.kind === "text" ? keep(asked.text.trim()) : drop("no_single_question", place);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return drop("broken_row", { ...place, why: error.message });
  }
}

const users: ReadonlySet<unknown> = new Set(["user", "human"]);

/** The first of these columns that is text. */
export function textOf(
  row: Readonly<Record<string, unknown>>,
  columns: readonly string[],
): string | undefined {
  return columns
    .map((name) => row[name])
    .find((value): value is string => typeof value === "string" && value.trim() !== "");
}
