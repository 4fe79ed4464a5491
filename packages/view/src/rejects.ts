// rejects.jsonl and eval_rejects.jsonl of a run: which rows were left out or cut, and why. Counts are kept, and where each row lies; rows are read when they are asked for.
import { join } from "node:path";
import type { RejectsAnswer } from "./api.js";
import { followLines, type LineAt, readLineAt } from "./lines.js";

const files = ["rejects.jsonl", "eval_rejects.jsonl"] as const;
const page = 50;
/** Different reasons that are told apart; those beyond are counted together. */
const mostReasons = 100;
const others = "other reasons";

export interface Rejects {
  count(): Promise<number>;
  /** A page of one reason's rows from `from` on; of the most frequent reason, where none is named. */
  rows(file: string | undefined, reason: string | undefined, from: number): Promise<RejectsAnswer>;
}

export function followRejects(dir: string): Rejects {
  const books = files.map((file) => {
    const path = join(dir, file);
    const byReason = new Map<string, LineAt[]>();
    const take = followLines(path, {
      restart: () => byReason.clear(),
      line: (text, at) => {
        const said = rowOf(text).reason;
        const reason = byReason.has(said) || byReason.size < mostReasons ? said : others;
        const own = byReason.get(reason);
        if (own === undefined) byReason.set(reason, [at]);
        else own.push(at);
      },
    });
    return { file, path, byReason, take };
  });
  const reasons = async (): Promise<RejectsAnswer["reasons"]> => {
    for (const { take } of books) await take();
    return books
      .flatMap(({ file, byReason }) =>
        [...byReason].map(([reason, { length: count }]) => ({ file, reason, count })),
      )
      .sort((a, b) => b.count - a.count);
  };
  return {
    count: async () => (await reasons()).reduce((sum, { count }) => sum + count, 0),
    rows: async (file, reason, from) => {
      const all = await reasons();
      const chosen = all.find((one) => one.file === file && one.reason === reason) ?? all[0];
      const book = books.find((one) => one.file === chosen?.file);
      const places = book?.byReason.get(chosen?.reason ?? "") ?? [];
      const rows: RejectsAnswer["rows"][number][] = [];
      for (const at of places.slice(from, from + page)) {
        rows.push(rowOf(await readLineAt(book?.path ?? "", at)));
      }
      return { reasons: all, rows, from, total: places.length };
    },
  };
}

/** Whatever a line holds: what is not there is told as such. */
function rowOf(text: string): RejectsAnswer["rows"][number] & { readonly reason: string } {
  let value: Readonly<Record<string, unknown>> = {};
  try {
    value = (JSON.parse(text) ?? {}) as typeof value;
  } catch {
    return {
      line: 0,
      id: null,
      tokens: null,
      reason: "a line of this file that is no JSON",
      remedy: text.slice(0, 500),
    };
  }
  const { line, id, tokens, reason, remedy } = value;
  return {
    line: typeof line === "number" ? line : 0,
    id: typeof id === "string" ? id : null,
    tokens: typeof tokens === "number" ? tokens : null,
    reason: typeof reason === "string" ? reason : "no reason given",
    remedy: typeof remedy === "string" ? remedy : "",
  };
}
