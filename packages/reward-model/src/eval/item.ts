// What all evaluations have in common: a prompt, its candidates, and which of two is better.
import {
  asDouble,
  askedByColumn,
  askedByRow,
  type ChatMessage,
  messagesOf,
  type Rendering,
  type RowPlace,
  rowError,
  type SftRow,
} from "@posttrain/data";

export interface Candidate {
  /** Prompt and answer, as fine-tuning reads them. */
  readonly row: SftRow;
  /** Characters of the answer (of tokenised rows: tokens). */
  readonly length: number;
}

/** Places of two candidates: the first is the better one. */
export type Pair = readonly [better: number, worse: number];

export interface EvalItem {
  readonly place: RowPlace;
  readonly candidates: readonly Candidate[];
  readonly pairs: readonly Pair[];
  /** What the report is broken down by: `subset`, `source`, ... */
  readonly groups: Readonly<Record<string, string>>;
  /** Pairs by criterion, where the row has such labels. */
  readonly criteria: Readonly<Record<string, readonly Pair[]>>;
  /** Of each candidate what a verifier says it is worth, from 0 to 1; null: it could not be graded. */
  readonly values: readonly (number | null)[] | undefined;
  /** The row's own scores of its candidates. */
  readonly given: readonly (number | null)[] | undefined;
  /** Pairs that the row lists and that say nothing: a tie. */
  readonly ties: number;
}

/** An item and the scores of its candidates, all of them numbers. */
export interface ScoredItem {
  readonly item: EvalItem;
  readonly scores: readonly number[];
}

export type Row = Readonly<Record<string, unknown>>;

/** An item with what its format leaves open. */
export function newItem(
  place: RowPlace,
  parts: Pick<EvalItem, "candidates" | "pairs"> & Partial<EvalItem>,
): EvalItem {
  return { place, groups: {}, criteria: {}, values: undefined, given: undefined, ties: 0, ...parts };
}

/** What is asked, with what the chat template is given beside it. */
export interface Prompt extends Rendering {
  readonly messages: readonly ChatMessage[];
}

/** An answer to a conversation. */
export function answerTo({ messages, ...rendering }: Prompt, answer: string): Candidate {
  return {
    row: {
      format: "messages",
      kind: "messages",
      messages: [...messages, { role: "assistant", content: answer }],
      untrained: new Set(),
      nameOf: (turn) => `turn ${turn + 1}`,
      ...rendering,
    },
    length: [...answer].length,
  };
}

/** The first with each of the others. */
export const firstAgainst = (others: number): readonly Pair[] =>
  Array.from({ length: others }, (_, i) => [0, i + 1] as const);

/** What a row asks, in `column` where its benchmark has one. UserError `bad_row` where it asks nothing. */
export function promptOf(row: Row, place: RowPlace, column?: string): Prompt {
  const asked = column === undefined ? askedByRow(row, place) : askedByColumn(row, column, place);
  if ("problem" in asked) throw rowError("bad_row", place, asked.problem);
  if (asked.kind === "tokens")
    throw rowError("bad_row", place, "expected prompt or messages, came input_ids.");
  const { tools, variables } = asked;
  return { messages: messagesOf(asked), tools, variables };
}

export function textOf(row: Row, column: string, place: RowPlace): string {
  const value = row[column];
  if (typeof value === "string") return value;
  throw rowError("bad_row", place, `${column}: expected text, came ${came(value)}.`);
}

export function textsOf(row: Row, column: string, place: RowPlace): readonly string[] {
  const value = row[column];
  if (Array.isArray(value) && value.every((text) => typeof text === "string")) return value;
  throw rowError("bad_row", place, `${column}: expected a list of texts, came ${came(value)}.`);
}

export function objectOf(row: Row, column: string, place: RowPlace): Row {
  const value = row[column];
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Row;
  throw rowError("bad_row", place, `${column}: expected an object, came ${came(value)}.`);
}

export function came(value: unknown): string {
  return value === undefined ? "nothing" : (JSON.stringify(value) ?? "nothing").slice(0, 60);
}

/**
 * Scores that a row brings for `count` candidates, in their order: `reward_scores` or `reward_score`, as `posttrain reward score` writes them (or `scores`), or by side as reward-bench writes them (`score_chosen`
 * and `score_rejected`, `scores_chosen` and `scores_rejected`, numbers or lists). UserError `bad_row` where they are no such numbers.
 */
export function givenScores(
  row: Row,
  count: number,
  place: RowPlace,
  columns: readonly string[] = ["reward_scores", "reward_score", "scores"],
): EvalItem["given"] {
  const column = columns.find((name) => row[name] != null);
  const sides = ["score", "scores"].find((name) => row[`${name}_chosen`] != null);
  if (column === undefined && sides === undefined) return undefined;
  const name = column ?? `${sides}_chosen and ${sides}_rejected`;
  const found = column === undefined ? [row[`${sides}_chosen`], row[`${sides}_rejected`]] : [row[column]];
  const scores = found
    .flat()
    .map((score) => (Array.isArray(score) && score.length === 1 ? score[0] : score))
    .map(asDouble);
  const good = scores.every(
    (score) => score === null || (typeof score === "number" && Number.isFinite(score)),
  );
  if (good && scores.length === count) return scores as (number | null)[];
  throw rowError(
    "bad_row",
    place,
    `${name}: expected ${count} scores, one finite number (or null) for each response, came ${came(found.length === 1 ? found[0] : found)}.`,
  );
}
