/**
 * JSON as a row of data may be written, stricter than JSON.parse where leniency would change what is trained:
 * a key given twice (the last would win), half a surrogate pair (it would become U+FFFD), `__proto__` as a key
 * (copies of the row would lose it). Numbers are never changed (lossless-json.ts), nesting is bounded.
 */
import { closingQuote, parseScanned, scanJson } from "./lossless-json.js";

const LONE_SURROGATE = /\p{Surrogate}/u;
const COLON = /\s*:/y;

/** Text that is no JSON at all. */
export class NotJson extends Error {}

/** Throws Error, NotJson where it is none, whose message says what is wrong with the text, to follow "the line" or the field's name. */
export function parseStrictJson(text: string): unknown {
  const { members, lossless } = scanJson(text);
  let keys = 0;
  let problem: string | undefined;
  const check = (part: string, isKey: boolean): void => {
    if (isKey) keys++;
    if (isKey && part === "__proto__") problem ??= "has a key __proto__, which no row may have: rename it.";
    if (LONE_SURROGATE.test(part)) {
      problem ??= `holds half of a surrogate pair (\\ud8xx escape) near ${JSON.stringify(part.slice(0, 40))}: no UTF-8 text can.`;
    }
  };
  let value: unknown;
  try {
    value = parseScanned(text, lossless, check);
  } catch (error) {
    throw new NotJson(`is not JSON: ${printable(error instanceof Error ? error.message : String(error))}`);
  }
  if (problem !== undefined) throw new Error(problem);
  if (keys < members) {
    throw new Error(
      `gives the key ${JSON.stringify(repeatedKey(text))} twice in one object: remove one of the two.`,
    );
  }
  return value;
}

/** JSON.parse quotes the text, which may hold characters that a terminal obeys. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (character) => JSON.stringify(character).slice(1, -1));
}

/** The first key of JSON text that its object has already. */
function repeatedKey(text: string): string | undefined {
  const objects: Set<string>[] = [];
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    // A list gets a set too, which stays empty.
    if (character === "{" || character === "[") objects.push(new Set());
    else if (character === "}" || character === "]") objects.pop();
    else if (character === '"') {
      const end = closingQuote(text, at);
      COLON.lastIndex = end + 1;
      if (COLON.test(text)) {
        const key = JSON.parse(text.slice(at, end + 1)) as string;
        if (objects.at(-1)?.has(key)) return key;
        objects.at(-1)?.add(key);
      }
      at = end;
    }
  }
  return undefined;
}
