// Responses from files, whoever wrote them, gathered by what they answer: rows of `posttrain generate` and `verify`, of evalplus, of
// lm-evaluation-harness, or any that hold a response beside its question.
import { createHash } from "node:crypto";
import {
  createRecordIds,
  dataDigest,
  isJsonObject,
  type OnProgress,
  type Outcome,
  outcomes,
  placeText,
  readRows,
  stringifyJson,
  UserError,
} from "@posttrain/data";
import {
  type NamedVerdict,
  type Row,
  responsesOf,
  type UnfitRow,
  type Verifiers,
  wholeRow,
} from "@posttrain/verify";
import { asksSomething, type Prompt, promptOf, type Query, withoutResponses, wrongRow } from "./queries.js";

/** Where a response comes from: a model and its settings, or a place in a file. Plain JSON. */
export type Origin = Readonly<Record<string, unknown>>;

export interface Response {
  /** Of its own among those of its query. */
  readonly id: string;
  readonly text: string;
  /** What the model thought, where its server hands that out apart. */
  readonly reasoning?: string | undefined;
  /** `length`: it never ended. */
  readonly finish: "stop" | "length";
  readonly origin: Origin;
  /** Ids of the rows that it comes from. */
  readonly parents: readonly string[];
  /** Given with it. */
  readonly verdict?: NamedVerdict | undefined;
}

export interface ResponseFile {
  readonly queries: readonly Query[];
  /** By the number of their query. */
  readonly responses: ReadonlyMap<number, readonly Response[]>;
  readonly rows: number;
  /** Rows that ask nothing, hold no response, or name a query that is not there. */
  readonly unfit: readonly UnfitRow[];
}

export interface ResponseOptions {
  readonly raw: boolean;
  /** Tells apart questions that are asked alike and graded otherwise. */
  readonly verifiers: Verifiers;
  /** Rows that responses name, for what they leave out. */
  readonly data?: string | undefined;
  /** Take verdicts that are there as given. */
  readonly keepVerdicts: boolean;
  readonly onProgress?: OnProgress | undefined;
}

/** UserError for files that cannot be read, rows that are no objects, and rows that hold a broken conversation. */
export async function readResponses(
  paths: readonly string[],
  options: ResponseOptions,
): Promise<ResponseFile> {
  const { raw, verifiers, keepVerdicts, onProgress } = options;
  const known = options.data === undefined ? undefined : await readKnown(options.data);
  const groups = new Map<string, { readonly query: Query; readonly responses: Response[] }>();
  const unfit: UnfitRow[] = [];
  let rows = 0;
  for (const path of paths) {
    const recordId = createRecordIds();
    const file = { file: path, file_sha256: await dataDigest(path) };
    for await (const { line, place, value } of readRows(path, { onProgress })) {
      rows++;
      if (!isJsonObject(value)) throw wrongRow(place, value);
      const read = readRow(value, known);
      const asked = "problem" in read ? read : promptOf(read.row, place, raw);
      if ("problem" in read || "problem" in asked) {
        unfit.push({
          line,
          problem: "problem" in read ? read.problem : (asked as { problem: string }).problem,
        });
        continue;
      }
      const row = withoutResponses(read.row);
      const { prompt, tools, variables } = asked;
      const key = questionKey(prompt, tools, row, verifiers);
      let group = groups.get(key);
      if (group === undefined) {
        const parents = read.parent === undefined ? [] : [read.parent];
        const query = { number: groups.size, line, parents, prompt, tools, variables, row };
        group = { query, responses: [] };
        groups.set(key, group);
      }
      const id = recordId(value);
      const verdicts = keepVerdicts ? givenVerdicts(value, read.texts.length) : [];
      for (const [i, text] of read.texts.entries()) {
        group.responses.push({
          id: `${id}.${i}`,
          text,
          reasoning: read.several ? undefined : reasoningOf(value),
          finish: value["finish_reason"] === "length" ? "length" : "stop",
          origin: { ...file, line, ...(read.several && { entry: i }), ...saidOrigin(value) },
          parents: [id],
          verdict: verdicts[i],
        });
      }
    }
  }
  const all = [...groups.values()];
  return {
    queries: all.map(({ query }) => query),
    responses: new Map(all.map(({ query, responses }) => [query.number, responses])),
    rows,
    unfit,
  };
}

