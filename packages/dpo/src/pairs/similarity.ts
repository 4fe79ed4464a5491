// How alike two responses are: runs of three words or marks that they have in common.

/** A word, a number, a letter of a script that is written without spaces, or a mark. */
const piece =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{M}\p{N}_]+|[^\s\p{L}\p{M}\p{N}_]/gu;
const RUN = 3;

/** Runs of three; a shorter text is one run. */
export function runsOf(text: string): ReadonlySet<string> {
  const pieces = text.match(piece) ?? [];
  if (pieces.length <= RUN) return new Set([pieces.join(" ")]);
  return new Set(
    Array.from({ length: pieces.length - RUN + 1 }, (_, i) => pieces.slice(i, i + RUN).join(" ")),
  );
}

/** Jaccard's index: the share of all runs of both that both have. */
export function likeness(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  const [few, many] = a.size < b.size ? [a, b] : [b, a];
  let common = 0;
  for (const run of few) if (many.has(run)) common++;
  return common / (a.size + b.size - common);
}

/** Whether two texts differ in white space alone, as training refuses it. */
export const sameButForSpace = (a: string, b: string): boolean =>
  a.replaceAll(/\s+/gu, "") === b.replaceAll(/\s+/gu, "");
