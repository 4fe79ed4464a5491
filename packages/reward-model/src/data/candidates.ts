// What is compared: a query's responses, and which two of them.
import { createHash } from "node:crypto";
import { type ChatMessage, type RowPlace, uniform } from "@posttrain/data";
import type { NamedVerdict } from "@posttrain/verify";
import type { Row } from "../eval/item.js";

/** Where a response comes from: a checkpoint and its settings, or a place in a file. Plain JSON. */
export type Origin = Readonly<Record<string, unknown>>;

export interface Query {
  /** Among all queries, from 0: decides draws. */
  readonly number: number;
  readonly place: RowPlace;
  /** SHA-256 of its row. */
  readonly id: string;
  readonly prompt: readonly ChatMessage[];
  readonly tools?: readonly unknown[] | undefined;
  /** `chat_template_kwargs` */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
  /** The row, with what a verifier grades by. */
  readonly row: Row;
}

export interface Response {
  readonly text: string;
  /** What the model thought, where its server hands that out apart. */
  readonly reasoning?: string | undefined;
  readonly finish: "stop" | "length";
  readonly origin: Origin;
  /** Given with it. */
  readonly verdict?: NamedVerdict | undefined;
}

export interface Comparison {
  /** SHA-256 of the query and both texts, in their order: what people's labels name. */
  readonly id: string;
  readonly query: Query;
  readonly first: Response;
  readonly second: Response;
}

/** The first of those that say the same; white space around counts for nothing. */
function distinct<R extends Response>(responses: readonly R[]): readonly R[] {
  const seen = new Map<string, R>();
  for (const response of responses) {
    const text = response.text.trim();
    if (text !== "" && !seen.has(text)) seen.set(text, response);
  }
  return [...seen.values()];
}

/** Whether the verifier prefers one: one passed and the other did not. */
export function verified({
  first,
  second,
}: Pick<Comparison, "first" | "second">): "first" | "second" | undefined {
  const passes = ({ verdict }: Response): boolean | undefined =>
    verdict === undefined || verdict.outcome === "infrastructure-error"
      ? undefined
      : verdict.outcome === "pass";
  const [a, b] = [passes(first), passes(second)];
  if (a === undefined || b === undefined || a === b) return undefined;
  return a ? "first" : "second";
}

/**
 * At most `most` comparisons of a query's responses: those that a verifier decides first, then those of the least used responses, then by a draw that depends on
 * the texts alone. Which of the two is called the first is drawn too.
 */
export function comparisonsOf(
  query: Query,
  responses: readonly Response[],
  most: number,
  seed: number,
): readonly Comparison[] {
  const own = distinct(responses);
  const all = own.flatMap((a, i) =>
    own.slice(i + 1).map((b) => {
      const digest = createHash("sha256")
        .update(JSON.stringify([a.text, b.text].sort()))
        .digest();
      const counter = [query.number, digest.readUInt32BE(0), digest.readUInt32BE(4)] as const;
      const [low, high] = a.text < b.text ? [a, b] : [b, a];
      const swapped = uniform(seed, "dataBuilding", [...counter, 1]) < 0.5;
      const [first, second] = swapped ? [high, low] : [low, high];
      const draw = uniform(seed, "dataBuilding", [...counter, 0]);
      return { first, second, draw, decided: verified({ first, second }) !== undefined };
    }),
  );
  const uses = new Map<Response, number>();
  const usesOf = ({ first, second }: (typeof all)[number]): number =>
    (uses.get(first) ?? 0) + (uses.get(second) ?? 0);
  const chosen: (typeof all)[number][] = [];
  const open = new Set(all);
  while (chosen.length < most && open.size > 0) {
    const [best] = [...open].sort(
      (a, b) => Number(b.decided) - Number(a.decided) || usesOf(a) - usesOf(b) || a.draw - b.draw,
    ) as [(typeof all)[number]];
    open.delete(best);
    chosen.push(best);
    for (const side of [best.first, best.second]) uses.set(side, (uses.get(side) ?? 0) + 1);
  }
  return chosen.map(({ first, second }) => ({
    id: comparisonId(query, first, second),
    query,
    first,
    second,
  }));
}

function comparisonId(
  query: Pick<Query, "prompt">,
  first: Pick<Response, "text">,
  second: Pick<Response, "text">,
): string {
  return createHash("sha256")
    .update(JSON.stringify([query.prompt, first.text, second.text]))
    .digest("hex");
}
