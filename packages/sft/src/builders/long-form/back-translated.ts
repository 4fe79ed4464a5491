// Queries that long texts answer: the generator says what was asked for, the text is the answer.
import type { Making } from "../area.js";
import { drop, keep } from "../outcome.js";
import type { Said } from "../roles.js";
import { textOf } from "../seed-text.js";
import type { LongAnswer } from "./judged.js";
import { wordsOfGrade } from "./length.js";
import { piecesOf } from "./pieces.js";

const textColumns = ["text", "content", "document", "article", "body", "story", "book"] as const;

export function backTranslated({
  step,
  seeds,
  draws,
  difficultyOf,
  roles,
}: Making): AsyncIterable<LongAnswer> {
  let index = 0;
  const pieces = step("cut", seeds(), ({ row, id, place }) => {
    const text = textOf(row, textColumns);
    if (text === undefined) return drop("no_text", { ...place, columns: Object.keys(row) });
    // Each piece has the grade that is its turn.
    let wanted = index;
    const cut = piecesOf(text, () => wordsOfGrade(difficultyOf(wanted++)));
    if (cut.length === 0) return drop("too_short", place);
    return keep(...cut.map((piece) => ({ piece, id, index: index++ })));
  });
  return step(
    "back-translate",
    pieces,
    async ({ piece, id, index }) => {
      const said = await roles.ask("generator", { prompt: "long-form-query", values: { text: piece } });
      if (!("kept" in said)) return said;
      const [{ text: query, asked }] = said.kept as [Said];
      if (/^\W*none\W*$/i.test(query)) return drop("no_query", { text: piece.slice(0, 300) });
      // A query that has the text in it asks for nothing.
      if (query.length > piece.length / 2) return drop("query_too_long", { query });
      return keep({
        ...{
          task: "back-translated",
          query,
          response: piece,
          difficulty: difficultyOf(index),
          draw: draws(index),
        },
        ...{ asked: [asked], evidence: {}, parents: [id] },
      } satisfies LongAnswer);
    },
    roles.width("generator"),
  );
}