interface ReadRow {
  readonly row: Row;
  readonly texts: readonly string[];
  readonly several: boolean;
  /** Id of the row of its query, where it names one. */
  readonly parent?: string;
}

function readRow(value: Row, known: KnownRows | undefined): ReadRow | { readonly problem: string } {
  const own = wholeRow(isSample(value) ? { ...value, response: value["text"] } : value) as Row;
  const found = known?.find(own);
  if (known !== undefined && found === undefined && !asksSomething(own)) {
    return { problem: `it names no row of ${known.path}: ${known.expected}.` };
  }
  const row = found === undefined ? own : { ...withoutResponses(found.row), ...own };
  const responses = responsesOf(row);
  if ("problem" in responses) return responses;
  const { texts, several } = responses;
  return { row, texts, several, ...(found !== undefined && { parent: found.id }) };
}

const reasoningOf = ({ reasoning_content: said }: Row): string | undefined =>
  typeof said === "string" && said !== "" ? said : undefined;

/** A row of `posttrain generate`: its `id` is that of the row which was asked. */
const isSample = (row: Row): boolean =>
  typeof row["text"] === "string" && typeof row["sample"] === "number" && "finish_reason" in row;

interface KnownRow {
  readonly id: string;
  readonly row: Row;
}

interface KnownRows {
  readonly path: string;
  readonly expected: string;
  find(row: Row): KnownRow | undefined;
}

const nameColumns = ["task_id", "id", "question_id", "key", "name"] as const;

/** Rows by their record id, as generate names them, else by the name that they give themselves. */
async function readKnown(path: string): Promise<KnownRows> {
  const recordId = createRecordIds();
  const byId = new Map<string, KnownRow>();
  const byName = new Map<string, KnownRow>();
  let column: string | undefined;
  const nameOf = (row: Row): string | undefined =>
    column === undefined || row[column] == null ? undefined : stringifyJson(row[column]);
  for await (const { place, value } of readRows(path)) {
    if (!isJsonObject(value)) throw wrongRow(place, value);
    const entry = { id: recordId(value), row: value };
    byId.set(entry.id, entry);
    column ??= nameColumns.find((name) => value[name] != null);
    const name = nameOf(value);
    if (name === undefined) continue;
    if (byName.has(name)) {
      throw new UserError("bad_query", `${placeText(place)}: ${column} ${name} is there twice. Remove one.`);
    }
    byName.set(name, entry);
  }
  return {
    path,
    expected: `expected ${column === undefined ? "" : `${column} as there, or `}id as posttrain generate writes it`,
    find: (row) => byId.get(String(row["id"])) ?? byName.get(nameOf(row) ?? ""),
  };
}

/** What is asked, and what decides its verdicts. */
function questionKey(
  prompt: Prompt,
  tools: readonly unknown[] | undefined,
  row: Row,
  verifiers: Verifiers,
): string {
  const { name, needs } = verifiers.verifierOf({ ...row, response: "x" }) ?? {};
  return createHash("sha256")
    .update(stringifyJson([prompt, tools ?? null, name ?? null, needs ?? null]))
    .digest("hex");
}

/** What a row says of the model that gave its response. */
function saidOrigin(row: Row): Origin {
  const { origin } = row;
  const columns = ["model", "server", "weights", "temperature", "seed", "sample", "finish_reason"] as const;
  return {
    ...Object.fromEntries(columns.filter((name) => row[name] != null).map((name) => [name, row[name]])),
    ...(isJsonObject(origin) && origin),
  };
}

/** Verdicts as `posttrain verify` writes them; what could not be graded is tried again. */
function givenVerdicts(row: Row, responses: number): readonly (NamedVerdict | undefined)[] {
  const { verdict, verdicts } = row;
  const given = Array.isArray(verdicts) ? verdicts : [verdict];
  return given.length === responses ? given.map(readVerdict) : [];
}

function readVerdict(value: unknown): NamedVerdict | undefined {
  if (!isJsonObject(value)) return undefined;
  const { outcome, evidence, details, verifier } = value;
  if (!outcomes.includes(outcome as Outcome) || outcome === "infrastructure-error") return undefined;
  if (typeof evidence !== "string" || typeof verifier !== "string") return undefined;
  return { outcome: outcome as Outcome, evidence, ...(isJsonObject(details) && { details }), verifier };
}
