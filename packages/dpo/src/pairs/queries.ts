// Queries: what a model is asked, and the row that its responses are graded with.
import {
  askedByRow,
  type ChatMessage,
  createRecordIds,
  isJsonObject,
  type OnProgress,
  placeText,
  promptColumns,
  type RowPlace,
  readRows,
  stringifyJson,
  UserError,
} from "@posttrain/data";
import { openPrompt } from "@posttrain/rollout";
import { type Row, responseColumns } from "@posttrain/verify";

/** A conversation that waits for an answer; text with `raw`, which a response continues. */
export type Prompt = string | readonly ChatMessage[];

export interface Query {
  /** Its place among the queries: the counter of every draw about it. */
  readonly number: number;
  /** Where it stands, or where the first of its responses does. */
  readonly line: number;
  /** Ids of the rows that it comes from. */
  readonly parents: readonly string[];
  readonly prompt: Prompt;
  readonly tools: readonly unknown[] | undefined;
  /** `chat_template_kwargs` */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
  /** Without responses. */
  readonly row: Row;
}

export interface QueryFile {
  /** In the order of the file, each once. */
  readonly queries: readonly Query[];
  /** Rows that ask what one before them asks, with the same columns. */
  readonly repeated: number;
}

/** UserError naming file, line and field. */
export async function readQueries(
  path: string,
  raw: boolean,
  progress: OnProgress | undefined,
): Promise<QueryFile> {
  const recordId = createRecordIds();
  const queries: Query[] = [];
  let repeated = 0;
  for await (const { line, place, value } of readRows(path, { onProgress: progress })) {
    if (!isJsonObject(value)) throw wrongRow(place, value);
    const id = recordId(value);
    // The second of equal rows has an occurrence number.
    if (id.includes("#")) {
      repeated++;
      continue;
    }
    const row = withoutResponses(value);
    const asked = promptOf(row, place, raw);
    if ("problem" in asked) throw new UserError("bad_query", `${placeText(place)}: ${asked.problem}`);
    queries.push({ number: queries.length, line, parents: [id], ...asked, row });
  }
  return { queries, repeated };
}

export const wrongRow = (place: RowPlace, value: unknown): UserError =>
  new UserError(
    "bad_row",
    `${placeText(place)}: expected a JSON object, came ${stringifyJson(value).slice(0, 60)}.`,
  );

/** `solution` stays: beside a response it is the reference. */
export function withoutResponses(row: Row): Row {
  const leftOut: readonly string[] = responseColumns.filter((name) => name !== "solution");
  return Object.fromEntries(
    Object.entries(row).filter(([name]) => !leftOut.includes(name) && !isVerdictColumn(name)),
  );
}

const isVerdictColumn = (name: string): boolean => name === "verdict" || name === "verdicts";

export const asksSomething = (row: Row): boolean => promptColumns.some((name) => row[name] != null);

/** UserError `bad_row` for messages that are none. */
export function promptOf(
  row: Row,
  place: RowPlace,
  raw: boolean,
): Pick<Query, "prompt" | "tools" | "variables"> | { readonly problem: string } {
  // Tokens are no text to grade or to pair.
  const asked = askedByRow({ ...row, input_ids: null }, place);
  if ("problem" in asked) return asked;
  if (asked.kind === "tokens") throw new Error("tokens were read where there are none");
  if (raw && asked.kind === "messages")
    return { problem: `${asked.column}: with raw a prompt is text, came a list of messages.` };
  const { prompt, tools, variables } = openPrompt(asked, raw);
  return { prompt, tools, variables };
}
