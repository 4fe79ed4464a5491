// What of a model's trained parameters a rank moves, and holds the optimizer's state of: a range of their layout. Ranges begin at multiples of the
// gradient norm's blocks, so that norms add up to the same bits over any number of ranks.
import type { ParameterLayout } from "@posttrain/model";

export interface Range {
  readonly begin: number;
  readonly end: number;
}

export interface OwnRange {
  /** Whose squares this rank adds up. */
  readonly norm: Range;
  /** What it moves: the same range, or for a rule that looks at parameters as a whole those that begin in it. */
  readonly update: Range;
  /** Both: all that it needs of the gradient. */
  readonly cover: Range;
}

/** Elements of a block of the gradient norm (native/cpu/sum_squares.cpp). */
const block = 4096;

/** Of `count` things in a row, those of part `index` of `parts`. */
export function partOf(count: number, index: number, parts: number): Range {
  return { begin: Math.floor((index * count) / parts), end: Math.floor(((index + 1) * count) / parts) };
}

/** The ranges of `ranks` ranks, in their order: each begins where the one before it ends. */
export function ownRanges(
  { length, places }: ParameterLayout,
  ranks: number,
  wholeParameters: boolean,
): readonly OwnRange[] {
  const starts = [...places.values()].map(({ offset }) => offset);
  const startFrom = (place: number): number => starts.find((offset) => offset >= place) ?? length;
  return Array.from({ length: ranks }, (_, rank) => {
    const blocks = partOf(Math.ceil(length / block), rank, ranks);
    const norm = { begin: Math.min(blocks.begin * block, length), end: Math.min(blocks.end * block, length) };
    const update = wholeParameters ? { begin: startFrom(norm.begin), end: startFrom(norm.end) } : norm;
    const cover =
      update.end === update.begin
        ? norm
        : { begin: Math.min(norm.begin, update.begin), end: Math.max(norm.end, update.end) };
    return { norm, update, cover };
  });
}
