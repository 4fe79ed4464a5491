/**
 * Rows whose columns and roles have other names, as LLaMA-Factory's `columns:` and `tags:` say them: made into rows of the names that we know. Columns that nobody
 * named stay; one in the way of a name is kept as original_NAME.
 */
import { isJsonObject } from "../lossless-json.js";
import { describe } from "../row-check.js";
import type { Naming } from "./dataset-info.js";
import { type RowPlace, rowError } from "./place.js";

/** Throws UserError `bad_row` naming the column. */
export type RowAdapter = (row: unknown, place: RowPlace) => unknown;

/** Its columns by ours. */
const alpacaColumns = {
  prompt: "instruction",
  query: "input",
  response: "output",
  kto_tag: "label",
} as const;
const sharegptColumns = { messages: "conversations", kto_tag: "label" } as const;
const ourRoles = {
  user_tag: "human",
  assistant_tag: "gpt",
  observation_tag: "observation",
  function_tag: "function_call",
  system_tag: "system",
} as const;

/** Undefined where nothing has another name. */
export function rowAdapter({ formatting, ranking, columns = {}, tags = {} }: Naming): RowAdapter | undefined {
  const isSharegpt = formatting === "sharegpt";
  const isAlpaca =
    formatting === "alpaca" ||
    (!isSharegpt && (columns.query !== undefined || columns.response !== undefined));
  // Alpaca's own names are those of LLaMA-Factory's defaults.
  const given = isAlpaca && Object.keys(columns).length === 0 ? {} : columns;
  const names: Readonly<Record<string, string>> = isSharegpt
    ? sharegptColumns
    : isAlpaca
      ? alpacaColumns
      : { kto_tag: "label" };
  const renamed = new Map<string, string>();
  for (const [ours, theirs] of Object.entries(given)) {
    if (theirs !== undefined) renamed.set(theirs, names[ours] ?? ours);
  }
  const hasTags = Object.keys(tags).length > 0;
  if ([...renamed].every(([theirs, ours]) => theirs === ours) && !hasTags) return undefined;
  // A column of a name that means something here, which nobody named, is a column like any other.
  const meaningful = isSharegpt
    ? ["conversations", "system", "tools"]
    : isAlpaca
      ? ["instruction", "input", "output", "history", "system", "tools"]
      : [];
  const taken = new Set([...renamed.values(), ...(renamed.size > 0 ? meaningful : [])]);
  const turns = turnAdapter(tags);
  const turnColumns = new Set([
    "conversations",
    "messages",
    ...(ranking === true ? ["chosen", "rejected"] : []),
  ]);
  return (row, place) => {
    if (!isJsonObject(row)) return row;
    for (const [theirs, ours] of renamed) {
      if (!Object.hasOwn(row, theirs) && required.has(ours)) {
        throw rowError(
          "bad_row",
          place,
          `it has no column ${theirs}, which columns names for ${ours}; its columns are ${Object.keys(row).join(", ") || "none"}.`,
        );
      }
    }
    return Object.fromEntries(
      Object.entries(row).map(([column, value]) => {
        const name = renamed.get(column) ?? (taken.has(column) ? `original_${column}` : column);
        return [name, hasTags && turnColumns.has(name) ? turns(value, column, place) : value];
      }),
    );
  };
}

/** What no row of its kind does without. */
const required: ReadonlySet<string> = new Set([
  "instruction",
  "conversations",
  "chosen",
  "rejected",
  "prompt",
  "completion",
  "messages",
  "text",
]);

function turnAdapter(tags: NonNullable<Naming["tags"]>) {
  const role = tags.role_tag ?? "from";
  const content = tags.content_tag ?? "value";
  const roles = new Map<unknown, string>();
  for (const [tag, ours] of Object.entries(ourRoles))
    roles.set(tags[tag as keyof typeof ourRoles] ?? ours, ours);
  const turn = (value: unknown, column: string, place: RowPlace): unknown => {
    if (!isJsonObject(value)) return value;
    const said = value[role];
    const ours = roles.get(said);
    if (ours === undefined) {
      throw rowError(
        "bad_row",
        place,
        `${column}: ${role} of a turn: expected one of ${[...roles.keys()].map(String).join(", ")}, as tags names them, came ${describe(said)}.`,
      );
    }
    const { [role]: _, [content]: text, ...rest } = value;
    return { from: ours, value: text, ...rest };
  };
  return (value: unknown, column: string, place: RowPlace): unknown =>
    Array.isArray(value) ? value.map((one) => turn(one, column, place)) : turn(value, column, place);
}
