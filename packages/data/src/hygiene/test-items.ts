/** The texts of a benchmark's row that no training row may hold: what is asked, and the answers and tests beside it, each an item of its own. */
import { detectFormat } from "../data-format.js";
import { isJsonObject } from "../lossless-json.js";
import { type RowPlace, rowError } from "../reading/place.js";
import { textsOf } from "./row-texts.js";

export interface TestItem {
  /** `question`, or the column. */
  readonly part: string;
  readonly text: string;
  /** It is what the row asks, or may be. */
  readonly isAsked: boolean;
}

/** Columns of references, as benchmarks and `evaluate`'s tasks call them. */
const references = [
  "answer",
  "solution",
  "canonical_solution",
  "code",
  "output",
  "target",
  "test",
  "response",
];

/**
 * A row of a form that is known asks by that form; of any other, each column of text is an item. Throws UserError `bad_question` for rows without text, and what reading
 * a row of its form throws.
 */
export function testItemsOf(value: unknown, place: RowPlace): readonly TestItem[] {
  if (!isJsonObject(value)) throw rowError("bad_question", place, "expected an object with a question.");
  const columns = Object.entries(value).filter(
    (entry): entry is [string, string] => typeof entry[1] === "string",
  );
  if (detectFormat(value) === undefined) {
    const items = columns.map(([part, text]) => ({ part, text, isAsked: true }));
    if (items.length > 0) return items;
    throw rowError(
      "bad_question",
      place,
      `no text to look for: its columns are ${Object.keys(value).join(", ") || "none"}, expected a question, a prompt, messages, or columns of text.`,
    );
  }
  const { asked, answers, rejected } = textsOf(value, place);
  const spoken = new Set([...asked, ...answers, ...rejected]);
  return [
    // Plain text has no question: it is all there is.
    { part: "question", text: (asked.length > 0 ? asked : answers).join("\n"), isAsked: true },
    ...(asked.length > 0 ? [...answers, ...rejected] : []).map((text) => ({
      part: "answer",
      text,
      isAsked: false,
    })),
    ...columns
      .filter(([name, text]) => references.includes(name) && !spoken.has(text))
      .map(([part, text]) => ({ part, text, isAsked: false })),
  ];
}
