/** Text that says the same again and again, by the limits of Gopher's filters (Rae et al., arXiv 2112.11446, table A1), counted in letters of words. */
import { wordsOf } from "./words.js";

/** Gopher's shortest document: below, a phrase said twice is a large share of all. */
const FEWEST_WORDS = 50;
const LINES = 0.3;
const LINE_LETTERS = 0.2;
/** Share of the most frequent run of n words. */
const TOP_RUN: Readonly<Record<number, number>> = { 2: 0.2, 3: 0.18, 4: 0.16 };
/** Share of all runs of n words that were there before. */
const RUNS_AGAIN: Readonly<Record<number, number>> = { 5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.1 };

/** What is said again, in words; undefined where it is within the limits. */
export function repetition(text: string): string | undefined {
  const words = wordsOf(text);
  if (words.length < FEWEST_WORDS) return undefined;
  for (const [parts, name] of [
    [text.split(/\n\s*\n/), "paragraphs"],
    [text.split("\n"), "lines"],
  ] as const) {
    const { share, letters } = saidAgain(parts);
    if (share > LINES || letters > LINE_LETTERS)
      return `${percent(Math.max(share, letters))} of its ${name} were there before`;
  }
  const total = words.reduce((sum, { length }) => sum + length, 0);
  for (const [n, most] of Object.entries(TOP_RUN)) {
    const { run, letters } = topRun(words, Number(n));
    if (letters / total > most) return `${percent(letters / total)} of it is ${JSON.stringify(run)}`;
  }
  for (const [n, most] of Object.entries(RUNS_AGAIN)) {
    const share = lettersAgain(words, Number(n)) / total;
    if (share > most) return `${percent(share)} of it is in runs of ${n} words that were there before`;
  }
  return undefined;
}

const percent = (share: number): string => `${Math.round(100 * share)} %`;

/** Lines of signs alone (a brace, a rule of dashes) do not count. */
function saidAgain(parts: readonly string[]): { readonly share: number; readonly letters: number } {
  const seen = new Set<string>();
  let [again, letters, count, all] = [0, 0, 0, 0];
  for (const part of parts.map((one) => one.trim())) {
    if (!/[\p{L}\p{N}]/u.test(part)) continue;
    count++;
    all += part.length;
    if (seen.has(part)) {
      again++;
      letters += part.length;
    }
    seen.add(part);
  }
  return { share: again / Math.max(1, count), letters: letters / Math.max(1, all) };
}

function topRun(words: readonly string[], n: number): { readonly run: string; readonly letters: number } {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= words.length; i++) {
    const run = words.slice(i, i + n).join(" ");
    counts.set(run, (counts.get(run) ?? 0) + 1);
  }
  let top = { run: "", letters: 0 };
  for (const [run, count] of counts) {
    const letters = count * (run.length - n + 1);
    if (count > 1 && letters > top.letters) top = { run, letters };
  }
  return top;
}

/** Of runs that were there before; one that counts is passed whole. */
function lettersAgain(words: readonly string[], n: number): number {
  const seen = new Set<string>();
  let letters = 0;
  for (let i = 0; i + n <= words.length; ) {
    const run = words.slice(i, i + n).join(" ");
    if (seen.has(run)) {
      letters += run.length - n + 1;
      i += n;
    } else {
      seen.add(run);
      i++;
    }
  }
  return letters;
}
