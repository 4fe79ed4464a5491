// Queries, responses that are there already, and people's labels, from files.
import {
  askedByRow,
  canonicalJson,
  createRecordIds,
  isJsonObject,
  type OnProgress,
  outcomes,
  type RowPlace,
  readRows,
  rowError,
  UserError,
  withDoubles,
} from "@posttrain/data";
import type { Preference } from "@posttrain/rollout";
import { type NamedVerdict, responsesOf } from "@posttrain/verify";
import { came, type Row } from "../eval/item.js";
import type { Query, Response } from "./candidates.js";
import { criterionNames } from "./criteria.js";
import type { Label } from "./label.js";

/** What a row has of responses is no part of its query. */
const answerColumns = new Set([
  "responses",
  "completions",
  "response",
  "completion",
  "verdict",
  "verdicts",
  "origin",
  "origins",
]);

interface ReadRow {
  readonly place: RowPlace;
  readonly row: Row;
}

async function* objects(path: string, onProgress: OnProgress | undefined): AsyncGenerator<ReadRow> {
  for await (const { place, value } of readRows(path, { onProgress })) {
    if (!isJsonObject(value)) throw rowError("bad_row", place, `expected an object, came ${came(value)}.`);
    yield { place, row: value };
  }
}

function queryOf({ place, row }: ReadRow): Omit<Query, "number" | "id"> {
  // Tokens are no text to grade or to compare.
  const asked = askedByRow({ ...row, input_ids: null }, place);
  if ("problem" in asked) throw rowError("bad_row", place, asked.problem);
  if (asked.kind === "tokens") throw new Error("tokens were read where there are none");
  const prompt = asked.kind === "text" ? [{ role: "user" as const, content: asked.text }] : asked.messages;
  const own = Object.entries(row).filter(([name]) => !answerColumns.has(name));
  const { tools, variables } = asked;
  return { place, prompt, tools, variables, row: Object.fromEntries(own) };
}

const keyOf = ({ prompt, tools, variables }: Pick<Query, "prompt" | "tools" | "variables">): string =>
  canonicalJson([prompt, tools ?? null, variables ?? null]);

/** Queries that are asked alike are one; the repeats are counted. */
export async function readQueries(
  path: string,
  onProgress?: OnProgress,
): Promise<{ readonly queries: readonly Query[]; readonly repeated: number }> {
  const recordId = createRecordIds();
  const queries = new Map<string, Query>();
  let rows = 0;
  for await (const read of objects(path, onProgress)) {
    rows++;
    const query = queryOf(read);
    const key = keyOf(query);
    const id = recordId(read.row);
    if (!queries.has(key)) queries.set(key, { ...query, number: queries.size, id });
  }
  return { queries: [...queries.values()], repeated: rows - queries.size };
}

/** Rows of one prompt are one query; their responses come together. */
export async function readResponses(
  paths: readonly string[],
  onProgress?: OnProgress,
): Promise<readonly { readonly query: Query; readonly responses: readonly Response[] }[]> {
  const groups = new Map<string, { readonly query: Query; readonly responses: Response[] }>();
  for (const path of paths) {
    const recordId = createRecordIds();
    for await (const read of objects(path, onProgress)) {
      const { place, row } = read;
      const query = queryOf(read);
      const found = responsesOf(row);
      if ("problem" in found) throw rowError("bad_row", place, found.problem);
      const key = keyOf(query);
      const group = groups.get(key) ?? {
        query: { ...query, number: groups.size, id: recordId(row) },
        responses: [],
      };
      groups.set(key, group);
      const verdicts = Array.isArray(row["verdicts"]) ? row["verdicts"] : [row["verdict"]];
      const origins = Array.isArray(row["origins"]) ? row["origins"] : [];
      for (const [entry, text] of found.texts.entries()) {
        const said = origins[entry] ?? row["origin"];
        group.responses.push({
          text,
          finish: row["finish_reason"] === "length" ? "length" : "stop",
          origin: {
            file: path,
            line: place.line,
            ...(found.several && { entry }),
            ...(isJsonObject(said) && said),
          },
          verdict: verdictOf(verdicts[entry]),
        });
      }
    }
  }
  return [...groups.values()];
}

/** As `posttrain verify` writes it; what could not be graded is graded again. */
function verdictOf(value: unknown): NamedVerdict | undefined {
  if (!isJsonObject(value)) return undefined;
  const { outcome, evidence, verifier = "given" } = value as Partial<NamedVerdict>;
  if (outcome === undefined || !outcomes.includes(outcome) || outcome === "infrastructure-error")
    return undefined;
  return { outcome, evidence: String(evidence ?? ""), verifier };
}

const sides: Readonly<Record<string, Preference>> = {
  first: "first",
  a: "first",
  second: "second",
  b: "second",
  tie: "tie",
};

/** Rows by the comparison that they name: {"id", "preference": "first" | "second" | "tie", "criteria"?, "by"?}; those not labelled yet are passed over. */
export async function readLabels(
  paths: readonly string[],
): Promise<ReadonlyMap<string, readonly (Label & { readonly place: RowPlace })[]>> {
  const labels = new Map<string, (Label & { readonly place: RowPlace })[]>();
  for (const path of paths) {
    for await (const { place, row } of objects(path, undefined)) {
      const { id, preference, criteria = {}, by = path, note = null } = withDoubles(row);
      if (typeof id !== "string")
        throw rowError(
          "bad_label",
          place,
          `id: expected that of a comparison (--to_label writes it), came ${came(id)}.`,
        );
      if (preference == null) continue;
      const label = {
        ...({ source: "human", by: String(by), evidence: note, place } as const),
        preference: sideOf(preference, "preference", place),
        criteria: criteriaOf(criteria, place),
      };
      labels.set(id, [...(labels.get(id) ?? []), label]);
    }
  }
  return labels;
}

function sideOf(value: unknown, column: string, place: RowPlace): Preference {
  const side = typeof value === "string" && Object.hasOwn(sides, value) ? sides[value] : undefined;
  if (side !== undefined) return side;
  throw rowError("bad_label", place, `${column}: expected first, second or tie, came ${came(value)}.`);
}

function criteriaOf(value: unknown, place: RowPlace): Label["criteria"] {
  if (!isJsonObject(value))
    throw rowError("bad_label", place, `criteria: expected an object, came ${came(value)}.`);
  const unknown = Object.keys(value).find((name) => !criterionNames.has(name));
  if (unknown !== undefined)
    throw rowError(
      "bad_label",
      place,
      `criteria.${unknown}: expected one of ${[...criterionNames].join(", ")}.`,
    );
  const said = Object.entries(value).filter(([, side]) => side != null);
  return Object.fromEntries(said.map(([name, side]) => [name, sideOf(side, `criteria.${name}`, place)]));
}

/** UserError for labels of comparisons that are not there. */
export function unknownLabels(unknown: readonly RowPlace[]): UserError {
  const [first] = unknown as [RowPlace];
  const more = unknown.length > 1 ? ` (and ${unknown.length - 1} more)` : "";
  return new UserError(
    "unknown_labels",
    `${first.path}, line ${first.line}${more}: no comparison here has this id. Labels belong to the comparisons that the same queries, responses, seed and pairs_per_query give: put these back, or remove the rows.`,
  );
}
