/**
 * JSON as a row of data may be written, stricter than JSON.parse where leniency would change what is trained:
 * a key given twice (the last would win), a number too large to hold (it would become Infinity), half a
 * surrogate pair (it would become U+FFFD), `__proto__` as a key (copies of the row would lose it). Nesting is
 * bounded before anything is built, as hostile text could nest millions of levels.
 */
const MAX_DEPTH = 256;
const LONE_SURROGATE = /\p{Surrogate}/u;
const COLON = /\s*:/y;

/** Throws Error whose message says what is wrong with the text, to follow "the line" or the field's name. */
export function parseStrictJson(text: string): unknown {
  const members = countMembers(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`is not JSON: ${printable(error instanceof Error ? error.message : String(error))}`);
  }
  if (keysOf(value) < members) {
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

/** Members of all objects, were the text JSON: colons outside strings. Checks the depth. */
function countMembers(text: string): number {
  let members = 0;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x22:
        at = closingQuote(text, at);
        break;
      case 0x3a:
        members++;
        break;
      case 0x5b:
      case 0x7b:
        if (++depth > MAX_DEPTH) throw new Error(`nests deeper than ${MAX_DEPTH} levels: flatten the row.`);
        break;
      case 0x5d:
      case 0x7d:
        depth--;
        break;
    }
  }
  return members;
}

/** The place of the quote that ends the string which starts at `open`; the end of the text if none does. */
function closingQuote(text: string, open: number): number {
  for (let quote = text.indexOf('"', open + 1); quote >= 0; quote = text.indexOf('"', quote + 1)) {
    let before = quote - 1;
    while (text.charCodeAt(before) === 0x5c) before--;
    if ((quote - before) % 2 === 1) return quote;
  }
  return text.length;
}

/** Keys of all objects in a value. Throws for what text and later steps would garble. */
function keysOf(value: unknown): number {
  if (typeof value === "string" && LONE_SURROGATE.test(value)) {
    throw new Error(
      `holds half of a surrogate pair (\\ud8xx escape) near ${JSON.stringify(value.slice(0, 40))}: no UTF-8 text can.`,
    );
  }
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw new Error("holds a number beyond 1.8e308, which no number here can be: write it as a string.");
  }
  if (typeof value !== "object" || value === null) return 0;
  let keys = 0;
  if (Array.isArray(value)) {
    for (const item of value) keys += keysOf(item);
    return keys;
  }
  for (const [key, item] of Object.entries(value)) {
    if (key === "__proto__") throw new Error("has a key __proto__, which no row may have: rename it.");
    keys += 1 + keysOf(key) + keysOf(item);
  }
  return keys;
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
