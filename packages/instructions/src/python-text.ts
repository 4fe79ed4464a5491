/**
 * Text as the reference evaluator sees it: IFEval's checks are written in Python, whose notions of
 * white space, word characters and case differ from JavaScript's in places that change verdicts
 * (no combining marks in `\w`, no byte order mark in `\s`). Everything here is one pass over the text.
 */

/** What Python's `str.strip`, `str.split` and `\s` take for white space, as the inside of a character class. */
export const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

/** What Python's `\w` takes for a word character: letters, numbers, the underscore; no combining marks. */
export const WORD = "\\p{L}\\p{N}_";

const spaceCharacter = new RegExp(`[${SPACE}]`);
const spaceRuns = new RegExp(`[${SPACE}]+`);

/** White space off both ends. A loop, because `/\s+$/` takes quadratic time on long runs inside the text. */
export function strip(text: string): string {
  return stripCharacters(text, (character) => spaceCharacter.test(character));
}

/** Double quotation marks off both ends, however many. */
export function stripQuotes(text: string): string {
  return stripCharacters(text, (character) => character === '"');
}

export function isBlank(text: string): boolean {
  return strip(text) === "";
}

/** The runs between white space. */
export function splitOnSpace(text: string): string[] {
  return text.split(spaceRuns).filter((run) => run !== "");
}

/** Some letter has a case, and every one that has is a capital. */
export function isUpper(text: string): boolean {
  return /\p{Uppercase}/u.test(text) && !/[\p{Lowercase}\p{Lt}]/u.test(text);
}

/** Some letter has a case, and every one that has is small. */
export function isLower(text: string): boolean {
  return /\p{Lowercase}/u.test(text) && !/[\p{Uppercase}\p{Lt}]/u.test(text);
}

/** How often `part` stands in the text, without overlap. */
export function countOf(text: string, part: string): number {
  let count = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) count++;
  return count;
}

function stripCharacters(text: string, isStripped: (character: string) => boolean): string {
  let start = 0;
  let end = text.length;
  while (start < end && isStripped(text[start]!)) start++;
  while (end > start && isStripped(text[end - 1]!)) end--;
  return text.slice(start, end);
}
