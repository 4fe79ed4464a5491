/**
 * How far a pattern scans in vain. Of a repeat without an end behind which something can fail, the library walks to the end of what it
 * matches from every place in it: the square of such a run's length. What is repeated is one set of characters (pattern-cost.ts), so a text's runs can be
 * looked up beforehand, in one pass. Sets that JavaScript spells otherwise count as all characters: never fewer than the library finds.
 */

/** As Unicode has white space; JavaScript's \s lacks one of it and has one more. */
const space = String.raw`\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000`;

/** The longest run in a text of what `repeated` (an atom of a pattern) matches. */
export function runsOf(repeated: string, ignoresCase: boolean): (text: string) => number {
  const run = runPattern(repeated, ignoresCase);
  return (text) => {
    if (run === undefined) return text.length;
    let longest = 0;
    for (const [found] of text.matchAll(run)) longest = Math.max(longest, found.length);
    return longest;
  };
}

function runPattern(repeated: string, ignoresCase: boolean): RegExp | undefined {
  const atom = /^\((?:\?:)?([^()]+?)(?:\{\d+\})?\)$/.exec(repeated)?.[1] ?? repeated;
  const set = setOf(atom);
  if (set === undefined || (ignoresCase && set.startsWith("[^"))) return undefined;
  try {
    return new RegExp(`${set}+`, ignoresCase ? "giu" : "gu");
  } catch {
    return undefined;
  }
}

/** A set as JavaScript spells it, or one that has more in it. */
function setOf(atom: string): string | undefined {
  if (atom === String.raw`\s`) return `[${space}]`;
  if (atom === String.raw`\d`) return String.raw`\p{Nd}`;
  if (/^\\[pP]\{\w+\}$/.test(atom)) return scripts(atom);
  if (/^[A-Za-z0-9 ]$/.test(atom)) return atom;
  if (!/^\[.+\]$/s.test(atom)) return undefined;
  const isNegated = atom.startsWith("[^");
  const inner = atom.slice(isNegated ? 2 : 1, -1);
  const both = inner.indexOf("&&");
  // What is in two sets is in the first.
  const kept = both < 0 ? inner : inner.slice(0, both);
  if (kept === "" || (isNegated && both >= 0)) return undefined;
  // Only what both spell alike: ranges of plain characters, classes of Unicode, a few escapes.
  if (!/^(?:\\[pP]\{\w+\}|\\[srnt]|[^\\[\]^&])+$/su.test(kept)) return undefined;
  return `[${isNegated ? "^" : ""}${scripts(kept).replaceAll(String.raw`\s`, space)}]`;
}

const scripts = (set: string): string => set.replaceAll("{Han}", "{Script=Han}");
