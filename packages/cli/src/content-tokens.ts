// Tokens of the model in what conversations say, for validate and the head of a run.
import type { ContentToken, SpecialTokensInContent } from "@posttrain/data";
import { count, plural } from "./format.js";

/** A line for each; special ones that are an error are rejects, and not here. */
export function contentTokenLines(
  tokens: readonly ContentToken[],
  choice: SpecialTokensInContent,
): readonly string[] {
  return [...tokens]
    .sort((a, b) => Number(b.special) - Number(a.special) || b.rows - a.rows)
    .map(({ token, special, rows, examples }) => {
      const fate = !special
        ? "not special, read as the token"
        : choice === "text"
          ? "read as ordinary text"
          : "read as the special token";
      const places = examples.map(({ line, field }) => `line ${count(line)} ${field}`).join(", ");
      return `${token} in ${plural(rows, "row")}, ${fate}: ${places}${rows > examples.length ? ", ..." : ""}`;
    });
}
