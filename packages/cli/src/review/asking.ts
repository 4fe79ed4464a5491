// Asking a person about pairs: one at a time, both sides under letters that say nothing, every verdict saved before the next is asked for.
import type { LetterVerdict, ReviewRow } from "@posttrain/dpo";
import { count } from "../format.js";

type Action = LetterVerdict | "skip" | "back" | "quit";

const actions: Readonly<Record<string, Action>> = {
  ...{ a: "a", "1": "a", b: "b", "2": "b", t: "tie", tie: "tie", "=": "tie" },
  ...{
    s: "skip",
    skip: "skip",
    u: "back",
    back: "back",
    q: "quit",
    quit: "quit",
    "\x03": "quit",
    "\x04": "quit",
  },
};

const keysText = "a or b is better, t tie, s skip, u back, q quit";

export interface Asking {
  /** A key, or a line of text where there is no terminal. Ends: nobody answers any more. */
  readonly keys: AsyncIterable<string>;
  readonly show: (text: string) => void;
  readonly save: (rows: readonly ReviewRow[]) => Promise<void>;
}

export interface Asked {
  readonly rows: readonly ReviewRow[];
  /** `quit`: before all were shown. */
  readonly end: "done" | "quit";
}

/** Asks about the rows that nobody has judged. */
export async function askReviews(given: readonly ReviewRow[], { keys, show, save }: Asking): Promise<Asked> {
  const rows = [...given];
  const open = rows.flatMap(({ verdict }, place) => (verdict === null ? [place] : []));
  let at = 0;
  const shown = (): void => {
    const row = rows[open[at]!]!;
    const judged = rows.filter(({ verdict }) => verdict !== null).length;
    const before = row.verdict === null ? "" : ` (now: ${row.verdict})`;
    show(
      `${reviewText(row)}\n\n${count(at + 1)} of ${count(open.length)}, ${count(judged)} of ${count(rows.length)} judged${before}: ${keysText}`,
    );
  };
  if (open.length === 0) return { rows, end: "done" };
  shown();
  for await (const key of keys) {
    const action = actions[key.trim().toLowerCase() || key];
    if (action === undefined) {
      show(`${JSON.stringify(key)} is no answer: ${keysText}`);
      continue;
    }
    if (action === "quit") return { rows, end: "quit" };
    if (action === "back") {
      if (at === 0) {
        show("This is the first.");
        continue;
      }
      at--;
    } else {
      if (action !== "skip") {
        const place = open[at]!;
        rows[place] = { ...rows[place]!, verdict: action };
        await save(rows);
      }
      at++;
      if (at === open.length) return { rows, end: "done" };
    }
    shown();
  }
  return { rows, end: "quit" };
}

function reviewText({ prompt, a, b }: ReviewRow): string {
  const parts = [["A", a] as const, ["B", b] as const].map(
    ([letter, side]) => `===== ${letter}\n${textOf(side)}`,
  );
  return [...(prompt === undefined ? [] : [`\n===== asked\n${textOf(prompt)}`]), ...parts].join("\n\n");
}

/** Text, or the turns of a conversation; one turn of an assistant is its text. */
function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return JSON.stringify(value);
  const turns = value as readonly Readonly<Record<string, unknown>>[];
  const said = ({ role, content, ...rest }: Readonly<Record<string, unknown>>): string =>
    [typeof content === "string" ? content : "", Object.keys(rest).length > 0 ? JSON.stringify(rest) : ""]
      .filter(Boolean)
      .join("\n");
  const [only] = turns;
  if (turns.length === 1 && only !== undefined) return said(only);
  return turns.map((turn) => `[${String(turn["role"])}]\n${said(turn)}`).join("\n\n");
}
