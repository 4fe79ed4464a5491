// Pieces of long texts, from one paragraph's beginning to another's end.
import { inWords, lengthOf, mostBytes } from "./length.js";

/** Paragraphs with lines joined as they are; rules, and headings with nothing under them, are none. */
export function paragraphsOf(text: string): readonly string[] {
  return text
    .replaceAll(/\r\n?/g, "\n")
    .split(/\n[ \t]*\n+/)
    .map((paragraph) => paragraph.trim())
    .filter((paragraph) => /[\p{L}\p{N}]/u.test(paragraph));
}

const isHeading = (paragraph: string): boolean => /^#{1,6} [^\n]*$/.test(paragraph);

/** One after the other, each of about as many words as `wanted` says next; what does not come near that, or is too long, is left out. */
export function piecesOf(text: string, wanted: () => number): readonly string[] {
  const pieces: string[] = [];
  let target = wanted();
  let open: string[] = [];
  let words = 0;
  for (const paragraph of paragraphsOf(text)) {
    // A piece begins with text: headings of the whole, its author and year say nothing of it.
    if (open.length === 0 && isHeading(paragraph)) continue;
    open.push(paragraph);
    words += inWords(lengthOf(paragraph));
    if (words < target * 0.9) continue;
    while (open.length > 0 && isHeading(open.at(-1)!)) open.pop();
    const piece = open.join("\n\n");
    if (words <= target * 1.5 && Buffer.byteLength(piece) <= mostBytes) pieces.push(piece);
    [open, words, target] = [[], 0, wanted()];
  }
  return pieces;
}

/** Parts of a text that are worked on one by one: paragraphs, else sentences, joined up to so many words; two at least, where there are two. */
export function partsOf(text: string, most: number): readonly string[] {
  const paragraphs = paragraphsOf(text);
  const [units, glue] =
    paragraphs.length > 1 ? [paragraphs, "\n\n"] : [text.split(/(?<=[.!?。！？])\s*(?=\S)/u), " "];
  const limit = Math.min(most, inWords(lengthOf(text)) / 2);
  const parts: string[][] = [];
  let words = Number.POSITIVE_INFINITY;
  for (const unit of units) {
    const own = inWords(lengthOf(unit));
    if (words + own / 2 > limit) {
      parts.push([]);
      words = 0;
    }
    parts.at(-1)!.push(unit);
    words += own;
  }
  return parts.map((part) => part.join(glue));
}
